"""Enlarging small pictures, and laying out several in a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from PIL import Image

Resample = Literal["nearest", "lanczos", "learned"]
_FILTERS = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS}


def enlarge(image: Image.Image, scale: int, resample: Resample = "nearest") -> Image.Image:
    """`image` enlarged `scale` times; "learned": by a small network, see `upscale`, which raises
    PixelgenError if it is broken."""
    if scale == 1:
        return image
    if resample == "learned":
        from pixelgen.imaging.upscaler import upscale

        return upscale(image, scale)
    return image.resize((image.width * scale, image.height * scale), _FILTERS[resample])


def square_columns(count: int) -> int:
    """Columns of the most nearly square grid of `count` pictures."""
    return math.ceil(math.sqrt(count))


def make_grid(
    images: Sequence[Image.Image], columns: int, gap: int = 2, background: str = "white"
) -> Image.Image:
    """Pictures of one size, row by row, `gap` pixels apart; a single picture is returned itself."""
    if len(images) == 1:
        return images[0]
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    width, height = images[0].size
    size = (columns * (width + gap) - gap, rows * (height + gap) - gap)
    grid = Image.new("RGB", size, background)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        grid.paste(image, (column * (width + gap), row * (height + gap)))
    return grid


def stack_rows(
    rows: Sequence[Sequence[Image.Image]], gap: int = 2, background: str = "white"
) -> Image.Image:
    """Rows of pictures below each other, `gap` pixels apart; sizes may differ between rows."""
    widths = [sum(image.width + gap for image in row) - gap for row in rows]
    heights = [max(image.height for image in row) for row in rows]
    sheet = Image.new("RGB", (max(widths), sum(heights) + gap * (len(rows) - 1)), background)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for image in row:
            sheet.paste(image, (left, top))
            left += image.width + gap
        top += height + gap
    return sheet
