"""Exact bits per dimension of autoregressive models on the images of a split."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData
from pixelgen.data.same_person_index import other_photos
from pixelgen.errors import PixelgenError
from pixelgen.evaluation.results import BitsPerDim
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.metrics.classifiers import Classifier, load_classifier
from pixelgen.metrics.progress import OnProgress
from pixelgen.metrics.reconstruction import encode
from pixelgen.metrics.verification import embed
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition


class Likelihoods(NamedTuple):
    """The likelihoods of `Evaluation`."""

    conditional: BitsPerDim | None = None
    unconditional: BitsPerDim | None = None
    given_vectors: BitsPerDim | None = None


def measure_likelihood(
    weights: LoadedCheckpoint,
    images: ImageData,
    data: str,
    *,
    batch: int,
    unconditional: bool,
    of_part: Callable[[str], OnProgress | None],
) -> Likelihoods:
    """Bits per dimension of the images, or of their codes, with and without their conditions; with
    `unconditional` without only. Weights that were never trained without a class have none without.
    Raises PixelgenError where the data, which errors call `data`, do not fit the weights, and where
    the network gives no numbers."""
    model, grids = weights.model, images.images
    if weights.config.can_encode:
        grids = encode(weights.codec, grids, batch, progress=of_part("codes"))
    elif model.config.levels != 256:
        raise PixelgenError(
            f"{weights.name} models {model.config.levels} levels, pictures have 256"
        )

    def bits(part: str, grids: Tensor, condition: Condition | None) -> BitsPerDim:
        found = image_bits(model, grids, condition, batch, progress=of_part(part))
        if found.isnan().any():
            raise weights.not_finite_error()
        return BitsPerDim.of(found)

    conditional = given_vectors = None
    if not unconditional:
        condition, rows = _condition(weights, images, data, batch)
        if condition is not None:
            conditional = bits("conditional", grids[rows], condition)
            vectors = _vectors(weights, images.images, of_part("features"))
            if vectors is not None:
                both = Condition(condition.classes, vectors)
                given_vectors = bits("given vectors", grids, both)
    without = bits("unconditional", grids, None) if weights.config.unconditional else None
    return Likelihoods(conditional, without, given_vectors)


def _condition(
    weights: LoadedCheckpoint, images: ImageData, data: str, batch: int
) -> tuple[Condition | None, Tensor | slice]:
    """The conditions, and the rows of the images that they belong to: the class of each image, or
    the embedding of another photo of the same person, for people with two photos or more. None
    where the weights, or the images, have no condition."""
    config = weights.config
    if not config.labels and config.embedder is None:
        return None, slice(None)
    if images.labels is None:
        message = f"{data} has no column of labels"
        if not config.unconditional:
            raise PixelgenError(message, f"{weights.name} was never trained without a class")
        raise PixelgenError(
            message,
            "set unconditional=True to measure without them",
            code="evaluate-without-labels",
        )
    if config.embedder is None:
        return Condition(images.rows(config.labels)), slice(None)
    every = torch.arange(len(images))
    others = other_photos(images.labels, every)
    rows = (others != every).nonzero()[:, 0]
    if not len(rows):
        return None, rows
    embeddings = embed(weights.embedder.first(), images.images, batch)
    return Condition(vector=embeddings[others[rows]]), rows


def _vectors(
    weights: LoadedCheckpoint, images: Tensor, progress: OnProgress | None
) -> Tensor | None:
    """The condition vectors [N, D] of the images' own classifier features; None where the weights
    have no such vectors, or the classifier is not installed."""
    config = weights.config
    if not config.model.vector_features:
        return None
    prior = weights.model.class_prior
    assert isinstance(prior, ClassPrior)  # guaranteed by the configuration
    device = prior.centre.device
    with suppress(PixelgenError):
        trunk, head = load_classifier("lite0", "the condition vector of a picture", device)
        size = int(config.data.get("features_scale", 1)) * config.image_shape[1]
        features = Classifier(trunk, head, size=size).features(images, progress)
        with torch.inference_mode():
            return prior.project(features.to(device)).cpu()
    return None
