"""A comparison from its recipes to its table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pixelgen.comparison.budget import Budget
from pixelgen.comparison.curves import Curve, draw_curves
from pixelgen.comparison.entries import (
    PAPER,
    Entry,
    check_peer_names,
    peer_recipe,
    prepare_entry,
    read_recipes,
)
from pixelgen.comparison.measure import (
    FOLDERS,
    EvaluationSplit,
    Measured,
    measure_gaussian,
    measure_trained,
    measure_uniform,
    stack_sheets,
    unseen_pictures,
)
from pixelgen.comparison.published import (
    Published,
    PublishedSet,
    guess_published_set,
    published_figures,
)
from pixelgen.comparison.results import Comparison, Kind, Row, markdown
from pixelgen.comparison.slices import (
    ComparisonWatcher,
    counters_of,
    held_out_points,
    train_in_slices,
)
from pixelgen.data import open_dataset, summarise
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import write_atomically
from pixelgen.json_text import finite
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import pick_device
from pixelgen.pipelines.drawing import check_whole
from pixelgen.training.logs import SilentWatcher
from pixelgen.training.loop import Reason
from pixelgen.training.recipe import Recipe, load_recipe
from pixelgen.training.recipe_files import table_recipes

TABLE, FIGURES, CURVES, SAMPLES = "table.md", "table.json", "curves.svg", "samples.png"
SLICES = 8
"""Turns of every model in a budget of minutes."""
SLICE_MINUTES = 5.0
"""Of a turn in a budget of operations."""
SAMPLE_COUNT = 8


@dataclass(frozen=True)
class ComparisonOutcome:
    """How a comparison, or this part of it, ended."""

    reason: Reason
    comparison: Comparison | None
    """None before all models are trained."""
    signal: int | None = None
    """The signal that stopped it, if one did."""


def compare(
    recipes: Sequence[str],
    data: str,
    budget: str,
    folder: Path,
    *,
    split: str = "test",
    limit: int | None = None,
    size: int | None = None,
    paper: bool = False,
    peers: Mapping[str, Path] | None = None,
    overrides: Sequence[str] = (),
    published: PublishedSet | None = None,
    samples: int = SAMPLE_COUNT,
    slice_minutes: float | None = None,
    max_minutes: float | None = None,
    watcher: ComparisonWatcher | None = None,
) -> ComparisonOutcome:
    """Trains the models of `recipes` (files, or names of recipes that come with the package) on
    `data` in turns, each with the same `budget` ("30m", "2h", "1e15flop"), measures them on the
    split `split`, and writes table.md, table.json, curves.svg and samples.png to `folder`.

    `limit` measures on that many test pictures at most, `size` averages pictures down to size×size,
    `paper` takes the recipes in the paper's size, `overrides` are "key=value" for all recipes, and
    `peers` are checkouts of other projects by name (see `pixelgen.comparison.peers`). `published`
    are the figures set beside; None: by the name of the data. A turn takes `slice_minutes`. After
    `max_minutes` training stops. Runs are in `folder`; called again with the same arguments, it
    goes on with them, and measures nothing twice.

    Raises UsageError for arguments that do not fit together and more samples than a sheet holds,
    PixelgenError where data, recipes and runs do not fit.
    """
    watcher = watcher or SilentWatcher()
    allowance = Budget.parse(budget)
    if limit is not None:
        limit = check_whole("limit", limit, 1)
    samples = check_whole("samples", samples, 0)
    for name, value in (("slice_minutes", slice_minutes), ("max_minutes", max_minutes)):
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be positive, not {value:g}")
    _check_places(folder)
    found = read_recipes(recipes, data, paper=paper, size=size, overrides=overrides)
    peers = peers or {}
    check_peer_names(peers, found)
    if peers:
        like, sizes = next(iter(found.values())), load_recipe(_reference(paper), overrides)
        found |= {name: peer_recipe(path, like, sizes) for name, path in peers.items()}
    device = pick_device("auto")
    first = next(iter(found.values()))
    check_amount(samples * len(found), (first.model.height, first.model.width))
    measured_on = EvaluationSplit(data, split, limit)
    unseen = unseen_pictures(first, measured_on, watcher.note)  # fails now, not after hours
    measured_on = replace(measured_on, digest=unseen.digest(labels=True))
    total = len(open_dataset(data, split))
    hold_out = not any(text.partition("=")[0].strip() == "data.holdout" for text in overrides)
    entries = [
        prepare_entry(name, recipe, allowance, device, hold_out=hold_out, note=watcher.note)
        for name, recipe in found.items()
    ]
    for entry in entries:
        if entry.pictures - entry.recipe.data.holdout < 2:
            raise PixelgenError(f"{entry.name}: {data} has fewer than two pictures to train on")
        entry.rows(unseen)  # raises for classes that it cannot be given
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelgenError(f"cannot create the folder {folder}: {error.strerror}") from error
    turn = slice_minutes or (allowance.minutes / SLICES or SLICE_MINUTES)
    reason, signal = train_in_slices(
        entries, folder, turn, max_minutes=max_minutes, watcher=watcher
    )
    if reason != "finished":
        return ComparisonOutcome(reason, None, signal)
    chosen = published or guess_published_set(data, int(unseen.images.shape[-1]))
    rows, seen = _rows(entries, folder, measured_on, samples, device, chosen, watcher)
    comparison = Comparison(
        data=Path(data).name or data,
        split=split,
        budget=str(allowance),
        paper=paper,
        training_pictures=entries[0].pictures,
        test_pictures=len(unseen),
        test_total=total,
        train_measured=seen,
        classes=_count_classes(entries[0].recipe),
        published=chosen or "",
        samples=samples,
        device=device.type,
        threads=torch.get_num_threads(),
        rows=tuple(rows),
    )
    _write(comparison, folder)
    return ComparisonOutcome(reason, comparison)


def _count_classes(recipe: Recipe) -> int | None:
    """Different labels of the training pictures; None without labels, and with such as are none for
    pixelgen, which models without classes do not read."""
    try:
        data = recipe.data
        return len(summarise(data.path, data.split, image_column=data.image).counts) or None
    except PixelgenError:
        return None


def _check_places(folder: Path) -> None:
    """Raises UsageError where `folder` cannot hold a comparison: later, hours would be lost."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "give another one")
    for name in FOLDERS:
        if os.path.lexists(folder / name) and not (folder / name).is_dir():
            raise UsageError(f"{folder / name} is not a folder", "compare in another folder")
    for name in (TABLE, FIGURES, CURVES, SAMPLES):
        if (folder / name).is_dir():
            raise UsageError(f"{folder / name} is a folder", "compare in another folder")


def _reference(paper: bool) -> Path:
    """The recipe whose numbers of layers and feature maps peers get."""
    path = table_recipes()["gated_pixelcnn"]
    return path.parent / PAPER / path.name if paper else path


def _rows(
    entries: Sequence[Entry],
    folder: Path,
    split: EvaluationSplit,
    samples: int,
    device: torch.device,
    published: PublishedSet | None,
    watcher: ComparisonWatcher,
) -> tuple[list[Row], int]:
    """All rows, in the order of the published tables, and the number of training pictures that they
    were measured on."""
    known = published_figures(published)
    recipe, digest = entries[0].recipe, entries[0].data_digest
    uniform = measure_uniform(recipe, split, watcher.note)
    gaussian = measure_gaussian(recipe, digest, folder, split, watcher.note)
    rows = {"uniform": _row("uniform", "closed form", False, uniform, known)}
    if gaussian is not None:
        rows["gaussian"] = _row("gaussian", "closed form", True, gaussian, known)
    for entry in entries:
        measured = measure_trained(entry, folder, split, samples, device, watcher.note)
        row = _row(entry.name, "trained", entry.bound, measured, known)
        counters = counters_of(folder, entry)
        rows[entry.name] = replace(
            row,
            title=row.title + ", given the class" * bool(entry.labels),
            flops_per_picture=entry.flops,
            pictures=counters.images,
            epochs=counters.images / (entry.pictures - entry.recipe.data.holdout),
            flops=counters.images * entry.flops,
            minutes=counters.seconds / 60,
            pictures_per_second=counters.images / max(counters.seconds, 1e-9),
            seconds_per_sample=measured.seconds_per_sample,
            sampler=measured.sampler,
            curve=held_out_points(folder, entry),
        )
    order = {key: number for number, key in enumerate(known)}
    for key, figure in known.items():
        if key not in rows and figure.test is not None:
            rows[key] = _row(key, "published", figure.bound, None, known)
    ordered = sorted(rows.values(), key=lambda row: order.get(row.name, len(order)))
    return ordered, uniform.train_pictures


def _row(
    name: str, kind: Kind, bound: bool, measured: Measured | None, known: Mapping[str, Published]
) -> Row:
    figure = known.get(name, Published(name, name))
    return Row(
        name=name,
        title=figure.title,
        kind=kind,
        bound=bound,
        test=None if measured is None else measured.test,
        train=None if measured is None else measured.train,
        published_test=figure.test,
        published_train=figure.train,
        published_bound=figure.bound,
        source=figure.source,
        parameters=None if measured is None else measured.parameters,
    )


def _write(comparison: Comparison, folder: Path) -> None:
    """The files of a finished comparison."""
    trained = [row for row in comparison.rows if row.kind == "trained"]
    if comparison.samples:
        stack_sheets(folder, [row.name for row in trained], folder / SAMPLES)
    curves = [Curve(row.title, row.curve) for row in trained]
    text = json.dumps(finite(comparison.to_dict()), ensure_ascii=False, indent=1) + "\n"
    shown = markdown(comparison, CURVES, SAMPLES if comparison.samples else "")
    write_atomically(folder / CURVES, draw_curves(curves).encode())
    write_atomically(folder / FIGURES, text.encode())
    write_atomically(folder / TABLE, shown.encode())
