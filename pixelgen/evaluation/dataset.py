"""The images of a split in the form that weights take, and the classes or people to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import (
    IMAGE_COLUMN,
    ImageData,
    cut,
    guess_image_column,
    load_images,
    open_dataset,
)
from pixelgen.errors import PixelgenError
from pixelgen.imaging import DataFit
from pixelgen.labels import imagenet, imagenet_catalogue
from pixelgen.metrics.progress import OnNote, OnProgress, ignore_note

Part = Literal["all", "tune", "report"]
"""Which classes or people are measured: all, every second one to choose settings by, or the others
to report figures that these choices did not see."""


def classes_of(part: Part, labels: Sequence[int]) -> list[int]:
    """The labels of a part, in order; `tune` begins with the first."""
    first, step = {"all": (0, 1), "tune": (0, 2), "report": (1, 2)}[part]
    return sorted(labels)[first::step]


def load_matching_images(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    limit: int | None = None,
    note: OnNote = ignore_note,
    progress: OnProgress | None = None,
) -> ImageData:
    """The images of a split in the size of the weights: made square as in the training, downscaled
    or, for weights that were trained on a crop of their data, cropped. Labels have the numbers of
    the classes of the weights; images without labels are of the only class, where there is one.
    `note` is called as by `load_images`. Raises PixelgenError where they do not fit."""
    channels, height, width = weights.config.image_shape
    training = weights.config.data
    cropped = training.get("crop") == height == width
    size = height if height == width else None
    if cropped:  # the images may have been downscaled first
        size = training.get("size") or None
    dataset = open_dataset(data, split)
    column = str(training.get("image") or IMAGE_COLUMN)
    if column not in dataset.column_names:  # other data may call it otherwise
        column = guess_image_column(dataset) or column
    images = load_images(
        data,
        split,
        size=size,
        image_column=column,
        dataset=dataset,
        fit=training.get("fit") if size and training.get("fit") in get_args(DataFit) else None,
        limit=limit,
        label_column=label_column(weights),
        note=note,
        progress=progress,
    )
    if cropped and min(images.images.shape[-2:]) >= height:
        images = replace(images, images=cut(images.images, height).contiguous())
    if len(weights.config.labels) == 1 and images.labels is None:
        images = images.of_one_class(weights.config.classes.name(weights.config.labels[0]))
    if weights.config.labels:
        images = images.relabelled(weights.config.classes)
    shape, expected = tuple(images.images.shape[1:]), (channels, height, width)
    if shape != expected:
        raise PixelgenError(
            f"the pictures are {shape} (channels, rows, columns), the weights are for {expected}"
        )
    return images


def label_column(weights: LoadedCheckpoint) -> str:
    """The column that held the labels when the weights were trained."""
    return str(weights.config.data.get("label") or "label")


def with_ilsvrc_labels(images: ImageData) -> ImageData | None:
    """The same with labels that are ILSVRC indices: those of the names that the data set declares,
    or, where it declares none, the labels as they are. None where they are other classes, and
    without labels. Names that are numbers are ILSVRC's only if there are 1000 of them."""
    names = images.label_names
    if 0 < len(names) < len(imagenet()) and all(name.isdecimal() for name in names):
        return None  # digits, say
    with suppress(PixelgenError):  # for a name that is none of ILSVRC's
        images = images.relabelled(imagenet_catalogue())
        labels = images.occurring_labels()
        if labels and 0 <= labels[0] <= labels[-1] < len(imagenet()):
            return images
    return None
