"""Means over areas: training pictures were made small this way, so photos are, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np


def average(
    values: np.ndarray, height: int, width: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Means of [H, W, C] over height×width equal areas: float64 [height, width, C].

    A pixel that lies in several areas counts in each by its share. `weights` [H, W] says which
    pixels count at all; an area in which none does has mean 0.
    """
    import numpy as np

    across = _shares(values.shape[1], width)
    out = np.zeros((height, width, values.shape[2]))
    # A strip at a time: all of a photo as float64 would be large.
    for i, down in enumerate(_shares(values.shape[0], height)):
        rows = np.flatnonzero(down)
        share, strip = down[rows], values[rows]
        if weights is None:
            area = share.sum() * across.sum(1)
        else:
            strip = strip * weights[rows, :, None]
            area = across @ (share @ weights[rows])
        sums = across @ (share @ strip.reshape(len(rows), -1)).reshape(values.shape[1], -1)
        np.divide(sums, area[:, None], out=out[i], where=area[:, None] > 0)
    return out


def averaged(image: Image.Image, width: int, height: int) -> Image.Image:
    """An RGB picture as one of means over width×height equal areas."""
    import numpy as np

    return Image.fromarray(rounded(average(np.asarray(image), height, width)))


def rounded(means: np.ndarray) -> np.ndarray:
    """Means of 0 … 255 as uint8, halves up."""
    import numpy as np

    return np.floor(means + 0.5).astype(np.uint8)


def _shares(length: int, parts: int) -> np.ndarray:
    """[parts, length]: how much of each pixel lies in each of `parts` equal parts of a line."""
    import numpy as np

    edges = np.linspace(0, length, parts + 1)[:, None]
    pixels = np.arange(length)
    inside = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.clip(inside, 0, None)
