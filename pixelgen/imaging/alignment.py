"""Aligning a face: eyes, nose and mouth are moved to the places of a template.

The transform is the least-squares similarity (rotation, uniform scale, shift) of Umeyama,
"Least-squares estimation of transformation parameters between two point patterns", 1991. In the
plane it is w = rotation · z + shift with complex numbers, so points are complex here, x + iy.
Coordinates start at the picture's upper left corner: the centre of its first pixel is at ½.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np

Point = tuple[float, float]

FRAME = 64
"""Side of the picture that the template belongs to, pixels."""
TEMPLATE: tuple[Point, ...] = (
    (22.00, 27.06),
    (42.00, 26.94),
    (32.06, 38.43),
    (23.85, 50.14),
    (40.41, 50.05),
)
"""Left eye, right eye, nose, left and right corner of the mouth as seen in the picture."""

_TEMPLATE = [complex(x, y) for x, y in TEMPLATE]
# Cubic interpolation reads two pixels around.
_REACH = 3


def align(
    image: Image.Image, landmarks: Sequence[Point], size: int = FRAME, margin: int = 0
) -> Image.Image:
    """The face with these five `landmarks`, upright and centred, as RGB.

    The template covers size×size pixels, with `margin` more on every side. Beyond its edges the
    picture is mirrored; a large face is averaged over areas before it is interpolated. Raises
    ValueError for landmarks that all lie in one place.
    """
    rotation, shift = similarity_transform(landmarks)
    scale = size / FRAME
    rotation, shift = scale * rotation, scale * shift + complex(margin, margin)

    photo = image.convert("RGB")
    width, height = photo.size
    if abs(rotation) < 1:
        smaller = (max(round(width * abs(rotation)), 1), max(round(height * abs(rotation)), 1))
        photo = photo.resize(smaller, Image.Resampling.BOX)
    across, down = photo.width / width, photo.height / height

    side = size + 2 * margin
    inverse = 1 / rotation
    corners = [(complex(x, y) - shift) * inverse for x in (0, side) for y in (0, side)]
    xs, ys = [across * c.real for c in corners], [down * c.imag for c in corners]
    left, top = math.floor(min(xs)) - _REACH, math.floor(min(ys)) - _REACH
    right, bottom = math.ceil(max(xs)) + _REACH, math.ceil(max(ys)) + _REACH

    start = -shift * inverse
    matrix = (
        *(across * inverse.real, -across * inverse.imag, across * start.real - left),
        *(down * inverse.imag, down * inverse.real, down * start.imag - top),
    )
    region = _mirrored_crop(photo, left, top, right, bottom)
    return region.transform(
        (side, side), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC
    )


def residual(landmarks: Sequence[Point]) -> float:
    """The distance of the aligned `landmarks` from the template: root mean square, in pixels of the
    64×64 frame."""
    rotation, shift = similarity_transform(landmarks)
    distances = [
        abs(rotation * complex(x, y) + shift - target)
        for (x, y), target in zip(landmarks, _TEMPLATE, strict=True)
    ]
    return math.sqrt(sum(distance**2 for distance in distances) / len(distances))


def similarity_transform(landmarks: Sequence[Point]) -> tuple[complex, complex]:
    """`rotation` (with the scale) and `shift` of w = rotation · z + shift, which maps `landmarks`
    nearest to the template.

    Raises ValueError for landmarks that are not five finite points, or lie in one place.
    """
    points = [complex(x, y) for x, y in landmarks]
    if len(points) != len(_TEMPLATE) or not all(map(_finite, points)):
        raise ValueError(f"landmarks must be five points, not {landmarks}")
    centre, target = sum(points) / len(points), sum(_TEMPLATE) / len(_TEMPLATE)
    variance = sum(abs(z - centre) ** 2 for z in points)
    covariance = sum(
        (z - centre).conjugate() * (w - target) for z, w in zip(points, _TEMPLATE, strict=True)
    )
    if variance == 0 or covariance == 0:
        raise ValueError(f"landmarks {landmarks} are not those of a face")
    rotation = covariance / variance
    return rotation, target - rotation * centre


def _finite(point: complex) -> bool:
    return math.isfinite(point.real) and math.isfinite(point.imag)


def _mirrored_crop(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """A box of `image`, which is mirrored beyond its edges."""
    import numpy as np

    rows = _mirror_index(np.arange(top, bottom), image.height)
    columns = _mirror_index(np.arange(left, right), image.width)
    return Image.fromarray(np.asarray(image)[rows[:, None], columns])


def _mirror_index(index: np.ndarray, length: int) -> np.ndarray:
    """Whole numbers → 0 … length - 1, mirrored at both ends."""
    import numpy as np

    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    index = index % period
    return np.minimum(index, period - index)
