"""From what a user names, pictures or a recipe, to what is trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints.card import check_license
from pixelgen.data import DataSummary, summarise
from pixelgen.errors import PixelgenError, UsageError, counted, did_you_mean
from pixelgen.files import expanded
from pixelgen.training.photo_recipe import PhotoTraining, photo_recipe
from pixelgen.training.recipe import Recipe, load_recipe, recipe_from_dict
from pixelgen.training.recipe_files import bundled_recipes
from pixelgen.training.recipe_tables import override
from pixelgen.training.state import read_run, state_path

if TYPE_CHECKING:
    from datasets import Dataset

_RECIPE = ".toml"
_LISTED = 8
"""Classes that a plan names."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    recipe: Recipe
    start: str | None = None
    """Weights that it starts from."""
    lines: tuple[str, ...] = ()
    """The plan, for people."""
    dataset: Dataset | None = None
    """The pictures, where they were opened to make the plan."""


def plan_training(
    source: str,
    folder: Path,
    *,
    resume: bool = False,
    overrides: Sequence[str] = (),
    start: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    license: str | None = None,
    **options: Any,
) -> Plan:
    """The plan for `source`: a recipe by file or name, or pictures (see `load_images`).

    `options` are those of `PhotoTraining`; for a recipe all must be None, but for `start` and
    `license`. With `resume`, pictures are trained on as the run in `folder` was started, but for
    `overrides` and `minutes`. Raises UsageError and PixelgenError for a source that does not exist,
    and for options that do not fit.
    """
    check_license(license or "")
    path = _recipe_path(source)
    given = {name: value for name, value in options.items() if value is not None}
    columns = {"image_column": image_column, "label_column": label_column}
    if path is not None:
        wrong = next(iter([*given, *(n for n, v in columns.items() if v is not None)]), None)
        if wrong is not None:
            raise UsageError(
                f"{wrong} is for pictures, and {source} is a recipe",
                "change the recipe, or override its keys",
                code="photo-option-with-recipe",
            )
        changes = [*overrides, *([f"card.license={license}"] if license else [])]
        return Plan(load_recipe(path, changes), start)
    if resume and state_path(folder) is not None:
        return Plan(_resumed(folder, overrides, given.pop("minutes", None), given))
    known = {name: value for name, value in columns.items() if value is not None}
    data = summarise(source, **known)
    training = PhotoTraining(start=start, license=license or "", **given)
    recipe = photo_recipe(data, training, overrides)
    same = (recipe.data.path, recipe.data.split) == (data.path, data.split)
    lines = _lines(recipe, data, training.starts_from)
    return Plan(recipe, training.starts_from, lines, data.dataset if same else None)


def _recipe_path(source: str) -> Path | None:
    """The file of the recipe that `source` names, or None for pictures. Raises UsageError for a
    name that is neither."""
    path = expanded(source)
    if source.endswith(_RECIPE):
        return path
    if os.path.lexists(path):
        return None
    known = bundled_recipes()
    if source in known:
        return known[source]
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UsageError(
            f"no pictures and no recipe {source!r}{did_you_mean(source, known)}",
            "give a folder of pictures, a recipe, or a data set of the Hub owner/name",
        )
    return None


def _resumed(
    folder: Path, overrides: Sequence[str], minutes: float | None, options: dict[str, Any]
) -> Recipe:
    """The recipe of the run in `folder`, with changes."""
    if options:
        raise UsageError(
            f"{next(iter(options))} cannot change while a run is resumed",
            "leave it out, or start a new run",
            code="option-while-resuming",
        )
    try:
        table = recipe_from_dict(read_run(folder).recipe).to_dict()
    except ValueError as error:
        raise PixelgenError(f"the recipe saved in {folder} does not fit: {error}") from error
    for text in (*overrides, *([] if minutes is None else [f"schedule.minutes={minutes}"])):
        override(table, text)
    try:
        return recipe_from_dict(table)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _lines(recipe: Recipe, data: DataSummary, start: str | None) -> tuple[str, ...]:
    counts, options = data.counts, recipe.data
    listed = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:_LISTED])
    more = ", …" if len(counts) > _LISTED else ""
    kinds = f" of {len(counts)} classes: {listed}{more}" if len(counts) > 1 else ""
    size = f"{options.size}×{options.size}"
    begins = f"from the weights {start}" if start else "from nothing"
    layers = getattr(recipe.model, "layers", None)
    depth = "" if layers is None else f"{counted(layers, 'layer')}, "
    return (
        f"{counted(data.pictures, 'picture')}{kinds}",
        f"made {size} ({options.fit}), {options.holdout} of them held out to validate",
        f"{recipe.model.model}, {depth}{begins}, {counted(recipe.schedule.minutes, 'minute')}",
    )
