"""Downscaling by means over areas, as training pictures were downscaled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.imaging.png import allow_any_size
from pixelgen.imaging.rgb import to_rgb

if TYPE_CHECKING:
    import numpy as np


def area_means(
    values: np.ndarray, height: int, width: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Means of [H, W, C] over height×width equal areas: float64 [height, width, C].

    A pixel that lies in several areas counts in each by its share. `weights` [H, W] weighs the
    pixels; an area without weight has mean 0.
    """
    rows, columns, channels = values.shape
    return _area_means(
        lambda top, bottom: values[top:bottom], (rows, columns, channels), height, width, weights
    )


def downscale(
    image: Image.Image,
    width: int,
    height: int,
    box: tuple[int, int, int, int] | None = None,
    weights: np.ndarray | None = None,
) -> Image.Image:
    """The part `box` (x0, y0, x1, y1) of a picture, by default all of it, as width×height means
    over equal areas, RGB. `weights` [y1 - y0, x1 - x0] weighs its pixels.

    A picture of any mode is converted as by `to_rgb`, a part at a time: the largest ones fill half
    of the memory.
    """
    import numpy as np

    left, upper, right, lower = box or (0, 0, *image.size)

    def rows(top: int, bottom: int) -> np.ndarray:
        with allow_any_size():
            strip = image.crop((left, upper + top, right, upper + bottom))
        return np.asarray(to_rgb(strip))

    shape = (lower - upper, right - left, 3)
    return Image.fromarray(round_to_uint8(_area_means(rows, shape, height, width, weights)))


def _area_means(
    rows: Callable[[int, int], np.ndarray],
    shape: tuple[int, int, int],
    height: int,
    width: int,
    weights: np.ndarray | None,
) -> np.ndarray:
    """`area_means` of values of that shape; `rows(top, bottom)` gives some of their rows."""
    import numpy as np

    length, columns, channels = shape
    out = np.zeros((height, width, channels))
    edges = np.linspace(0, length, height + 1)
    # One strip at a time: a whole photo as float64 would be large.
    for i, (top, bottom) in enumerate(pairwise(edges)):
        first, last = int(top), int(np.ceil(bottom))
        index = np.arange(first, last)
        share = np.minimum(bottom, index + 1) - np.maximum(top, index)
        strip, weight = rows(first, last), np.full(columns, share.sum())
        if weights is not None:
            strip = strip * weights[first:last, :, None]
            weight = share @ weights[first:last]
        area = _sums(weight[:, None], width)[:, 0]
        sums = _sums((share @ strip.reshape(len(index), -1)).reshape(columns, channels), width)
        np.divide(sums, area[:, None], out=out[i], where=area[:, None] > 1e-9)
    return out


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
