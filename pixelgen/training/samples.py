"""Grids of samples to look at while a run goes on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from pixelgen.files import write_atomically
from pixelgen.training.batches import mix
from pixelgen.training.recipe import Recipe

SIDE = 4


def sample_grid(model: nn.Module, recipe: Recipe, path: Path) -> None:
    """Writes SIDE×SIDE samples as a PNG: one class a row, spread over all, the same every time."""
    from pixelgen.models.conditioning import Condition
    from pixelgen.sampling import SamplingOptions, draw_uniforms, sample

    config, count = recipe.model, SIDE * SIDE
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(mix(recipe.seed, 9, 0))
    condition = None
    if config.classes:
        rows = torch.arange(SIDE) * config.classes // SIDE
        condition = Condition(classes=rows.repeat_interleave(SIDE).to(device))
    options = SamplingOptions(**asdict(recipe.sampling))
    x = sample(model, condition, draw_uniforms(generator, count, config), options=options)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: picture(x, SIDE).save(part, format="png"))


def picture(x: Tensor, columns: int) -> Image.Image:
    """Pictures int [N, 3 or 1, H, W] of 0 … 255 side by side, a row of `columns` each."""
    n, c, h, w = x.shape
    tiled = x.view(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)  # rows, H, columns, W, C
    array = tiled.reshape(n // columns * h, columns * w, c).to("cpu", torch.uint8)
    return Image.fromarray(array.expand(-1, -1, 3).numpy())
