"""Training where environment variables are left of an earlier launch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
        ("ACCELERATE_DYNAMO_BACKEND", "x"),
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
