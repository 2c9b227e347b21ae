"""Grids of codes to train on: pictures encoded by a tokenizer, once or at each draw."""

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
"""Pictures that are encoded at a time."""


def encoded_views(
    tokenizer: Tokenizer,
    data: ImageData,
    recipe: DataRecipe,
    compute: ComputeRecipe,
    seed: int,
    folder: Path,
    note: Callable[[str], None],
) -> Tensor:
    """Codes of `recipe.views` forms of every picture, uint8 [V, N, C, h, w].

    They are taken from `folder` if they were made before, of the same pictures in the same way. In
    bf16 a few codes become their neighbours: a training set allows that for twice the speed.
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
    known = load_stored_tensors(path, key)
    if known is not None:
        return known["codes"]
    if compute.channels_last:
        tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (recipe.views, len(data), *tokenizer.config.code_shape)
    views = torch.empty(shape, dtype=torch.uint8)
    size, plain = tokenizer.config.size, 2 if recipe.flip else 1
    for view in range(recipe.views):
        for start in range(0, len(data), AT_ONCE):
            images = data.images[start : start + AT_ONCE]
            shift = None
            if view >= plain and recipe.jitter:
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
    """Batches of pictures, encoded when they are drawn: moved and mirrored anew each time."""

    def __init__(self, pictures: BatchSource, tokenizer: Tokenizer, compute: ComputeRecipe) -> None:
        self.pictures, self.precision = pictures, compute.precision
        self.rows = pictures.rows
        self.tokenizer = tokenizer.eval()
        if compute.channels_last:
            self.tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Process `rank`'s `size` pictures of a step whose first picture is number `position`."""
        batch = self.pictures.draw(step, position, size, rank, ranks)
        return replace(batch, x=encode_batch(self.tokenizer, batch.x, self.precision))

    def to(self, device: torch.device) -> EncodedBatches:
        """Moves the tokenizer there, and the pictures if there is room; returns itself."""
        self.pictures = self.pictures.to(device)
        self.tokenizer.to(device)
        return self


def _fingerprint(network: nn.Module) -> list[float]:
    """Two numbers that other weights would not have."""
    total = torch.stack([p.detach().cpu().double().sum() for p in network.parameters()])
    return [float(total.sum()), float(total.square().sum())]


def check_size(data: ImageData, recipe: DataRecipe, tokenizer: Tokenizer) -> None:
    """Raises PixelgenError for pictures that the tokenizer does not take."""
    size = tokenizer.config.size
    height, width = data.images.shape[-2:]
    if (recipe.crop or height, recipe.crop or width) != (size, size):
        raise PixelgenError(
            f"the data is {width}×{height}, the tokenizer takes {size}×{size}",
            "set data.size or data.crop",
        )
