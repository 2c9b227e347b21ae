"""The registry of tasks: every recipe has exactly one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelgen.training.recipe import load_recipe
from pixelgen.training.tasks import TASKS, kind_of_task

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    ("recipe", "overrides", "name"),
    [
        ("imagenet32", [], "LikelihoodTask"),
        ("imagenet64", [], "CodesLikelihoodTask"),
        ("faces64", [], "CodesLikelihoodTask"),
        ("tokenizer64", [], "TokenizerTask"),
        ("embedder64", [], "FaceEmbedderTask"),
        ("autoencoder32", [], "AutoencoderTask"),
        ("autoencoder32", ["autoencoder.bits_weight=0"], "EncoderTask"),
    ],
)
def test_each_kind_has_its_task(recipe: str, overrides: list[str], name: str) -> None:
    loaded = load_recipe(RECIPES / f"{recipe}.toml", overrides)
    assert kind_of_task(loaded).__name__ == name


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.stem)
def test_one_task_fits(path: Path) -> None:
    recipe = load_recipe(path)
    assert sum(task.fits(recipe) for task in TASKS) == 1
    text = kind_of_task(recipe).card_text([recipe], "mine", "8×8", [3])
    assert "8×8" in text.summary
    assert "mine" in text.usage


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("imagenet32", "given class and condition vector"),
        ("gated32-paper", "given the class"),
        ("faces64", "given another photo of the person"),
        ("cifar10", ""),
        ("tokenizer64", ""),
    ],
)
def test_a_card_says_what_the_held_out_figure_is_given(recipe: str, given: str) -> None:
    loaded = load_recipe(RECIPES / f"{recipe}.toml")
    assert kind_of_task(loaded).held_out_condition(loaded) == given


def test_a_card_names_classes() -> None:
    recipe = load_recipe(RECIPES / "imagenet32.toml")
    text = kind_of_task(recipe).card_text([recipe], "mine", "8×8", ["frog pond", "ship"])
    assert text.usage == "pixelgen sample --weights mine --class 'frog pond'"
