"""Pictures to look at while a run goes on."""

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
    """Writes SIDE×SIDE samples as a PNG: one class a row, spread over all, the same every time.

    `tokenizer` makes pictures of them where the model draws codes."""
    config = recipe.model
    condition = None
    if config.classes:
        rows = torch.arange(SIDE) * config.classes // SIDE
        classes = rows.repeat_interleave(SIDE)
        condition = Condition(classes, _vectors(model, classes, recipe))
    _write(_draw(model, recipe, condition, tokenizer), SIDE, path)


def _vectors(model: nn.Module, classes: Tensor, recipe: Recipe) -> Tensor | None:
    """Condition vectors drawn for `classes`, where the model draws them."""
    drawer = getattr(model, "class_vectors", None)
    if drawer is None:
        return None
    generator = stream_generator(recipe.seed, RandomStream.SAMPLE_SHEET_VECTORS)
    drawn: Tensor = drawer.draw(classes, generator, recipe.sampling.vector_temperature)
    return drawn.to(drawer.means.device)


def portrait_sheet(
    model: nn.Module,
    recipe: Recipe,
    path: Path,
    tokenizer: Tokenizer | None,
    held: Tensor,
    condition: Condition,
) -> None:
    """Writes SIDE of the pictures (or codes) `held`, each with SIDE samples of its condition at its
    right."""
    rows = torch.arange(SIDE) * len(held) // SIDE
    drawn = _draw(model, recipe, condition[rows].repeat(SIDE), tokenizer)
    sources = _decode(held[rows].to(drawn.device), tokenizer)
    both = torch.cat((sources[:, None], drawn.unflatten(0, (SIDE, SIDE))), 1)
    _write(both.flatten(0, 1), SIDE + 1, path)


def _draw(
    model: nn.Module,
    recipe: Recipe,
    condition: Condition | None,
    tokenizer: Tokenizer | None,
    count: int = SIDE * SIDE,
) -> Tensor:
    """`count` pictures, always with the same random numbers."""
    from pixelgen.sampling import SamplingOptions, draw_uniforms, sample

    generator = stream_generator(recipe.seed, RandomStream.SAMPLE_SHEET)
    uniforms = draw_uniforms(generator, count, model.config)  # type: ignore[arg-type]
    chosen = recipe.sampling
    options = SamplingOptions(chosen.temperature, chosen.top_p, chosen.guidance)
    x = sample(model, condition, uniforms, options=options)  # type: ignore[arg-type]
    return _decode(x, tokenizer)


def _decode(x: Tensor, tokenizer: Tokenizer | None) -> Tensor:
    """Pictures of what a model drew."""
    if tokenizer is None:
        return x
    with torch.inference_mode():
        return to_bytes(tokenizer.to(x.device).decode(x.long()))


def reconstruction_sheet(model: nn.Module, images: Tensor, path: Path) -> None:
    """Writes up to SIDE×SIDE of `images` uint8 [N, 3, S, S] as a PNG, each with its reconstruction
    at its right, SIDE pairs a row."""
    count = min(SIDE * SIDE, len(images) // SIDE * SIDE)
    if not count:
        raise PixelgenError(f"fewer than {SIDE} pictures are held out", "raise data.holdout")
    images = images[:count]
    pairs = torch.stack((images, reconstruct(model, images, SIDE)), 1)  # [N, 2, 3, S, S]
    _write(pairs.flatten(0, 1), 2 * SIDE, path)


def autoencoder_sheet(model: Autoencoder, recipe: Recipe, images: Tensor, path: Path) -> None:
    """Writes 2·SIDE of `images` uint8 [N, 3, S, S], spread over all, each with its mean and SIDE
    samples at its right (Figure 6)."""
    images = images[torch.arange(2 * SIDE) * len(images) // (2 * SIDE)]
    h, means = latents_and_means(model, images, len(images))
    condition = conditions_given(model, h)(slice(None)).repeat(SIDE)
    drawn = _draw(model.pixels, recipe, condition, None, SIDE * len(h)).to("cpu", torch.uint8)
    row = torch.stack((images, means), 1)  # [N, 2, 3, S, S]
    both = torch.cat((row, drawn.unflatten(0, (-1, SIDE))), 1)
    _write(both.flatten(0, 1), SIDE + 2, path)


def neighbour_sheet(embeddings: Tensor, images: Tensor, path: Path) -> None:
    """Writes a row for each of 2·SIDE of `images` uint8 [N, 3, S, S], spread over all: the picture,
    and the 2·SIDE - 1 whose `embeddings` [N, D] are nearest to its own."""
    across = min(2 * SIDE, len(images))
    rows = torch.arange(2 * SIDE) * len(images) // (2 * SIDE)
    nearest = (embeddings[rows] @ embeddings.t()).topk(across).indices  # the first is itself
    _write(images[nearest.flatten()], across, path)


def _write(x: Tensor, columns: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: picture(x, columns).save(part, format="png"))


def picture(x: Tensor, columns: int) -> Image.Image:
    """Pictures int [N, 3 or 1, H, W] of 0 … 255 side by side, a row of `columns` each."""
    n, c, h, w = x.shape
    tiled = x.view(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)  # rows, H, columns, W, C
    array = tiled.reshape(n // columns * h, columns * w, c).to("cpu", torch.uint8)
    return Image.fromarray(array.expand(-1, -1, 3).numpy())
