"""Training where environment variables are left of an earlier launch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pixelgen.errors import UsageError
from pixelgen.training.loop import train
from pixelgen.training.recipe import load_recipe


@pytest.fixture(autouse=True)
def _forget_processes() -> Iterator[None]:
    """`accelerate` reads the variables once in a process."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    before = dict(os.environ)  # to which it adds some
    yield
    os.environ.clear()
    os.environ.update(before)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_DYNAMO_USE_FULLGRAPH", "x"),
        ("ACCELERATE_USE_CPU", "perhaps"),
        ("LOCAL_RANK", "0"),
        ("PMI_SIZE", "2"),
    ],
)
def test_variables_that_make_no_sense(
    name: str, value: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="`accelerate` cannot start: ") as caught:
        train(load_recipe(recipe_file), tmp_path / "run")
    assert name in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_processes_that_are_not_connected(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    monkeypatch.setattr("pixelgen.training.loop.several_on_processors", lambda: False)
    with pytest.raises(UsageError, match="WORLD_SIZE is 2, but `accelerate` cannot connect"):
        train(load_recipe(recipe_file), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_recipe_alone_decides_what_is_compiled(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    recipe = load_recipe(recipe_file, ["compute.compile=false", "schedule.steps=1"])
    assert train(recipe, tmp_path / "run").counters.step == 1
