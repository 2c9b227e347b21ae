"""Grids of codes to train on: images encoded by a tokenizer, once or for every batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.metrics.reconstruction import encode, encode_batch
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.training.batches import Batch, BatchSource, random_shifts
from pixelgen.training.recipe import ComputeRecipe, DataRecipe
from pixelgen.training.tensor_cache import load_stored_tensors, store_tensors

CODES = "codes.safetensors"
AT_ONCE = 250
"""Images encoded at a time."""


def encoded_views(
    tokenizer: Tokenizer,
    data: ImageData,
    recipe: DataRecipe,
    compute: ComputeRecipe,
    seed: int,
    folder: Path,
    note: Callable[[str], None],
) -> Tensor:
    """Codes of `recipe.views` views of every image, uint8 [V, N, C, h, w].

    They are read from `folder` if they were computed before from the same images in the same way.
    bf16 moves a few codes to a neighbouring level, which training tolerates at twice the speed.
    """
    path = folder / CODES
    key = {
        "path": recipe.path,
        "split": recipe.split,
        "images": len(data),
        "digest": data.digest(),
        "size": recipe.size,
        "views": recipe.views,
        "flip": recipe.flip,
        "jitter": recipe.jitter,
        "seed": seed,
        "tokenizer": _fingerprint(tokenizer.encoder),
        "precision": compute.precision,
    }
    stored = load_stored_tensors(path, key)
    if stored is not None:
        return stored["codes"]
    if compute.channels_last:
        tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (recipe.views, len(data), *tokenizer.config.code_shape)
    note(f"encoding {len(data)} pictures")
    views = torch.empty(shape, dtype=torch.uint8)
    size, unshifted = tokenizer.config.size, 2 if recipe.flip else 1
    for view in range(recipe.views):
        for start in range(0, len(data), AT_ONCE):
            images = data.images[start : start + AT_ONCE]
            shift = None
            if view >= unshifted and recipe.jitter:
                counter = -1 - (view * math.ceil(len(data) / AT_ONCE) + start // AT_ONCE)
                shift = random_shifts(seed, counter, len(images), recipe.jitter)
            images = cut(images, size, shift)
            if recipe.flip and view % 2:
                images = images.flip(-1)
            views[view, start : start + len(images)] = encode(
                tokenizer, images, AT_ONCE, precision=compute.precision
            )
        note(f"encoded view {view + 1} of {recipe.views} of {len(data)} pictures")
    store_tensors(path, {"codes": views}, key)
    return views


class EncodedBatches:
    """Batches of images that are shifted, mirrored and encoded anew every time."""

    def __init__(self, pictures: BatchSource, tokenizer: Tokenizer, compute: ComputeRecipe) -> None:
        self.pictures, self.precision = pictures, compute.precision
        self.rows = pictures.rows
        self.tokenizer = tokenizer.eval()
        if compute.channels_last:
            self.tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """See `BatchSource`."""
        batch = self.pictures.draw(step, position, size, rank, ranks)
        return replace(batch, x=encode_batch(self.tokenizer, batch.x, self.precision))

    def to(self, device: torch.device) -> EncodedBatches:
        """Moves the tokenizer to `device`, and the images if there is room; returns itself."""
        self.pictures = self.pictures.to(device)
        self.tokenizer.to(device)
        return self


def _fingerprint(network: nn.Module) -> list[float]:
    """Two numbers that differ between weights."""
    total = torch.stack([p.detach().cpu().double().sum() for p in network.parameters()])
    return [float(total.sum()), float(total.square().sum())]


def check_size(data: ImageData, recipe: DataRecipe, tokenizer: Tokenizer) -> None:
    """Raises PixelgenError for images that are not of the tokenizer's size."""
    size = tokenizer.config.size
    height, width = data.images.shape[-2:]
    if (recipe.crop or height, recipe.crop or width) != (size, size):
        raise PixelgenError(
            f"the data is {width}×{height}, the tokenizer takes {size}×{size}",
            "set data.size or data.crop",
        )
