"""The learning rate rises, stays, and falls to nothing."""

from __future__ import annotations

import pytest

from pixelgen.training.recipe import OptimiserRecipe, Recipe, ScheduleRecipe, recipe_from_dict
from pixelgen.training.schedule import compiling_pays, learning_rate, progress

OPTIMISER = OptimiserRecipe(lr=2.0, warmup=10)


@pytest.mark.parametrize(("decay", "late"), [("linear", 1.0), ("cosine", 1.0), ("none", 2.0)])
def test_by_steps(decay: str, late: float) -> None:
    schedule = ScheduleRecipe(steps=100, decay=decay, decay_from=0.5)  # type: ignore[arg-type]
    assert learning_rate(OPTIMISER, schedule, 0, 0) == pytest.approx(0.2)
    assert learning_rate(OPTIMISER, schedule, 9, 0) == 2.0
    assert learning_rate(OPTIMISER, schedule, 50, 1e9) == 2.0
    assert learning_rate(OPTIMISER, schedule, 75, 0) == pytest.approx(late)
    assert learning_rate(OPTIMISER, schedule, 100, 0) == pytest.approx(0 if late == 1 else 2)


def test_by_time() -> None:
    schedule = ScheduleRecipe(minutes=10, decay_from=0.0)
    assert progress(schedule, 10**9, 300) == 0.5
    assert progress(schedule, 0, 1e9) == 1
    assert learning_rate(OPTIMISER, schedule, 500, 450) == pytest.approx(0.5)


def test_only_long_runs_are_compiled() -> None:
    def recipe(**schedule: float) -> Recipe:
        table = {"model": {"model": "gated_pixelcnn"}, "optimiser": {"batch": 10}}
        return recipe_from_dict({**table, "data": {"path": "x"}, "schedule": schedule})

    assert not compiling_pays(recipe(minutes=2), 1e15, "cpu")
    assert compiling_pays(recipe(minutes=20), 1, "cpu")
    assert not compiling_pays(recipe(minutes=20), 1, "cpu", part_minutes=1)
    assert compiling_pays(recipe(steps=10000), 1e9, "cpu", part_minutes=1)  # as in other parts
    assert not compiling_pays(recipe(steps=100), 1e9, "cpu")
    assert compiling_pays(recipe(steps=10000), 1e9, "cpu")
    assert not compiling_pays(recipe(steps=10000), 1e9, "cuda")  # where they take seconds


def test_warm_up_takes_a_tenth_of_a_short_run_at_most() -> None:
    optimiser = OptimiserRecipe(lr=2.0, warmup=1000)
    for schedule, at in (
        (ScheduleRecipe(steps=100, decay_from=0.5), lambda share: (round(100 * share), 0.0)),
        (ScheduleRecipe(minutes=10, decay_from=0.5), lambda share: (0, 600 * share)),
    ):
        assert learning_rate(optimiser, schedule, *at(0.05)) == pytest.approx(1.0)
        assert learning_rate(optimiser, schedule, *at(0.1)) == pytest.approx(2.0)
