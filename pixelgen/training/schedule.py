"""The learning rate as a function of how far a run has come."""

from __future__ import annotations

import math

from pixelgen.training.recipe import OptimiserRecipe, ScheduleRecipe


def progress(schedule: ScheduleRecipe, step: int, seconds: float) -> float:
    """The share of the run that is done, 0 … 1, by steps or by time, whichever measures it."""
    done = step / schedule.steps if schedule.steps else seconds / (60 * schedule.minutes)
    return min(1.0, done)


def learning_rate(
    optimiser: OptimiserRecipe, schedule: ScheduleRecipe, step: int, seconds: float
) -> float:
    """Of the step with the number `step` (from 0): a linear rise, a plateau, a decay to 0."""
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
