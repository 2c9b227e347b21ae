"""The learning rate as a function of the progress of a run."""

from __future__ import annotations

import math

from pixelgen.training.recipe import OptimiserRecipe, ScheduleRecipe


def progress(schedule: ScheduleRecipe, step: int, seconds: float) -> float:
    """The completed share of the run, 0 … 1, in steps or in time as the schedule is given."""
    done = step / schedule.steps if schedule.steps else seconds / (60 * schedule.minutes)
    return min(1.0, done)


def learning_rate(
    optimiser: OptimiserRecipe, schedule: ScheduleRecipe, step: int, seconds: float
) -> float:
    """Of step number `step` (from 0): a linear warm-up, a plateau, a decay to 0."""
    rise = min(1.0, (step + 1) / optimiser.warmup) if optimiser.warmup else 1.0
    late = (progress(schedule, step, seconds) - schedule.decay_from) / (1 - schedule.decay_from)
    late = max(0.0, late)
    if schedule.decay == "linear":
        fall = 1 - late
    elif schedule.decay == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * late))
    else:
        fall = 1.0
    return optimiser.lr * rise * fall
