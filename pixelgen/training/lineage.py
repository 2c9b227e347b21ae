"""What weights were trained on before a run went on with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pixelgen.toml import parse_toml
from pixelgen.training.recipe import DataRecipe, Recipe


def trained_on(recipe: Recipe, history: Mapping[str, Any]) -> bool:
    """Whether pictures that a run of `recipe` holds out may be among those that its weights were
    trained on before, as their `history` (a configuration's "training") tells it.

    The same seed draws the same pictures, and fewer of them are among more.
    """
    mine = recipe.data
    for before in _recipes(history):
        theirs = before.get("data", {})
        path, split, holdout = (
            theirs.get(name, getattr(DataRecipe, name)) for name in ("path", "split", "holdout")
        )
        same = (PurePath(path).name, split) == (PurePath(mine.path).name, mine.split)
        drawn_alike = before.get("seed", Recipe.seed) == recipe.seed and holdout >= mine.holdout
        if same and not drawn_alike:
            return True
    return False


def _recipes(history: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The recipes of all parts, the last first; those that cannot be read are left out."""
    part: Any = history
    while isinstance(part, Mapping):
        try:
            recipe = parse_toml(str(part.get("recipe", "")).encode())
        except ValueError:
            recipe = {}
        if recipe:
            yield recipe
        part = part.get("before")
