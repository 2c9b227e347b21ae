"""Cutting pictures of any size into square tiles, and joining them again."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pixelgen.imaging.downscale import downscale


def shrink(image: Image.Image, longest: int) -> Image.Image:
    """An RGB picture averaged down to a longer side of at most `longest` pixels, in its own
    proportions."""
    if max(image.size) <= longest:
        return image
    factor = longest / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return downscale(image, width, height)


def tile_count(width: int, height: int, size: int) -> int:
    """The number of tiles that a picture is cut into."""
    return -(-width // size) * -(-height // size)


def cut_tiles(image: Image.Image, size: int) -> list[Image.Image]:
    """The size×size tiles of an RGB picture, row by row; the picture is mirrored beyond its right
    and lower edge."""
    if image.size == (size, size):
        return [image]
    import numpy as np

    padding = ((0, -image.height % size), (0, -image.width % size), (0, 0))
    whole = np.pad(np.asarray(image.convert("RGB")), padding, mode="symmetric")
    rows, columns = range(0, whole.shape[0], size), range(0, whole.shape[1], size)
    return [
        Image.fromarray(np.ascontiguousarray(whole[i : i + size, j : j + size]))
        for i in rows
        for j in columns
    ]


def join_tiles(tiles: Sequence[Image.Image], width: int, height: int) -> Image.Image:
    """The picture of width×height pixels that `cut_tiles` cut into `tiles`."""
    size = tiles[0].width
    if (width, height) == tiles[0].size:
        return tiles[0]
    across = -(-width // size)
    whole = Image.new("RGB", (width, height))
    for place, tile in enumerate(tiles):
        row, column = divmod(place, across)
        whole.paste(tile, (column * size, row * size))
    return whole
