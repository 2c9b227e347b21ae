"""Exact bits per dimension of weights over a split."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError
from pixelgen.training.objective import image_bits

Progress = Callable[[str, int, int], None]


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
class Evaluation:
    """What the weights reach on a split."""

    images: int
    """Pictures, every one counted."""
    conditional: Bits | None
    """Each picture given its class; None for weights without classes, or if not asked for."""
    unconditional: Bits | None
    """Without a class (the null class of class-conditional weights)."""

    @property
    def main(self) -> Bits:
        """The figure that these weights are for."""
        figure = self.conditional or self.unconditional
        assert figure is not None  # `evaluate` measures at least one
        return figure


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

    Pictures larger than the model's are averaged down. `limit` takes that many rows, spread evenly.
    With `unconditional`, class-conditional weights are measured without classes only.
    `progress(what, done, total)` is told after every batch. Raises PixelgenError where the data do
    not fit the weights.
    """
    config, model = weights.config.model, weights.model

    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    size = config.height if config.height == config.width else None
    pictures = load_images(data, split, size=size, limit=limit, progress=told("decoding"))
    shape, wanted = tuple(pictures.images.shape[1:]), (config.channels, config.height, config.width)
    if shape != wanted or config.levels != 256:
        raise PixelgenError(
            f"the pictures are {shape} (channels, rows, columns), the weights are for {wanted}"
        )
    found: dict[str, Bits] = {}
    if config.classes and not unconditional:
        if pictures.labels is None:
            raise PixelgenError(
                f"{data} has no column of labels", "add --unconditional to do without"
            )
        rows = pictures.rows(weights.config.labels)
        bits = image_bits(model, pictures.images, rows, batch, progress=told("conditional"))
        found["conditional"] = Bits.of(bits)
    null = torch.full((len(pictures),), config.classes) if config.classes else None
    bits = image_bits(model, pictures.images, null, batch, progress=told("unconditional"))
    found["unconditional"] = Bits.of(bits)
    return Evaluation(len(pictures), found.get("conditional"), found["unconditional"])
