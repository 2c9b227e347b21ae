"""Making whole pictures square by adding to their shorter side."""

from __future__ import annotations

from PIL import Image

from pixelgen.imaging.downscale import downscale
from pixelgen.imaging.png import allow_any_size
from pixelgen.imaging.rgb import to_rgb


def pad_square(image: Image.Image, size: int) -> Image.Image:
    """All of `image`, of any mode, in the middle of size×size pixels of RGB.

    A larger picture is averaged over areas, a smaller one interpolated, as by `square`. What is
    added has one colour, the median of the two edges that it adjoins: so a plain background goes on
    without a seam, whatever touches the edge, and there are no black bars to be learned. Raises
    InputError for floating-point pixels.
    """
    import numpy as np

    longest = max(image.size)
    width, height = (max(round(side * size / longest), 1) for side in image.size)
    if longest > size:
        image = downscale(image, width, height)
    else:
        with allow_any_size():  # the picture is in memory already
            image = to_rgb(image).resize((width, height), Image.Resampling.BICUBIC)
    if (width, height) == (size, size):
        return image
    values = np.asarray(image)  # [height, width, 3]
    edges = values[[0, -1]] if height < width else values[:, [0, -1]]
    colour = np.median(edges.reshape(-1, 3), axis=0).round().astype(np.uint8)
    padded = np.full((size, size, 3), colour)
    top, left = (size - height) // 2, (size - width) // 2
    padded[top : top + height, left : left + width] = values
    return Image.fromarray(padded)
