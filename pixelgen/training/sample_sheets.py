"""Sheets of images to look at during a run."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from pixelgen.errors import PixelgenError
from pixelgen.files import write_atomically
from pixelgen.metrics.latents import conditions_given, latents_and_means
from pixelgen.metrics.reconstruction import reconstruct
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.tokenizer import Tokenizer, to_bytes
from pixelgen.random_streams import RandomStream, stream_generator
from pixelgen.training.recipe import Recipe

SIDE = 4


def sample_grid(
    model: nn.Module, recipe: Recipe, path: Path, tokenizer: Tokenizer | None = None
) -> None:
    """Writes SIDE×SIDE samples as a PNG: one class per row, evenly spread over all, with the same
    random numbers every time. `tokenizer` decodes the samples of a model of codes."""
    config = recipe.model
    condition = None
    if config.classes:
        rows = torch.arange(SIDE) * config.classes // SIDE
        classes = rows.repeat_interleave(SIDE)
        condition = Condition(classes, _vectors(model, classes, recipe))
    _write(_sample(model, recipe, condition, tokenizer), SIDE, path)


def _vectors(model: nn.Module, classes: Tensor, recipe: Recipe) -> Tensor | None:
    """Condition vectors sampled for `classes`; None for models without a prior of them."""
    prior = getattr(model, "class_prior", None)
    if prior is None:
        return None
    generator = stream_generator(recipe.seed, RandomStream.SAMPLE_SHEET_VECTORS)
    vectors: Tensor = prior.draw(classes, generator, recipe.sampling.vector_temperature)
    return vectors.to(prior.means.device)


def portrait_sheet(
    model: nn.Module,
    recipe: Recipe,
    path: Path,
    tokenizer: Tokenizer | None,
    held: Tensor,
    condition: Condition,
) -> None:
    """Writes SIDE of the images (or codes) `held`, each followed by SIDE samples given its
    condition."""
    rows = torch.arange(SIDE) * len(held) // SIDE
    samples = _sample(model, recipe, condition[rows].repeat(SIDE), tokenizer)
    sources = _decode(held[rows].to(samples.device), tokenizer)
    rows_of_images = torch.cat((sources[:, None], samples.unflatten(0, (SIDE, SIDE))), 1)
    _write(rows_of_images.flatten(0, 1), SIDE + 1, path)


def _sample(
    model: nn.Module,
    recipe: Recipe,
    condition: Condition | None,
    tokenizer: Tokenizer | None,
    count: int = SIDE * SIDE,
) -> Tensor:
    """`count` images, always with the same random numbers."""
    from pixelgen.sampling import draw_uniforms, sample

    generator = stream_generator(recipe.seed, RandomStream.SAMPLE_SHEET)
    uniforms = draw_uniforms(generator, count, model.config)  # type: ignore[arg-type]
    x = sample(model, condition, uniforms, options=recipe.sampling)  # type: ignore[arg-type]
    return _decode(x, tokenizer)


def _decode(x: Tensor, tokenizer: Tokenizer | None) -> Tensor:
    """The images of samples, which are codes if there is a tokenizer."""
    if tokenizer is None:
        return x
    with torch.inference_mode():
        return to_bytes(tokenizer.to(x.device).decode(x.long()))


def reconstruction_sheet(model: nn.Module, images: Tensor, path: Path) -> None:
    """Writes up to SIDE×SIDE of `images` uint8 [N, 3, S, S] as a PNG, each followed by its
    reconstruction, SIDE pairs per row."""
    count = min(SIDE * SIDE, len(images) // SIDE * SIDE)
    if not count:
        raise PixelgenError(f"fewer than {SIDE} pictures are held out", "raise data.holdout")
    images = images[:count]
    pairs = torch.stack((images, reconstruct(model, images, SIDE)), 1)  # [N, 2, 3, S, S]
    _write(pairs.flatten(0, 1), 2 * SIDE, path)


def autoencoder_sheet(model: Autoencoder, recipe: Recipe, images: Tensor, path: Path) -> None:
    """Writes 2·SIDE of `images` uint8 [N, 3, S, S], evenly spread, each followed by its mean and
    SIDE samples (Figure 6)."""
    images = images[torch.arange(2 * SIDE) * len(images) // (2 * SIDE)]
    h, means = latents_and_means(model, images, len(images))
    condition = conditions_given(model, h)(slice(None)).repeat(SIDE)
    samples = _sample(model.pixels, recipe, condition, None, SIDE * len(h)).to("cpu", torch.uint8)
    pairs = torch.stack((images, means), 1)  # [N, 2, 3, S, S]
    rows = torch.cat((pairs, samples.unflatten(0, (-1, SIDE))), 1)  # [N, 2 + SIDE, 3, S, S]
    _write(rows.flatten(0, 1), SIDE + 2, path)


def neighbour_sheet(embeddings: Tensor, images: Tensor, path: Path) -> None:
    """Writes a row for each of 2·SIDE of `images` uint8 [N, 3, S, S], evenly spread: the image, and
    the 2·SIDE - 1 whose `embeddings` [N, D] are nearest to its own."""
    across = min(2 * SIDE, len(images))
    rows = torch.arange(2 * SIDE) * len(images) // (2 * SIDE)
    nearest = (embeddings[rows] @ embeddings.t()).topk(across).indices  # the first is itself
    _write(images[nearest.flatten()], across, path)


def _write(x: Tensor, columns: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: picture(x, columns).save(part, format="png"))


def picture(x: Tensor, columns: int) -> Image.Image:
    """Images int [N, 3 or 1, H, W] of 0 … 255 as a grid of `columns`."""
    n, c, h, w = x.shape
    tiled = x.view(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)  # rows, H, columns, W, C
    array = tiled.reshape(n // columns * h, columns * w, c).to("cpu", torch.uint8)
    return Image.fromarray(array.expand(-1, -1, 3).numpy())
