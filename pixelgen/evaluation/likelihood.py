"""What weights reach on a split: exact bits per dimension, and how near reconstructions come."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData, cut, load_images
from pixelgen.errors import PixelgenError
from pixelgen.metrics.classifiers import Classifier, load_classifier
from pixelgen.metrics.perceptual import load_perceptual
from pixelgen.metrics.progress import Progress, Told, teller
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import to_signed
from pixelgen.training.objective import image_bits
from pixelgen.training.tokenizer_loss import encode, psnr, reconstruct
from pixelgen.training.training_data import other_photos
from pixelgen.training.triplets import Verification, embed, verify

if TYPE_CHECKING:
    from pixelgen.evaluation.autoencoders import AutoencoderFigures


@dataclass(frozen=True)
class Bits:
    """A mean over pictures."""

    bits_per_dim: float
    """Negative log-likelihood in bits over C·H·W, the mean over pictures."""
    standard_error: float | None
    """Of that mean; None for a single picture."""

    @staticmethod
    def of(bits: Tensor) -> Bits:
        """The figure of [N] pictures."""
        error = float(bits.std()) / math.sqrt(len(bits)) if len(bits) > 1 else None
        return Bits(float(bits.mean()), error)


@dataclass(frozen=True)
class Reconstructions:
    """How near a tokenizer's reconstructions come to the pictures, means over all."""

    psnr: float
    """Peak signal-to-noise ratio in dB."""
    ssim: float
    """Structural similarity, up to 1."""
    perceptual: float | None
    """Distance of a classifier's features, from 0; None without the package that holds it, and for
    pictures that are too small for it."""


@dataclass(frozen=True)
class Evaluation:
    """What the weights reach on a split."""

    images: int
    """Pictures, every one counted."""
    conditional: Bits | None
    """Each picture (its codes, where the model draws codes) given its class, or another picture of
    the same person (of whom there is no other is left out); None for weights without
    conditions, or if not asked for."""
    unconditional: Bits | None
    """Without a condition; None for weights that draw nothing."""
    reconstruction: Reconstructions | None
    """Of the tokenizer; None for weights that model pixels."""
    verification: Verification | None = None
    """How well a face embedder tells people apart; None for other weights."""
    autoencoders: AutoencoderFigures | None = None
    """What auto-encoders make of the pictures; None for other weights."""
    given_vectors: Bits | None = None
    """Each picture given its class and its own condition vector, made of what a classifier sees;
    None for weights that draw no such vectors, and without the package that holds the
    classifier."""

    @property
    def main(self) -> Bits | None:
        """The likelihood that these weights are for."""
        return self.conditional or self.unconditional


def evaluate(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    *,
    limit: int | None = None,
    batch: int = 64,
    unconditional: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Exact bits per dimension over every row of a split, the last, smaller batch included.

    Of weights with a tokenizer, the likelihood is that of the codes, and the reconstructions are
    measured too. Pictures are cut and averaged down as for the training. `limit` takes that many
    rows, spread evenly. With `unconditional`, class-conditional weights are measured without
    classes only.
    `progress(what, done, total)` is told after every batch. Raises PixelgenError where the data do
    not fit the weights.
    """
    config = weights.config

    told = teller(progress)
    if config.bottlenecks:
        from pixelgen.evaluation.autoencoders import measure_autoencoders

        return measure_autoencoders(
            weights, data, split, limit=limit, batch=batch, progress=progress
        )
    pictures = fitting_pictures(weights, data, split, limit, told("decoding"))
    grids = pictures.images
    reconstruction = None
    if config.kind == "face-embedder":
        if pictures.labels is None:
            raise PixelgenError(
                f"{data} has no column {label_column(weights)!r}", "it must say who is on them"
            )
        return Evaluation(len(pictures), None, None, None, _verification(weights, pictures, batch))
    if config.can_encode:
        codec = weights.codec
        made = reconstruct(codec, grids, batch, progress=told("reconstruction"))
        reconstruction = compare(grids, made, next(codec.parameters()).device, batch)
        if config.kind == "tokenizer":
            return Evaluation(len(pictures), None, None, reconstruction)
        grids = encode(codec, grids, batch, progress=told("codes"))
    elif weights.model.config.levels != 256:
        raise PixelgenError(f"{weights.name} models other values than those of pictures")
    model, conditional = weights.model, None
    condition: Condition | None = None
    rows: Tensor | slice = slice(None)
    if not unconditional:
        condition, rows = _condition(weights, pictures, str(data), batch)
    if condition is not None:
        bits = image_bits(model, grids[rows], condition, batch, progress=told("conditional"))
        conditional = Bits.of(bits)
    given_vectors = None
    vectors = None if condition is None else _vectors(weights, pictures.images, told("features"))
    if condition is not None and vectors is not None:
        both = Condition(condition.classes, vectors)
        bits = image_bits(model, grids, both, batch, progress=told("given vectors"))
        given_vectors = Bits.of(bits)
    bits = image_bits(model, grids, None, batch, progress=told("unconditional"))
    verification = None
    if weights.face_embedder is not None and pictures.labels is not None:
        with suppress(PixelgenError):  # data of too few people still have a likelihood
            verification = _verification(weights, pictures, batch)
    return Evaluation(
        len(pictures),
        conditional,
        Bits.of(bits),
        reconstruction,
        verification,
        given_vectors=given_vectors,
    )


def _vectors(weights: LoadedCheckpoint, images: Tensor, progress: Told | None) -> Tensor | None:
    """The condition vector [N, D] of each picture, where that is made of what a classifier sees."""
    config = weights.config
    if not config.model.vector_features:
        return None
    vectors = getattr(weights.model, "class_prior", None)
    assert isinstance(vectors, ClassPrior)  # its configuration says so
    with suppress(PixelgenError):
        parts = load_classifier("lite0", "the vector of a picture", vectors.centre.device)
        size = int(config.data.get("features_scale", 1)) * config.image_shape[1]
        features = Classifier(*parts, size=size).features(images, progress)
        with torch.inference_mode():
            return vectors.project(features.to(vectors.centre.device)).cpu()
    return None


def _condition(
    weights: LoadedCheckpoint, pictures: ImageData, data: str, batch: int
) -> tuple[Condition | None, Tensor | slice]:
    """What the weights are conditioned on, and the rows of the pictures that it is of: the class of
    each picture, or the embedding of another picture of the same person, of all people of whom
    there are two. No condition where there is none to give."""
    config = weights.config
    if not config.labels and config.embedder is None:
        return None, slice(None)
    if pictures.labels is None:
        raise PixelgenError(f"{data} has no column of labels", "add --unconditional to do without")
    if config.embedder is None:
        return Condition(pictures.rows(config.labels)), slice(None)
    every = torch.arange(len(pictures))
    others = other_photos(pictures.labels, every)
    rows = (others != every).nonzero()[:, 0]
    if not len(rows):
        return None, rows
    return Condition(vector=embed(weights.embedder, pictures.images, batch)[others[rows]]), rows


def fitting_pictures(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    limit: int | None = None,
    progress: Told | None = None,
) -> ImageData:
    """The pictures of a split in the size that the weights are for: averaged down or, for weights
    that were trained on a cut of their data, that cut. Raises PixelgenError where they do not fit.
    """
    channels, height, width = weights.config.image_shape
    told = weights.config.data
    crop = told.get("crop") == height == width
    size = height if height == width else None
    if crop:  # of pictures that may have been averaged down first
        size = told.get("size") or None
    pictures = load_images(
        data,
        split,
        size=size,
        limit=limit,
        label_column=label_column(weights),
        progress=progress,
    )
    if crop and min(pictures.images.shape[-2:]) >= height:
        pictures = replace(pictures, images=cut(pictures.images, height).contiguous())
    shape, wanted = tuple(pictures.images.shape[1:]), (channels, height, width)
    if shape != wanted:
        raise PixelgenError(
            f"the pictures are {shape} (channels, rows, columns), the weights are for {wanted}"
        )
    return pictures


def label_column(weights: LoadedCheckpoint) -> str:
    """The column that held the labels when the weights were trained."""
    return str(weights.config.data.get("label") or "label")


def _verification(weights: LoadedCheckpoint, pictures: ImageData, batch: int) -> Verification:
    assert pictures.labels is not None  # `evaluate` has looked
    try:
        return verify(embed(weights.embedder, pictures.images, batch), pictures.labels)
    except ValueError as error:
        raise PixelgenError(f"these pictures verify nothing: {error}") from error


def compare(images: Tensor, others: Tensor, device: torch.device, batch: int) -> Reconstructions:
    """How far apart pictures uint8 [N, 3, H, W] and their reconstructions are."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    distance = None
    if min(images.shape[-2:]) >= 32:
        with suppress(PixelgenError):
            distance = load_perceptual().to(device)
    alike, apart = [], []
    for start in range(0, len(images), batch):
        a = images[start : start + batch].to(device).float()
        b = others[start : start + batch].to(device).float()
        value = ssim(b, a, data_range=255.0, reduction="none")
        alike.append(torch.as_tensor(value).view(-1).cpu().double())
        if distance is not None:
            with torch.inference_mode():
                apart.append(distance(to_signed(b, 256), to_signed(a, 256)).cpu().double())
    return Reconstructions(
        float(psnr(images, others).mean()),
        float(torch.cat(alike).mean()),
        float(torch.cat(apart).mean()) if apart else None,
    )
