"""What a data set holds, before its pictures are decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pixelgen.data.images import (
    IMAGE_COLUMN,
    holds_texts,
    open_dataset,
    picture_folders,
    pictures_in_no_split,
    read_labels,
)
from pixelgen.errors import PixelgenError
from pixelgen.imaging.formats import picture_endings

if TYPE_CHECKING:
    from datasets import Dataset

IMAGE_COLUMNS = (IMAGE_COLUMN, "img", "picture", "photo", "file", "file_name", "filename", "path")
LABEL_COLUMNS = ("label", "labels", "class", "category", "kind", "fine_label", "target")
"""Names of columns that are taken where the data set does not say what a column is."""
_LOOKED_AT = 100
"""Rows in which names of pictures are looked for."""


@dataclass(frozen=True)
class DataSummary:
    """The pictures of a split: how many, and of what classes."""

    path: str
    """A folder, a file, or a Hub data set."""
    split: str
    pictures: int
    image_column: str = IMAGE_COLUMN
    label_column: str = "label"
    counts: Mapping[str, int] = field(default_factory=dict)
    """Pictures of every class, in the order of their numbers; empty without labels."""
    columns: tuple[str, ...] = ()
    """All columns of the data set."""
    folders: tuple[Path, ...] = ()
    """Where in a folder its pictures lie, if they lie at different depths, and so have no
    classes."""
    in_no_split: Mapping[Path, int] = field(default_factory=dict)
    """Pictures of a folder that are in none of its splits, by the folder in it that holds them."""
    dataset: Dataset | None = field(default=None, compare=False, repr=False)
    """The split itself, open."""


def summarise(
    ref: str | Path, split: str = "train", *, image_column: str = "", label_column: str = ""
) -> DataSummary:
    """What the split `split` of `ref` holds (see `load_images`). Columns that are not given are
    guessed. Raises PixelgenError for a data set, split or column that does not exist."""
    dataset = open_dataset(ref, split)
    name = f"{ref} ({split})"
    images = image_column or guess_image_column(dataset)
    if not images or images not in dataset.column_names:
        raise PixelgenError(
            f"{name} has no column " + (repr(images) if images else "of pictures"),
            f"set image_column to one of: {', '.join(dataset.column_names)}",
            code="which-column",
        )
    if label_column and label_column not in dataset.column_names:
        raise PixelgenError(
            f"{name} has no column {label_column!r}",
            f"set label_column to one of: {', '.join(dataset.column_names)}",
            code="which-column",
        )
    labels_in = label_column or _guess(dataset, LABEL_COLUMNS, "ClassLabel")
    if not labels_in and holds_texts(dataset, images):
        labels_in = _column_of_classes(dataset, images)
    labels_in = labels_in or "label"
    labels = read_labels(dataset, ref, images, labels_in)
    counts: dict[str, int] = {}
    folders: list[Path] = []
    if labels is None:
        folders = picture_folders(dataset, ref, images)
    else:
        found = Counter(labels.values.tolist())
        counts = {labels.name(number): found[number] for number in sorted(found)}
    return DataSummary(
        str(ref),
        split,
        len(dataset),
        images,
        labels_in,
        counts,
        tuple(dataset.column_names),
        tuple(folders) if len(folders) > 1 else (),
        pictures_in_no_split(dataset, ref, images),
        dataset,
    )


def guess_image_column(dataset: Dataset) -> str:
    """The column that seems to hold the pictures, or empty."""
    return _guess(dataset, IMAGE_COLUMNS, "Image") or _column_of_files(dataset)


def _guess(dataset: Dataset, names: tuple[str, ...], kind: str) -> str:
    """The first column of the kind of feature `kind`, or else with one of `names`; or empty."""
    for column, feature in dataset.features.items():
        if type(feature).__name__ == kind:
            return str(column)
    lower = {column.casefold(): column for column in dataset.column_names}
    return next((lower[name] for name in names if name in lower), "")


def _column_of_files(dataset: Dataset) -> str:
    """The first column whose texts end as the names of pictures do, or empty."""
    endings = tuple(picture_endings())
    for column in dataset.column_names:
        texts = dataset[:_LOOKED_AT][column] if holds_texts(dataset, column) else []
        if any(texts) and all(text.lower().endswith(endings) for text in texts if text):
            return str(column)
    return ""


def _column_of_classes(dataset: Dataset, images: str) -> str:
    """The first other column of texts than `images` with one of a few in every row, or empty."""
    for column in dataset.column_names:
        if column != images and holds_texts(dataset, column):
            texts = dataset[:][column]
            if all(texts) and 2 * len({*texts}) <= len(texts):
                return str(column)
    return ""
