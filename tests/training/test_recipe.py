"""A recipe's mistakes are named; its text says everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.models import build_model
from pixelgen.training.recipe import Recipe, load_recipe, recipe_from_dict, recipe_text

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))


def test_a_recipe_is_read(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert (recipe.seed, recipe.model.features, recipe.optimiser.lr) == (3, 8, 1e-2)
    assert recipe.data.flip


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_sound(path: Path) -> None:
    assert load_recipe(path).data.path


def test_weights_of_cifar10_stay_below_8_mb() -> None:
    (path,) = (path for path in RECIPES if path.stem == "cifar10")
    recipe = load_recipe(path)
    network = build_model(recipe.model)
    assert 2 * sum(p.numel() for p in network.parameters()) < 8e6  # in half precision
    assert (recipe.data.flip, recipe.model.classes) == (True, 0)


def test_overrides(recipe_file: Path) -> None:
    overrides = ["optimiser.lr=0.5", "data.path=some/where", "model.features=16", "seed = 9"]
    recipe = load_recipe(recipe_file, overrides)
    assert recipe.optimiser.lr == 0.5
    assert recipe.data.path == "some/where"
    assert recipe.model.features == 16
    assert recipe.seed == 9


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimiser.learning=1", "unknown key 'optimiser.learning'"),
        ("optimiser.betta1=1", "did you mean 'optimiser.beta1'"),
        ("optimizer.lr=1", "did you mean 'optimiser'"),
        ("optimiser.features=1", "did you mean 'model.features'"),
        ("lr=1", "did you mean 'optimiser.lr'"),
        ("model.featuress=1", "did you mean 'features'"),
        ("model.model='unet'", "unknown model 'unet'"),
        ("model.layers=100000", "a model of 100000 layers takes too long to build: at most 1000"),
        ("model.head_layers=1001", "a model of 1001 layers takes too long to build"),
        ("optimiser.lr='fast'", "'optimiser.lr' must be of type float"),
        ("optimiser.batch=true", "'optimiser.batch' must be of type int"),
        ("optimiser.batch=0", r"\[optimiser\] batch must be at least 1"),
        ("compute.precision=fp8", "must be one of fp32, bf16"),
        ("schedule.minutes=5", "either steps or minutes"),
        ("data=3", "must be a table"),
        ("card.limits='all'", "a list of strings"),
        ("optimiser.lr=inf", "'optimiser.lr' must be finite, not inf"),
        ("autoencoder.noise=nan", "'autoencoder.noise' must be finite, not nan"),
        ("schedule.minutes=1e300", "minutes must be below 1e30"),
        ("data.crop=1" + "0" * 30, "'data.crop' must be below 2\\^63"),
        ("model.features=1" + "0" * 30, "features must be below 2\\^63"),
        ("seed", "is not key=value"),
        ("seed.x=1", "is not a table"),
    ],
)
def test_mistakes_are_named(recipe_file: Path, override: str, words: str) -> None:
    with pytest.raises(PixelgenError, match=words) as caught:
        load_recipe(recipe_file, [override])
    assert isinstance(caught.value, UsageError)


def test_unreadable_recipes(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[model", encoding="utf-8")
    for path, words in [(broken, "not valid TOML"), (tmp_path / "none.toml", "cannot read")]:
        with pytest.raises(PixelgenError, match=words):
            load_recipe(path)
    broken.write_text("seed = 1", encoding="utf-8")
    with pytest.raises(PixelgenError, match=r"needs a \[model\] table"):
        load_recipe(broken)


def test_dictionary_and_text_round_trip(recipe_file: Path, tmp_path: Path) -> None:
    overrides = ["card.limits=['a \"b\"', 'c']", "card.data='x\\y é'", "compute.precision=bf16"]
    recipe: Recipe = load_recipe(recipe_file, overrides)
    assert recipe_from_dict(recipe.to_dict()) == recipe
    again = tmp_path / "again.toml"
    again.write_text(recipe_text(recipe), encoding="utf-8")
    assert load_recipe(again) == recipe
