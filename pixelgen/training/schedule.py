"""The learning rate as a function of the progress of a run."""

from __future__ import annotations

import math

from pixelgen.training.recipe import OptimiserRecipe, Recipe, ScheduleRecipe

COMPILE_MINUTES = 8.0
"""Length of a run from which on compiling pays, which takes one to three minutes."""
_SPEED = {"cpu": 1e11}
"""Floating-point operations per second, about, by the type of the device. They are not measured, so
that a resumed run is compiled whenever an uninterrupted one is."""
_OTHER_SPEED = 1e13
_LONGEST_WARMUP = 0.1
"""Of the run: the learning rate has risen by then, however many steps of warm-up a recipe has."""


def progress(schedule: ScheduleRecipe, step: int, seconds: float) -> float:
    """The completed share of the run, 0 … 1, in steps or in time as the schedule is given."""
    done = step / schedule.steps if schedule.steps else seconds / (60 * schedule.minutes)
    return min(1.0, done)


def learning_rate(
    optimiser: OptimiserRecipe, schedule: ScheduleRecipe, step: int, seconds: float
) -> float:
    """Of step number `step` (from 0): a linear warm-up, a plateau, a decay to 0. The warm-up takes
    a tenth of the run at most."""
    done = progress(schedule, step, seconds)
    rise = (step + 1) / optimiser.warmup if optimiser.warmup else 1.0
    rise = min(1.0, max(rise, done / _LONGEST_WARMUP))
    late = (done - schedule.decay_from) / (1 - schedule.decay_from)
    late = max(0.0, late)
    if schedule.decay == "linear":
        fall = 1 - late
    elif schedule.decay == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * late))
    else:
        fall = 1.0
    return optimiser.lr * rise * fall


def operations_in(minutes: float, device: str) -> float:
    """Floating-point operations, about, of a run on a device of this type."""
    return 60 * minutes * _SPEED.get(device, _OTHER_SPEED)


def compiling_pays(
    recipe: Recipe, flops: float, device: str, part_minutes: float = math.inf
) -> bool:
    """Whether all parts of a run together last `COMPILE_MINUTES`, and this part of it does, too,
    which lasts `part_minutes`. A run of given steps is compiled in all of its parts or in none, so
    that its results do not depend on where it was stopped. `flops`: floating-point operations per
    picture, `device`: the type of the device."""
    schedule = recipe.schedule
    if schedule.minutes:
        return min(schedule.minutes, part_minutes) >= COMPILE_MINUTES
    work = schedule.steps * recipe.optimiser.batch * flops
    return work >= operations_in(COMPILE_MINUTES, device)
