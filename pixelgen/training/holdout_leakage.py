"""What weights were trained on before a run went on with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.toml import parse_toml
from pixelgen.training.recipe import Recipe, recipe_from_dict


def holdout_may_leak(recipe: Recipe, history: Mapping[str, Any]) -> bool:
    """Whether pictures that a run of `recipe` holds out may be among those that its weights were
    trained on before, as their `history` (a configuration's "training") tells it.

    The same seed draws the same pictures, or people, and fewer of them are among more. Folders of
    the same name count as one: they may have been moved.
    """
    mine = recipe.data
    for before in _recipes(history):
        theirs = before.data
        same = (_name(theirs.path), theirs.split) == (_name(mine.path), mine.split)
        drawn_alike = (
            before.seed == recipe.seed
            and theirs.holdout >= mine.holdout
            and _whole_people(before) == _whole_people(recipe)
        )
        if same and not drawn_alike:
            return True
    return False


def _name(path: str) -> str:
    return PurePath(path).name


def _whole_people(recipe: Recipe) -> str:
    """The column of the people who are held out as a whole; nothing where pictures are."""
    by_person = recipe.data.embedder or isinstance(recipe.model, FaceEmbedderConfig)
    return recipe.data.label if by_person else ""


def _recipes(history: Mapping[str, Any]) -> Iterator[Recipe]:
    """The recipes of all parts, the last first; those that cannot be read are left out."""
    part: Any = history
    while isinstance(part, Mapping):
        try:
            recipe = recipe_from_dict(parse_toml(str(part.get("recipe", "")).encode()))
        except ValueError:
            pass
        else:
            yield recipe
        part = part.get("before")
