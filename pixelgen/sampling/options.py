"""How pictures are drawn: the options that every job and every network shares. No torch here.

A new option is a field of `SamplingOptions` and a key of `SamplingOverrides`, with its check; the
code that draws (`value_sampler.py`) applies it. Everything in between passes both on unread.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Unpack

LARGEST_OPTION = 10_000.0
"""Larger temperatures and scales change nothing visible, and overflow."""
LARGEST_CANDIDATES = 2**20
"""Candidates of one picture."""


class SamplingOverrides(TypedDict, total=False):
    """The fields of `SamplingOptions` as users give them; None, or left out: the default of the
    weights."""

    temperature: float | None
    top_p: float | None
    guidance: float | None
    guidance_schedule: str | None
    vector_temperature: float | None
    candidates: int | None


@dataclass(frozen=True)
class SamplingOptions:
    """How values are drawn from the model's distributions; also the defaults that `config.json`
    holds for its weights. Raises ValueError for bad values."""

    temperature: float = 1.0
    """Log-probabilities are divided by it: below 1 likely values become likelier still."""
    top_p: float = 1.0
    """Draw among the likeliest values that together hold at least this share of the probability."""
    guidance: float = 1.0
    """Classifier-free guidance: log p = null + guidance · (conditional - null), renormalised."""
    guidance_schedule: str = "constant"
    """Guidance over the share of positions that are sampled: "constant"; "linear", from 1 (none) at
    the first position to `guidance` at the last; or an interval "a:b" of shares 0 … 1, outside of
    which it is 1 (Kynkäänniemi et al. 2024, for diffusion models)."""
    vector_temperature: float = 1.0
    """Multiplies the covariance of the Gaussians that condition vectors are drawn from, where the
    model draws these; of a class with several, the means stay apart."""
    candidates: int = 1
    """Pictures drawn for each that is kept: the portrait most similar to the person, or the picture
    most clearly of its class, by a classifier's log p(class | x) for classes of ImageNet, otherwise
    by log p(x | class) - log p(x)."""

    def __post_init__(self) -> None:
        _ = self.guidance_interval
        for name, value in asdict(self).items():
            if name == "guidance_schedule":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number, not {value!r}")
            if not abs(value) < math.inf:
                raise ValueError(f"{name} must be finite, not {value}")
            limit = LARGEST_CANDIDATES if name == "candidates" else LARGEST_OPTION
            if value > limit:
                raise ValueError(f"{name} must be at most {limit:.10g}")
            if value < -limit:
                raise ValueError(f"{name} must be at least -{limit:.10g}")
        for name in ("temperature", "vector_temperature"):
            if (value := getattr(self, name)) <= 0:
                raise ValueError(f"{name} must be above 0, not {value}")
            if value < 1 / LARGEST_OPTION:
                raise ValueError(f"{name} must be at least {1 / LARGEST_OPTION:g}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if not isinstance(self.candidates, int) or self.candidates < 1:
            raise ValueError(f"candidates must be a whole number above 0, not {self.candidates}")

    @property
    def guidance_interval(self) -> tuple[float, float]:
        """The shares of the sampled positions between which guidance applies. Raises ValueError for
        a `guidance_schedule` that is none."""
        if self.guidance_schedule in ("constant", "linear"):
            return 0.0, 1.0
        try:
            start, end = map(float, self.guidance_schedule.split(":"))
            if not 0 <= start < end <= 1:
                raise ValueError
        except (AttributeError, ValueError):
            raise ValueError(
                "guidance_schedule must be constant, linear or an interval a:b with "
                f"0 ≤ a < b ≤ 1, not {self.guidance_schedule!r}"
            ) from None
        return start, end

    @property
    def effective_schedule(self) -> str | None:
        """`guidance_schedule`; None where it has no effect, and where guidance is constant."""
        constant = self.guidance == 1 or self.guidance_schedule == "constant"
        return None if constant else self.guidance_schedule

    def guidance_at(self, share: float) -> float:
        """The guidance where `share` (0 … 1, 1 excluded) of the positions are sampled."""
        if self.guidance_schedule == "constant":
            return self.guidance
        if self.guidance_schedule == "linear":
            return 1.0 + share * (self.guidance - 1.0)
        start, end = self.guidance_interval
        return self.guidance if start <= share < end else 1.0

    def with_overrides(self, **overrides: Unpack[SamplingOverrides]) -> SamplingOptions:
        """These options, with what is not None in `overrides` instead. Raises ValueError for bad
        values, TypeError for names that are no options."""
        return replace(
            self, **{name: _number(name, v) for name, v in overrides.items() if v is not None}
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplingOptions:
        """Inverse of `to_dict`. Raises ValueError for unknown names and bad values."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown sampling option {min(unknown)!r}")
        return cls(**values)

    def to_dict(self, omit: Collection[str] = ()) -> dict[str, Any]:
        """A JSON-ready dictionary in the order of the fields, without those in `omit` and without a
        constant `guidance_schedule`, which earlier versions did not know."""
        if self.guidance_schedule == "constant":
            omit = {*omit, "guidance_schedule"}
        return {name: value for name, value in asdict(self).items() if name not in omit}


_KINDS = {f.name: f.type for f in fields(SamplingOptions)}


def _number(name: str, value: Any) -> Any:
    """A number of any type, such as NumPy's, as the int or float that JSON can hold."""
    try:
        if _KINDS.get(name) == "int":
            return value.__index__()
        return float(value) if _KINDS.get(name) == "float" else value
    except (AttributeError, OverflowError, TypeError, ValueError):
        kind = "whole number" if _KINDS.get(name) == "int" else "number"
        raise ValueError(f"{name} must be a {kind}, not {value!r}") from None
