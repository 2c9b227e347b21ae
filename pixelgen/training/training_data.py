"""What a run trains on and is watched by: batches, and pictures that are held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pixelgen.data import ImageData, cut
from pixelgen.data.same_person_index import SamePersonIndex, other_photos
from pixelgen.errors import PixelgenError
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.random_streams import RandomStream, stream_generator
from pixelgen.training.batches import (
    Batches,
    BatchSource,
    ConditionVectors,
    IdentityBatches,
    hold_out,
)
from pixelgen.training.recipe import DataRecipe, Recipe


@dataclass(frozen=True)
class FaceConditioning:
    """What condition vectors were made by, and some of what they were made of."""

    embedder: FaceEmbedder
    faces: Tensor
    """uint8 [N, 3, S, S]."""


@dataclass(frozen=True)
class TrainingData:
    """A data set, made ready for a network."""

    batches: BatchSource
    """What is trained on."""
    held: Tensor
    """Pictures (or grids of codes) that are never trained on, uint8 [M, C, H, W]."""
    held_condition: Condition | None
    """Their condition; for a face embedder, as classes, who is on them."""
    labels: list[int]
    """The data's label of every row of the class condition."""
    fitted: dict[str, Tensor] = field(default_factory=dict)
    """Tensors of the network, by name, that follow from the data and are not trained."""
    initial: Callable[[], dict[str, Tensor]] | None = None
    """What finds such tensors for a new run; weights that it starts from may have their own."""
    embedded: FaceConditioning | None = None
    """Where condition vectors are the embeddings of faces."""


def check_data(recipe: DataRecipe, data: ImageData) -> None:
    """Raises PixelgenError where nothing would be left to train on, or pictures cannot be cut."""
    if recipe.holdout >= len(data):
        raise PixelgenError(f"data.holdout is {recipe.holdout}, the data has {len(data)} pictures")
    height, width = data.images.shape[-2:]
    if recipe.crop > min(height, width):
        raise PixelgenError(f"data.crop is {recipe.crop}, the pictures are {width}×{height}")
    if recipe.jitter and not recipe.crop and height != width:
        raise PixelgenError(f"data.jitter of pictures of {width}×{height} needs data.crop")


def by_picture(
    recipe: Recipe,
    data: ImageData,
    views: Tensor,
    embeddings: Tensor | None = None,
    seen: Callable[[Tensor, Tensor], tuple[Tensor, ClassPrior]] | None = None,
    beside: Tensor | None = None,
) -> TrainingData:
    """Every picture counts for itself; `views` uint8 [V, N, C, H, W] are its forms, cut and
    mirrored already if they are codes.

    With `embeddings` [N, D], the condition vectors, `data.label` says who is on the pictures, and
    whole people are held out. With `seen`, the condition vectors [N, D] and p(h | class) are what
    that makes of the rows that are trained on, and of all classes. `beside` [N, F] is what the
    objective is given as the vectors of pictures, though the network is not.
    """
    config, given = recipe.model, recipe.data
    labels: list[int] = []
    classes: Tensor | None = None
    if config.classes:
        labels = data.occurring_labels()
        if labels and labels[0] < 0:
            raise PixelgenError(
                f"label {labels[0]} of the data is no class",
                "splits without labels say -1: take another, or set model.classes to 0",
            )
        if len(labels) != config.classes:
            raise PixelgenError(
                f"model.classes is {config.classes}, the data has {len(labels)} labels"
            )
        classes = data.rows(labels)
    check_data(given, data)
    vectors: ConditionVectors | None = None
    vector: Tensor | None = None
    fitted: dict[str, Tensor] = {}
    if embeddings is not None:
        who, kept, held = _people(recipe, data)
        companions = SamePersonIndex(who, kept)
        others = other_photos(who, held)
        told = others != held  # by another photo, or not measured
        held, others = held[told], others[told]
        if given.holdout and not len(held):
            raise PixelgenError(
                "the people who are held out have one picture each, to be told by another",
                "raise data.holdout, or set it to 0",
            )
        vectors = ConditionVectors(embeddings, companions, given.other_photo, given.vector_noise)
        vector = embeddings[others]
    else:
        kept, held = hold_out(len(data), given.holdout, recipe.seed)
    if seen is not None:
        assert classes is not None  # the configuration sees to both
        h, found = seen(kept, classes)
        vectors = ConditionVectors(h, noise=given.vector_noise, dropout=given.vector_dropout)
        vector = h[held]
        fitted = {f"class_vectors.{name}": t for name, t in found.state_dict().items()}
    if beside is not None:
        vectors = ConditionVectors(beside)
    ready = bool(given.tokenizer) and given.views > 0
    held_images = views[0, held]
    if given.crop and not ready:
        held_images = cut(held_images, given.crop)
    batches = Batches(
        views,
        classes,
        kept,
        seed=recipe.seed,
        flip=given.flip and not ready,
        crop=0 if ready else given.crop,
        jitter=0 if ready else given.jitter,
        null_class=config.classes,
        class_dropout=given.class_dropout,
        vectors=vectors,
        own_vectors=isinstance(config, AutoencoderConfig),
    )
    condition = None
    if classes is not None or vector is not None:
        condition = Condition(None if classes is None else classes[held], vector)
    return TrainingData(batches, held_images, condition, labels, fitted)


def _people(recipe: Recipe, data: ImageData) -> tuple[Tensor, Tensor, Tensor]:
    """Who is on each picture, int64 [N]; the rows to train on; and those of whole people who are
    held out, at least `data.holdout` pictures. Raises PixelgenError for data without people."""
    given = recipe.data
    if data.labels is None:
        raise PixelgenError(
            f"{given.path} has no column {given.label!r}", "set data.label to that of the people"
        )
    people, who, counts = data.labels.unique(return_inverse=True, return_counts=True)
    generator = stream_generator(recipe.seed, RandomStream.HOLDOUT_PEOPLE)
    order = torch.randperm(len(people), generator=generator)
    before = counts[order].cumsum(0) - counts[order]
    aside = torch.zeros(len(people), dtype=torch.bool)
    aside[order[before < given.holdout]] = True
    if aside.all():
        raise PixelgenError(
            f"data.holdout of {given.holdout} pictures takes all {len(people)} people",
            "lower it: people are held out as a whole",
        )
    return who, (~aside[who]).nonzero().flatten(), aside[who].nonzero().flatten()


def by_identity(recipe: Recipe, data: ImageData) -> TrainingData:
    """Batches of several pictures of each of several people; whole people are held out, until there
    are `data.holdout` pictures of them."""
    given = recipe.data
    check_data(given, data)
    who, kept, held = _people(recipe, data)
    if len(held):
        _, counts = who[held].unique(return_counts=True)
        if len(counts) < 2 or int(counts.max()) < 2:
            raise PixelgenError(
                f"data.holdout of {given.holdout} pictures holds out too few people to tell apart",
                "raise it, or set it to 0",
            )
    size = given.crop or data.images.shape[-1]
    try:
        batches = IdentityBatches(
            data.images,
            who,
            kept,
            shots=recipe.triplets.shots,
            favour=recipe.triplets.favour,
            seed=recipe.seed,
            flip=given.flip,
            crop=given.crop,
            jitter=given.jitter,
        )
    except ValueError as error:
        raise PixelgenError(f"{given.path}: {error}") from error
    faces = cut(data.images[held], size).contiguous()
    return TrainingData(batches, faces, Condition(classes=who[held]), [])
