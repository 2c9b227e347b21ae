"""From what a user names, pictures or a recipe, to what is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints import read_config, resolve_weights
from pixelgen.checkpoints.card import check_license
from pixelgen.data import DataSummary, summarise
from pixelgen.errors import PixelgenError, UsageError, counted, did_you_mean
from pixelgen.files import expanded
from pixelgen.training.photo_recipe import FROM_NOTHING, PhotoTraining, photo_recipe, preset_of
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
    `overrides`, `minutes` and `license`; other arguments may only repeat what it was started with.
    Raises UsageError and PixelgenError for a source that does not exist, and for arguments that do
    not fit.
    """
    check_license(license or "")
    path = _recipe_path(source)
    given = {name: value for name, value in options.items() if value is not None}
    columns = {"image_column": image_column, "label_column": label_column}
    resumed = resume and state_path(folder) is not None
    if path is not None:
        wrong = next(iter([*given, *(n for n, v in columns.items() if v is not None)]), None)
        if wrong is not None:
            raise UsageError(
                f"{wrong} is for pictures, and {source} is a recipe",
                "change the recipe, or override its keys",
                code="photo-option-with-recipe",
            )
        changes = [*overrides, *([f"card.license={license}"] if license else [])]
        recipe = load_recipe(path, changes)
        if resumed and start is not None:
            began = read_run(folder).started_from or FROM_NOTHING
            _check_unchanged({"start": start}, {"start": began})
        if resumed or start == FROM_NOTHING:
            start = None
        return Plan(recipe, start, _recipe_lines(recipe, start))
    known = {name: value for name, value in columns.items() if value is not None}
    if resumed:
        given |= {name: value for name, value in (("start", start), ("license", license)) if value}
        return Plan(_resumed(folder, source, overrides, given | known))
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
            f"no pictures and no recipe {source!r}{did_you_mean(source, [*known, *_folders()])}",
            "give a folder of pictures, a recipe, or a data set of the Hub owner/name",
        )
    return None


def _folders() -> list[str]:
    """The names of the folders in the current folder."""
    try:
        return [entry.name for entry in os.scandir() if entry.is_dir()]
    except OSError:
        return []


def _resumed(folder: Path, source: str, overrides: Sequence[str], given: dict[str, Any]) -> Recipe:
    """The recipe of the run in `folder`, with changes; `given` are the arguments of
    `plan_training`."""
    run = read_run(folder)
    try:
        recipe = recipe_from_dict(run.recipe)
    except ValueError as error:
        raise PixelgenError(f"the recipe saved in {folder} does not fit: {error}") from error
    data = recipe.data
    if os.path.abspath(expanded(source)) != os.path.abspath(expanded(data.path)):
        raise UsageError(
            f"the run in {folder} trains on {data.path}, not on {source}",
            "name those pictures, or start a new run in another folder",
        )
    changes = {"minutes": "schedule.minutes", "license": "card.license"}
    saved = {
        "size": data.size,
        "fit": data.fit,
        "image_column": data.image,
        "label_column": data.label,
        "start": run.started_from or FROM_NOTHING,
        "preset": preset_of(recipe.model),
    }
    if given.get("preset") == "auto":  # whichever the run has
        saved["preset"] = "auto"
    _check_unchanged({name: x for name, x in given.items() if name not in changes}, saved)
    texts = [f"{key}={given[name]}" for name, key in changes.items() if name in given]
    table = recipe.to_dict()
    for text in (*overrides, *texts):
        override(table, text)
    try:
        return recipe_from_dict(table)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_unchanged(given: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raises UsageError for an option that the run was started with another value of."""
    for name, value in given.items():
        if value != saved[name]:
            raise UsageError(
                f"{name} cannot change while a run is resumed: this one was started with "
                f"{saved[name] or 'none'}",
                "leave it out, or start a new run",
                code="option-while-resuming",
            )


def _lines(recipe: Recipe, data: DataSummary, start: str | None) -> tuple[str, ...]:
    counts, options = data.counts, recipe.data
    listed = _listed([f"{name} ({count})" for name, count in counts.items()])
    kinds = f" of {len(counts)} classes: {listed}" if len(counts) > 1 else ""
    size = f"{options.size}×{options.size}"
    return (
        f"{counted(data.pictures, 'picture')}{kinds}",
        *_remarks(data),
        f"made {size} ({options.fit}), {options.holdout} of them held out to validate",
        _network_line(recipe, start),
        *([] if start is None else _known_classes(data, start)),
    )


def _known_classes(data: DataSummary, start: str) -> list[str]:
    """Which classes start as those of the weights, as `LikelihoodTask.warm_start` finds them."""
    from pixelgen.training.tasks.likelihood import class_keys  # with torch

    source = resolve_weights(start)
    config = read_config(source.path, source.name)
    names = list(data.counts)
    old = {*class_keys(config.labels, config.class_names)}
    keys = zip(names, class_keys(range(len(names)), names), strict=True)
    known = [name for name, key in keys if key in old]
    if not names or not old:
        return []
    if not known:
        return [
            f"{start} has none of these classes: each starts from the mean of the classes of "
            f"{start}"
        ]
    others = "; others from the mean of its classes" if len(known) < len(names) else ""
    return [f"classes that start as those of {start}: {_listed(known)}{others}"]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")


def _remarks(data: DataSummary) -> list[str]:
    """How columns were chosen, which pictures are not read, and why there are no classes where some
    may be expected."""
    remarks = []
    if others := {*data.columns} - {data.image_column, data.label_column}:
        classes = f"classes from {data.label_column!r}" if data.counts else "no classes"
        ignored = ", ".join(map(repr, sorted(others)))
        remarks.append(
            f"pictures from column {data.image_column!r}, {classes}; not used: {ignored}"
        )
    if data.folders:
        first, last = (Path(data.path) / folder for folder in (data.folders[0], data.folders[-1]))
        remarks.append(
            f"no classes, since pictures lie at different depths, in {first} and in {last}: move "
            "each into the folder of its class"
        )
    if data.in_no_split:
        left_out = counted(sum(data.in_no_split.values()), "picture")
        where = _listed([str(Path(data.path) / folder) for folder in sorted(data.in_no_split)])
        remarks.append(
            f"not read: {left_out} in {where}, outside of the folders of splits (train, "
            "validation, test); rename such a folder if it is no split"
        )
    return remarks


def _recipe_lines(recipe: Recipe, start: str | None) -> tuple[str, ...]:
    data = recipe.data
    size = f", made {data.size}×{data.size}" if data.size else ""
    held_out = f"{data.holdout} of them held out to validate"
    return (
        f"pictures of {data.path} ({data.split}){size}, {held_out}",
        _network_line(recipe, start),
    )


def _network_line(recipe: Recipe, start: str | None) -> str:
    """The network, what it starts from, and how long it is trained."""
    from pixelgen.checkpoints.instantiate import parameter_count  # with torch

    layers, schedule = getattr(recipe.model, "layers", None), recipe.schedule
    parameters = parameter_count(recipe.model)
    parts = [recipe.model.model]
    if layers is not None:
        parts.append(counted(layers, "layer"))
    if parameters is not None:
        parts.append(f"{parameters / 1e6:.2f} M parameters")
    parts.append(f"from the weights {start}" if start else "from scratch")
    steps = counted(schedule.steps, "step")
    parts.append(steps if schedule.steps else counted(schedule.minutes, "minute"))
    return ", ".join(parts)
