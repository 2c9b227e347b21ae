"""Whether weights that a run starts from were trained on images that it holds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pixelgen.toml import parse_toml
from pixelgen.training.recipe import Recipe, recipe_from_dict


def holdout_may_leak(recipe: Recipe, history: Mapping[str, Any], pictures: int) -> bool:
    """Whether images that a run of `recipe` holds out of `pictures` may be among those that its
    weights were trained on before, by their `history` ("training" of a configuration).

    Under the same seed, a smaller held-out set is part of a larger one, among as many pictures.
    Folders of the same name count as one data set: they may have been moved.
    """
    mine = recipe.data
    for before, count in _parts(history):
        theirs = before.data
        same = (_name(theirs.path), theirs.split) == (_name(mine.path), mine.split)
        same_holdout = (
            before.seed == recipe.seed
            and theirs.holdout >= mine.holdout
            and count in (None, pictures)
            and _whole_people(before) == _whole_people(recipe)
        )
        if same and not same_holdout:
            return True
    return False


def _name(path: str) -> str:
    return PurePath(path).name


def _whole_people(recipe: Recipe) -> str:
    """The column of the people who are held out as a whole; empty if single images are."""
    return recipe.data.label if recipe.of_people else ""


def _parts(history: Mapping[str, Any]) -> Iterator[tuple[Recipe, int | None]]:
    """The recipes of all parts of the training, the last first, without unreadable ones, and the
    number of pictures in the data of each, if it is known."""
    part: Any = history
    while isinstance(part, Mapping):
        try:
            recipe = recipe_from_dict(parse_toml(str(part.get("recipe", "")).encode()))
        except ValueError:
            pass
        else:
            yield recipe, part.get("pictures")
        part = part.get("before")
