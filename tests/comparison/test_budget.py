"""Budgets as they are written."""

from __future__ import annotations

import pytest

from pixelgen.comparison.budget import Budget
from pixelgen.errors import UsageError
from pixelgen.training.recipe import ScheduleRecipe


@pytest.mark.parametrize(
    ("text", "budget", "shown"),
    [
        ("90s", Budget(minutes=1.5), "1.5 minutes"),
        ("30m", Budget(minutes=30), "30 minutes"),
        ("2 h", Budget(minutes=120), "120 minutes"),
        ("1e15flop", Budget(flops=1e15), "1e15 FLOP"),
        ("2.5E13 FLOPs", Budget(flops=2.5e13), "2.5e13 FLOP"),
    ],
)
def test_texts(text: str, budget: Budget, shown: str) -> None:
    assert Budget.parse(text) == budget
    assert str(budget) == shown


@pytest.mark.parametrize("text", ["", "30", "m", "-3m", "1e15", "half an hour"])
def test_other_texts(text: str) -> None:
    with pytest.raises(UsageError, match=r"budget"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0m", "0flop", "0.0h"])
def test_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="trains nothing"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["1e308h", "1e28m", "1e999flop"])
def test_without_end(text: str) -> None:
    with pytest.raises(UsageError, match="never ends"):
        Budget.parse(text)


def test_schedules_keep_their_decay() -> None:
    schedule = ScheduleRecipe(steps=7, decay="cosine", decay_from=0.25)
    by_time = Budget(minutes=3).schedule(schedule, 1e9)
    assert (by_time.minutes, by_time.steps) == (3, 0)
    by_work = Budget(flops=1e12).schedule(schedule, 3e10)
    assert (by_work.minutes, by_work.steps) == (0, 33)
    assert by_work.decay == by_time.decay == "cosine"
    assert by_work.decay_from == by_time.decay_from == 0.25


def test_less_than_a_step() -> None:
    with pytest.raises(UsageError, match="less than one step"):
        Budget(flops=1e6).schedule(ScheduleRecipe(steps=7), 1e9)
