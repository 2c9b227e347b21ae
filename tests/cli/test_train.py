"""A network of pixels goes through all commands, from its recipe to its figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import PixelgenError
from pixelgen.training.plan import Plan
from pixelgen.training.recipe_files import bundled_recipes

from .conftest import Run

RECIPE = """
seed = 3
[model]
{model}
height = 4
width = 4
features = 12
layers = 1
classes = 2
[data]
path = "{data}"
holdout = 4
[optimiser]
batch = 8
[schedule]
steps = 3
[intervals]
samples = 0
"""


SMALL = "first_kernel = 3\noutput_features = 6\n"


@pytest.mark.parametrize(
    "model",
    [
        f'model = "pixelcnn"\n{SMALL}',
        f'model = "pixelrnn"\nlayer = "row_lstm"\n{SMALL}',
        f'model = "pixelrnn"\nlayer = "diagonal_bilstm"\n{SMALL}',
        'model = "pixelcnn_pp"\nmixtures = 3',
    ],
    ids=["pixelcnn", "row_lstm", "diagonal_bilstm", "pixelcnn_pp"],
)
def test_train_export_sample_score_and_evaluate(
    model: str, run: Run, write_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    labels = [4, 7] * 6
    pictures = [draw.integers(0, 256, (4, 4, 3)).astype(np.uint8) for _ in labels]
    data = write_pictures(tmp_path / "data", "train", pictures, labels)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(model=model, data=data.as_posix()), encoding="utf-8")

    outcome = run("train", recipe, "-o", "run")
    assert outcome.code == 0, outcome.err
    assert run("export", "run", "-o", "weights").code == 0

    command = ("sample", "--weights", "./weights", "--class", 7, "-n", 2, "--seed", 1, "-o")
    assert run(*command, "first.png").code == 0
    assert run(*command, "second.png").code == 0
    first, second = (np.asarray(Image.open(f"{name}.png")) for name in ("first", "second"))
    assert np.array_equal(first, second)

    Image.fromarray(pictures[0]).save("photo.png")
    outcome = run("score", "photo.png", "--weights", "./weights", "--json")
    assert outcome.code == 0, outcome.err
    outcome = run("evaluate", "./weights", "--data", data, "--split", "train", "--json")
    assert outcome.code == 0, outcome.err
    figures = json.loads(outcome.out)
    assert figures["images"] == 12
    assert 6 < figures["conditional"]["bits_per_dim"] < 10


def test_max_minutes_counts_from_the_start_of_the_command(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []

    def plan(*_: object, **__: object) -> Plan:
        times.append(time.perf_counter())
        return Plan(None)  # type: ignore[arg-type]

    def train(*_: object, began: float, max_minutes: float, **__: Any) -> None:
        times.insert(0, began)
        raise PixelgenError(f"{max_minutes} minutes")

    monkeypatch.setattr("pixelgen.training.plan.plan_training", plan)
    monkeypatch.setattr("pixelgen.training.loop.train", train)
    start = time.perf_counter()
    outcome = run("train", "photos", "-o", "run", "--max-minutes", 2)
    assert "opening photos" in outcome.err
    assert "2.0 minutes" in outcome.err
    assert start < times[0] < times[1]


def test_a_recipe_is_printed_as_its_file(run: Run) -> None:
    outcome = run("recipes", "imagenet32")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == bundled_recipes()["imagenet32"].read_text(encoding="utf-8")
    names = [line.split()[0] for line in run("recipes").out.splitlines()]
    assert names == [entry["name"] for entry in json.loads(run("recipes", "--json").out)]
    assert "did you mean imagenet32" in run("recipes", "imagenet23").err


def test_the_same_command_resumes(
    run: Run, write_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (4, 4, 3)).astype(np.uint8) for _ in range(12)]
    data = write_pictures(tmp_path / "data", "train", pictures, [4, 7] * 6)
    recipe = tmp_path / "recipe.toml"
    model = f'model = "pixelcnn"\n{SMALL}'
    recipe.write_text(RECIPE.format(model=model, data=data.as_posix()), encoding="utf-8")
    assert run("train", recipe, "-o", "first").code == 0
    assert run("export", "first", "-o", "weights").code == 0
    command = ("train", recipe, "-o", "run", "--init", "./weights")
    assert run(*command, "--max-minutes", 1e-9).code == 0
    outcome = run(*command, "--resume")
    assert outcome.code == 0, outcome.err
    assert "finished: 3 steps" in outcome.err
    outcome = run("train", recipe, "-o", "run", "--init", "imagenet32", "--resume")
    assert outcome.code == 2
    assert "start cannot change while a run is resumed: this one was started with ./weights" in (
        outcome.err
    )
    scratch = ("train", recipe, "-o", "scratch", "--from", "none")
    assert run(*scratch, "--max-minutes", 1e-9).code == 0
    assert "finished: 3 steps" in run(*scratch, "--resume").err


def test_a_tilde_is_the_home_folder(
    run: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert run("export", weights, "--output=~/copy").code == 0
    assert (tmp_path / "copy" / "config.json").is_file()
    assert not Path("~").exists()
