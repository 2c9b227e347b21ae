"""Downscaling by means over areas, as training pictures were downscaled."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np


def area_means(
    values: np.ndarray, height: int, width: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Means of [H, W, C] over height×width equal areas: float64 [height, width, C].

    A pixel that lies in several areas counts in each by its share. `weights` [H, W] weighs the
    pixels; an area without weight has mean 0.
    """
    import numpy as np

    length, columns, channels = values.shape
    out = np.zeros((height, width, channels))
    edges = np.linspace(0, length, height + 1)
    # One strip at a time: a whole photo as float64 would be large.
    for i, (top, bottom) in enumerate(pairwise(edges)):
        rows = np.arange(int(top), int(np.ceil(bottom)))
        share = np.minimum(bottom, rows + 1) - np.maximum(top, rows)
        strip, weight = values[rows], np.full(columns, share.sum())
        if weights is not None:
            strip = strip * weights[rows, :, None]
            weight = share @ weights[rows]
        area = _sums(weight[:, None], width)[:, 0]
        sums = _sums((share @ strip.reshape(len(rows), -1)).reshape(columns, channels), width)
        np.divide(sums, area[:, None], out=out[i], where=area[:, None] > 1e-9)
    return out


def downscale(image: Image.Image, width: int, height: int) -> Image.Image:
    """An RGB picture as width×height means over equal areas."""
    import numpy as np

    return Image.fromarray(round_to_uint8(area_means(np.asarray(image), height, width)))


def round_to_uint8(means: np.ndarray) -> np.ndarray:
    """Means of 0 … 255 as uint8, rounded half up."""
    import numpy as np

    return np.floor(means + 0.5).astype(np.uint8)


def _sums(values: np.ndarray, parts: int) -> np.ndarray:
    """[N, C] → [parts, C]: sums over equal parts of a line of N pixels, each of which counts in
    every part by its share."""
    import numpy as np

    cumulative = np.concatenate((np.zeros((1, values.shape[1])), values.cumsum(0)))
    edges = np.linspace(0, len(values), parts + 1)
    whole = edges.astype(np.int64).clip(max=len(values) - 1)
    return np.diff(cumulative[whole] + (edges - whole)[:, None] * values[whole], axis=0)
