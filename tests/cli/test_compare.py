"""`pixelgen compare`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ..comparison.conftest import RECIPE, RECIPES
from .conftest import Run


@pytest.fixture
def command(write_pictures: Callable[..., Path], tmp_path: Path) -> list[object]:
    draw = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 6)):
        made = [draw.integers(0, 256, (4, 4, 3)).astype(np.uint8) for _ in range(count)]
        write_pictures(tmp_path / "data", split, made)
    recipe = tmp_path / "pixelcnn.toml"
    recipe.write_text(RECIPE.format(model=RECIPES["pixelcnn"]), encoding="utf-8")
    return ["compare", recipe, "--data", tmp_path / "data", "-o", "out", "--samples", 1, "--budget"]


def test_table_and_json(command: list[object], run: Run) -> None:
    outcome = run(*command, "1e8flop")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split()[:3] == ["model", "test", "train"]
    assert [line.split()[0] for line in lines[1:4]] == ["Uniform", "Multivariate", "PixelCNN"]
    assert lines[-1] == str(Path("out/table.md"))
    outcome = run(*command, "1e8flop", "--json")
    assert outcome.code == 0, outcome.err
    assert not outcome.err
    found = json.loads(outcome.out)
    assert found["folder"] == "out"
    assert found["reason"] == "finished"
    assert [row["name"] for row in found["rows"]] == ["uniform", "gaussian", "pixelcnn"]
    assert found["rows"] == json.loads(Path("out/table.json").read_text("utf-8"))["rows"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["0m"], 2, "a budget of 0m trains nothing"),
        (["soon"], 2, "no budget 'soon'"),
        (["1m", "--peer", "theirs"], 2, "--peer 'theirs' is not NAME=PATH"),
        (["1m", "--peer", "theirs=nowhere"], 3, "nowhere is not a checkout"),
        (["1m", "--size", "3"], 1, "3"),
        (["1m", "--limit", "0"], 2, "--limit"),
        (["1m", "--slice", "0"], 2, "--slice must be positive, not 0"),
        (["1m", "--max-minutes", "nan"], 2, "--max-minutes must be positive, not nan"),
        (["1m", "--set", "model.layers=100000"], 2, "a model of 100000 layers takes too long"),
        (["1m", "--max-pixels", "15"], 1, "it has 4×4 pixels, more than 1.5e-05 million"),
    ],
)
def test_bad_input(words: list[str], code: int, said: str, command: list[object], run: Run) -> None:
    outcome = run(*command, *words)
    assert outcome.code == code, outcome.err
    assert said in outcome.err
    assert not Path("out").exists()


def test_an_unfinished_comparison_says_so(command: list[object], run: Run) -> None:
    outcome = run(*command, "1m", "--max-minutes", "0.001", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {"folder": "out", "reason": "max-minutes"}
