"""A data set prepared for a run: batches to train on, and held-out images to validate on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixelgen.data import ImageData, cut, load_images
from pixelgen.data.images import LISTS
from pixelgen.data.same_person_index import SamePersonIndex, other_photos
from pixelgen.errors import PixelgenError, counted
from pixelgen.metrics.progress import OnNote, OnProgress, ignore_note
from pixelgen.models.conditioning import Condition
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.random_streams import RandomStream, stream_generator
from pixelgen.training.batches import (
    Batches,
    BatchSource,
    ConditionVectors,
    IdentityBatches,
    hold_out,
)
from pixelgen.training.class_prior_fit import ClassVectors
from pixelgen.training.recipe import DataRecipe, Recipe

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class FaceConditioning:
    """The source of condition vectors that are embeddings of faces."""

    embedder: FaceEmbedder
    faces: Tensor
    """Some of the faces, uint8 [N, 3, S, S]."""


@dataclass(frozen=True)
class TrainingData:
    """A data set, prepared for a network."""

    batches: BatchSource
    """What is trained on."""
    held: Tensor
    """Held-out images (or grids of codes), uint8 [M, C, H, W]."""
    held_condition: Condition | None
    """Their condition; for a face embedder, `classes` says who is in them."""
    labels: list[int]
    """The label in the data of every row of the class condition."""
    class_names: list[str] = field(default_factory=list)
    """Their names; empty where they are ILSVRC class indices, and without classes."""
    fitted: dict[str, Tensor] = field(default_factory=dict)
    """Tensors of the network, by name, that are fitted to the data and not trained."""
    initial: Callable[[], dict[str, Tensor]] | None = None
    """Fits more such tensors for a new run; weights that it starts from may replace them."""
    face_conditioning: FaceConditioning | None = None
    """Where condition vectors are the embeddings of faces."""


def load_pictures(
    recipe: Recipe,
    *,
    limit: int | None = None,
    note: OnNote = ignore_note,
    progress: OnProgress | None = None,
    dataset: Dataset | None = None,
) -> ImageData:
    """The pictures of a recipe's data, before it crops them. Those without labels are all of the
    only class of its model, if that has one. `limit`, `note`, `progress` and `dataset` are as for
    `load_images`, which says what is raised."""
    options = recipe.data
    data = load_images(
        options.path,
        options.split,
        size=options.size or None,
        fit=options.fit or None,
        limit=limit,
        image_column=options.image,
        label_column=recipe.label_column,
        skip_unreadable=options.skip_unreadable,
        note=note,
        progress=progress,
        dataset=dataset,
    )
    if recipe.model.classes == 1 and data.labels is None:
        return data.of_one_class(only_class(options.path))
    return data


def only_class(path: str) -> str:
    """The class of all pictures of a data set without labels."""
    name = Path(path).stem if Path(path).suffix.lower() in LISTS else Path(path).name
    return name or "pictures"


def check_data(recipe: DataRecipe, data: ImageData) -> None:
    """Raises PixelgenError where no image would be left to train on, or images cannot be
    cropped."""
    if recipe.holdout >= len(data):
        raise PixelgenError(f"data.holdout is {recipe.holdout}, the data has {len(data)} pictures")
    height, width = data.images.shape[-2:]
    if recipe.crop > min(height, width):
        raise PixelgenError(f"data.crop is {recipe.crop}, the pictures are {width}×{height}")
    if recipe.jitter and not recipe.crop and height != width:
        raise PixelgenError(
            f"data.jitter requires square pictures, these are {width}×{height}", "set data.crop"
        )


def by_picture(
    recipe: Recipe,
    data: ImageData,
    views: Tensor,
    embeddings: Tensor | None = None,
    fit_vectors: Callable[[Tensor, Tensor], ClassVectors] | None = None,
    loss_vectors: Tensor | None = None,
    drop_own_condition: bool = False,
) -> TrainingData:
    """Batches of single images. `views` uint8 [V, N, C, H, W] are the views of each image; codes
    are cropped and mirrored already.

    With `embeddings` [N, D] as condition vectors, `data.label` is the column of people, and whole
    people are held out. `fit_vectors(rows, classes)` fits condition vectors to the rows that are
    trained on. `loss_vectors` [N, F] are passed to the loss as vectors, not to the network.
    `drop_own_condition`: see `Batches`.
    """
    config, options = recipe.model, recipe.data
    labels: list[int] = []
    classes: Tensor | None = None
    if config.classes:
        labels = data.occurring_labels()
        if data.labels is None and options.label:
            raise PixelgenError(
                f"{options.path} has no column {options.label!r}",
                "set data.label, or model.classes = 0",
            )
        if labels and labels[0] < 0:
            raise PixelgenError(
                f"label {labels[0]} of the data is not a class",
                "label -1 marks splits without labels: take another, or set model.classes = 0",
            )
        unread = [name for i, name in enumerate(data.label_names) if i not in labels]
        if unread and len(data.label_names) == config.classes:
            raise PixelgenError(
                f"there is no readable picture of class {unread[0]!r}",
                "add some, or remove the class",
            )
        if len(labels) != config.classes:
            raise PixelgenError(
                f"model.classes is {config.classes}, the data has {counted(len(labels), 'label')}",
                "set model.classes",
            )
        classes = data.rows(labels)
    check_data(options, data)
    vectors: ConditionVectors | None = None
    vector: Tensor | None = None
    fitted: dict[str, Tensor] = {}
    if embeddings is not None:
        people, kept, held = _hold_out_people(recipe, data)
        same_person = SamePersonIndex(people, kept)
        others = other_photos(people, held)
        paired = others != held
        held, others = held[paired], others[paired]
        if options.holdout and not len(held):
            raise PixelgenError(
                "the held-out people have one picture each, and validation needs two of a person",
                "raise data.holdout, or set it to 0",
            )
        vectors = ConditionVectors(
            embeddings, same_person, options.other_photo, options.vector_noise
        )
        vector = embeddings[others]
    else:
        kept, held = hold_out(len(data), options.holdout, recipe.seed)
    if fit_vectors is not None:
        assert classes is not None  # such models have classes
        h, prior = fit_vectors(kept, classes)
        vectors = ConditionVectors(h, noise=options.vector_noise, dropout=options.vector_dropout)
        vector = h[held]
        fitted = {f"class_prior.{name}": t for name, t in prior.state_dict().items()}
    if loss_vectors is not None:
        vectors = ConditionVectors(loss_vectors)
    encoded = bool(options.tokenizer) and options.views > 0
    held_images = views[0, held]
    if options.crop and not encoded:
        held_images = cut(held_images, options.crop)
    batches = Batches(
        views,
        classes,
        kept,
        seed=recipe.seed,
        flip=options.flip and not encoded,
        crop=0 if encoded else options.crop,
        jitter=0 if encoded else options.jitter,
        null_class=config.classes,
        class_dropout=options.class_dropout,
        vectors=vectors,
        drop_own_condition=drop_own_condition,
    )
    condition = None
    if classes is not None or vector is not None:
        condition = Condition(None if classes is None else classes[held], vector)
    names = data.class_names() if labels else []
    return TrainingData(batches, held_images, condition, labels, names, fitted)


def _hold_out_people(recipe: Recipe, data: ImageData) -> tuple[Tensor, Tensor, Tensor]:
    """The person in each image, int64 [N]; the rows to train on; and those of whole people who are
    held out, at least `data.holdout` images. Raises PixelgenError for data without people."""
    options = recipe.data
    if data.labels is None:
        raise PixelgenError(
            f"{options.path} has no column {options.label!r}",
            "set data.label to the column of the people",
        )
    names, people, counts = data.labels.unique(return_inverse=True, return_counts=True)
    generator = stream_generator(recipe.seed, RandomStream.HOLDOUT_PEOPLE)
    order = torch.randperm(len(names), generator=generator)
    before = counts[order].cumsum(0) - counts[order]
    aside = torch.zeros(len(names), dtype=torch.bool)
    aside[order[before < options.holdout]] = True
    if aside.all():
        raise PixelgenError(
            f"data.holdout of {options.holdout} pictures holds out all {len(names)} people",
            "lower it: all pictures of a person are held out together",
        )
    held = aside[people]
    return people, (~held).nonzero().flatten(), held.nonzero().flatten()


def by_identity(recipe: Recipe, data: ImageData) -> TrainingData:
    """Batches of several images of each of several people; whole people are held out, at least
    `data.holdout` images."""
    options = recipe.data
    check_data(options, data)
    people, kept, held = _hold_out_people(recipe, data)
    if len(held):
        _, counts = people[held].unique(return_counts=True)
        if len(counts) < 2 or int(counts.max()) < 2:
            raise PixelgenError(
                f"data.holdout of {options.holdout} pictures holds out too few people: validation "
                "needs two, and two pictures of one",
                "raise it, or set it to 0",
            )
    size = options.crop or data.images.shape[-1]
    try:
        batches = IdentityBatches(
            data.images,
            people,
            kept,
            shots=recipe.triplets.shots,
            favour=recipe.triplets.favour,
            seed=recipe.seed,
            flip=options.flip,
            crop=options.crop,
            jitter=options.jitter,
        )
    except ValueError as error:
        raise PixelgenError(f"{options.path}: {error}") from error
    faces = cut(data.images[held], size).contiguous()
    return TrainingData(batches, faces, Condition(classes=people[held]), [])
