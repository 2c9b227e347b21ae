"""From class folders to weights that know their names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.evaluation.dataset import load_matching_images
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.publishing.export import export
from pixelgen.training.loop import train
from pixelgen.training.recipe import load_recipe

from ..training.conftest import RECIPE, recipe_at
from .conftest import Run


def class_folders(root: Path, split: str, brightness: dict[str, int]) -> None:
    draw = np.random.default_rng(len(split))
    for name, level in brightness.items():
        (root / split / name).mkdir(parents=True)
        for i in range(20):
            pixels = (draw.integers(0, 8, (4, 4, 3)) + level).astype(np.uint8)
            Image.fromarray(pixels).save(root / split / name / f"{i}.png")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, the run `run` on them, and the weights `night-and-day`."""
    root = tmp_path_factory.mktemp("own")
    class_folders(root / "data", "train", {"Bright day": 200, "night": 20})
    recipe_at(root / "recipe.toml", RECIPE, data=root / "data")
    train(load_recipe(root / "recipe.toml"), root / "run")
    export(root / "run", root / "night-and-day")
    return root


def test_weights_know_the_names(own: Path, run: Run, tmp_path: Path) -> None:
    folder = own / "night-and-day"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["labels"], config["class_names"]) == ([0, 1], ["Bright day", "night"])
    weights = pixelgen.load(str(folder))
    assert weights.class_names == ("Bright day", "night")
    drawn = weights.sample(["night", "bright-day"], seed=1)
    assert [sample.label for sample in drawn] == [1, 0]
    with pytest.raises(PixelgenError, match="no class 'tench', there are: 0 Bright day, 1 night"):
        weights.sample("tench")

    assert run("classes", "--weights", folder).out == "  0  Bright day\n  1  night\n"
    run("sample", "--weights", folder, "--class", "bright day", "--seed", "1")
    names = [path.name for path in (tmp_path / "here").iterdir()]
    assert names == ["pixelgen-bright-day-s1.png"]


def test_evaluation_matches_names(own: Path, tmp_path: Path) -> None:
    weights = load_checkpoint(own / "night-and-day")
    class_folders(tmp_path / "one", "validation", {"night": 20})  # number 0 here, 1 there
    class_folders(tmp_path / "two", "validation", {"Bright day": 200, "night": 20})
    for name in ("one", "two"):
        assert evaluate(weights, tmp_path / name, "validation").conditional is not None
    night = load_matching_images(weights, tmp_path / "one", "validation")
    assert night.labels is not None
    assert night.labels.unique().tolist() == [1]
    class_folders(tmp_path / "three", "validation", {"night": 20, "dusk": 100})
    with pytest.raises(PixelgenError, match="'dusk' of the data is not a class of the model"):
        evaluate(weights, tmp_path / "three", "validation")


def test_another_run_starts_from_the_classes_of_the_same_names(own: Path, tmp_path: Path) -> None:
    class_folders(tmp_path / "data", "train", {"afternoon": 200, "night": 20})
    recipe_at(tmp_path / "recipe.toml", RECIPE, data=tmp_path / "data")
    recipe = load_recipe(tmp_path / "recipe.toml", ["schedule.steps=1", "optimiser.lr=1e-9"])
    train(recipe, tmp_path / "run", init=str(own / "night-and-day"))
    old, new = (
        load_checkpoint(folder).model.state_dict()
        for folder in (own / "night-and-day", export(tmp_path / "run", tmp_path / "weights"))
    )
    table = next(name for name in old if name.endswith("condition.table.weight"))
    assert (new[table][1:] - old[table][1:]).abs().max() < 1e-3
    assert (new[table][0] - old[table][:2].mean(0)).abs().max() < 1e-3


def test_a_run_does_not_resume_with_other_names(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "run", tmp_path / "run")
    (own / "data" / "train" / "night").rename(own / "data" / "train" / "night 2")
    recipe = load_recipe(own / "recipe.toml", ["schedule.steps=31"])
    try:
        with pytest.raises(PixelgenError, match="other labels than the run was started with"):
            train(recipe, tmp_path / "run", resume=True)
    finally:
        (own / "data" / "train" / "night 2").rename(own / "data" / "train" / "night")
