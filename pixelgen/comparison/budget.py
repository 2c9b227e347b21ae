"""The computation that every model of a comparison gets."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pixelgen.errors import UsageError, counted
from pixelgen.training.recipe import ScheduleRecipe

_TEXT = re.compile(r"(\d+(?:\.\d*)?(?:e\+?\d+)?) ?(s|m|min|h|flops?)", re.IGNORECASE)
_ENDLESS = 1e27
"""Minutes, or floating-point operations: more than anybody has."""
_MINUTES = {"s": 1 / 60, "m": 1.0, "min": 1.0, "h": 60.0}


@dataclass(frozen=True)
class Budget:
    """Minutes of training, or floating-point operations of it; the other is 0."""

    minutes: float = 0.0
    flops: float = 0.0

    @staticmethod
    def parse(text: str) -> Budget:
        """From "90s", "30m", "2h" or "1e15flop". Raises UsageError for other texts, for 0, and for
        more than anybody has."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"no budget {text!r}", "for example 30m, 2h or 1e15flop")
        unit = found[2].lower()
        amount = float(found[1]) * _MINUTES.get(unit, 1)
        if not 0 < amount < _ENDLESS:
            what = "never ends" if amount else "trains nothing"
            raise UsageError(f"a budget of {text} {what}", "for example 30m or 1e15flop")
        return Budget(minutes=amount) if unit in _MINUTES else Budget(flops=amount)

    def schedule(self, schedule: ScheduleRecipe, flops_per_step: float) -> ScheduleRecipe:
        """`schedule` with the length of this budget. Raises UsageError where that is less than one
        step."""
        if self.minutes:
            return replace(schedule, steps=0, minutes=self.minutes)
        steps = min(int(self.flops / flops_per_step), 2**62)  # no recipe takes more
        if not steps:
            raise UsageError(
                f"the budget of {self} is less than one step, {flops_per_step:.2g} FLOP",
                "give a larger one",
            )
        return replace(schedule, steps=steps, minutes=0.0)

    def __str__(self) -> str:
        if self.minutes:
            return counted(float(f"{self.minutes:.4g}"), "minute")
        return re.sub(r"e\+0*", "e", f"{self.flops:.3g} FLOP")
