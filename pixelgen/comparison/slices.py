"""Training several models in turns, so that a slow hour of the machine is shared by all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from pixelgen.comparison.entries import Entry
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import open_file
from pixelgen.json_text import parse_json
from pixelgen.training.logs import LOG, RunProgress
from pixelgen.training.loop import Reason, train
from pixelgen.training.recipe import recipe_from_dict
from pixelgen.training.schedule import progress
from pixelgen.training.state import Counters, read_run, state_path

RUNS = "runs"
"""The folder of the runs."""


class ComparisonWatcher(Protocol):
    """Receives the progress of a comparison."""

    def progress(self, progress: RunProgress) -> None:
        """Called after every step of training."""

    def note(self, text: str) -> None:
        """Called with a line about what is done."""


class _SliceWatcher:
    """The watcher of one run; its notes are those of the comparison the first time alone."""

    def __init__(self, name: str, watcher: ComparisonWatcher, first: bool) -> None:
        self.name, self.watcher, self.first = name, watcher, first
        self.progress = watcher.progress

    def note(self, text: str) -> None:
        if self.first:
            self.watcher.note(f"{self.name}: {text}")


def run_folder(folder: Path, entry: Entry) -> Path:
    """Where the run of a model is."""
    return folder / RUNS / entry.name


def counters_of(folder: Path, entry: Entry) -> Counters:
    """How far a model has come. Raises UsageError for the run of another recipe or budget, or of
    other pictures."""
    run = run_folder(folder, entry)
    if state_path(run) is None:
        return Counters()
    state = read_run(run)
    try:
        before = recipe_from_dict(state.recipe)
    except ValueError as error:
        raise PixelgenError(f"the recipe saved in {run} does not fit: {error}") from error
    if before != entry.recipe:
        key = _difference(before, entry.recipe)
        raise _other_run(f"{run} was trained with another {key}")
    if state.data_digest not in ("", entry.data_digest):
        raise _other_run(f"{run} was trained with other pictures of {entry.recipe.data.path}")
    return state.counters


def _other_run(message: str) -> UsageError:
    return UsageError(message, "compare in another folder", code="other-runs")


def _difference(before: Any, now: Any) -> str:
    """The first key of two unequal recipes that differs."""
    if type(before) is not type(now):
        return "model"
    for field in fields(now):
        old, new = getattr(before, field.name), getattr(now, field.name)
        if old != new:
            inside = is_dataclass(new) and type(old) is type(new)
            return f"{field.name}.{_difference(old, new)}" if inside else field.name
    return "recipe"


def completed(entry: Entry, counters: Counters) -> float:
    """The share of its budget that a model has used, 0 … 1."""
    return progress(entry.recipe.schedule, counters.step, counters.seconds)


def train_in_slices(
    entries: Sequence[Entry],
    folder: Path,
    minutes: float,
    *,
    max_minutes: float | None,
    watcher: ComparisonWatcher,
) -> tuple[Reason, int | None]:
    """Trains all models to the end of their budgets: always the one that has used the smallest
    share of its own, for `minutes`.

    A slice is a resumed run of the training loop, so it can be killed, and goes on when this is
    called again. Returns why it ended, and the signal that ended it, if one did. Raises UsageError
    where `folder` holds other runs, PixelgenError as `train` does.
    """
    end = time.perf_counter() + 60 * max_minutes if max_minutes is not None else float("inf")
    counters = {entry.name: counters_of(folder, entry) for entry in entries}
    lengths = {entry.name: minutes for entry in entries}
    while True:
        shares = {entry.name: completed(entry, counters[entry.name]) for entry in entries}
        waiting = [entry for entry in entries if shares[entry.name] < 1]
        if not waiting:
            return "finished", None
        left = (end - time.perf_counter()) / 60
        if left <= 0:
            return "max-minutes", None
        entry = min(waiting, key=lambda entry: shares[entry.name])
        run, before = run_folder(folder, entry), counters[entry.name]
        resume = state_path(run) is not None
        torch.compiler.reset()  # torch compiles one function for a few networks only
        outcome = train(
            entry.recipe,
            run,
            resume=resume,
            max_minutes=min(lengths[entry.name], left),
            watcher=_SliceWatcher(entry.name, watcher, not resume),
        )
        if outcome.signal is not None:
            return outcome.reason, outcome.signal
        counters[entry.name] = outcome.counters
        if outcome.counters.step == before.step:  # it was over before the first step
            lengths[entry.name] *= 2
            continue
        held_out = outcome.counters.held_out
        figure = "" if held_out is None else f", {held_out:.3f} {entry.task.figure_unit}"
        share = completed(entry, outcome.counters)
        watcher.note(f"{entry.name}: {100 * share:.0f} % of the budget{figure}")


def held_out_points(folder: Path, entry: Entry) -> tuple[tuple[float, float], ...]:
    """The curve of a run, from its log: (floating-point operations, bits per dimension of held-out
    pictures by the averaged weights)."""
    points: dict[int, float] = {}
    with suppress(OSError), open_file(run_folder(folder, entry) / LOG) as file:
        for line in file:
            # A killed run may cut a line off.
            with suppress(ValueError, KeyError, TypeError, OverflowError):
                values = parse_json(line)
                if values["kind"] == "validation":
                    points[int(values["images"])] = float(values[entry.task.figure])
    return tuple((images * entry.flops, bits) for images, bits in sorted(points.items()))
