"""Bringing a face to where all training faces are: eyes, nose and mouth onto fixed places.

The transform is the least-squares similarity (rotation, uniform scale, shift) of Umeyama,
"Least-squares estimation of transformation parameters between two point patterns", 1991. In the
plane it is one complex line, w = turn · z + shift, so points are complex numbers here, x + iy.
Places are measured from the picture's upper left corner: the middle of its first pixel is at ½.
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
"""Side of the picture that the template is given in, pixels."""
TEMPLATE: tuple[Point, ...] = (
    (22.00, 27.06),
    (42.00, 26.94),
    (32.06, 38.43),
    (23.85, 50.14),
    (40.41, 50.05),
)
"""Left eye, right eye, nose, left and right corner of the mouth as seen in the picture."""

_TEMPLATE = [complex(x, y) for x, y in TEMPLATE]
# Cubic interpolation looks two pixels around.
_REACH = 3


def align(
    image: Image.Image, landmarks: Sequence[Point], size: int = FRAME, margin: int = 0
) -> Image.Image:
    """The face with these five `landmarks`, upright and centred, as RGB.

    size×size pixels hold the template, `margin` more are shown on every side. Where the face
    leaves the picture it is mirrored; a large one is averaged over areas before it is
    interpolated. Raises ValueError for landmarks that lie in one place.
    """
    turn, shift = similarity(landmarks)
    scale = size / FRAME
    turn, shift = scale * turn, scale * shift + complex(margin, margin)

    photo = image.convert("RGB")
    width, height = photo.size
    if abs(turn) < 1:
        smaller = (max(round(width * abs(turn)), 1), max(round(height * abs(turn)), 1))
        photo = photo.resize(smaller, Image.Resampling.BOX)
    across, down = photo.width / width, photo.height / height

    side = size + 2 * margin
    back = 1 / turn
    corners = [(complex(x, y) - shift) * back for x in (0, side) for y in (0, side)]
    xs, ys = [across * c.real for c in corners], [down * c.imag for c in corners]
    left, top = math.floor(min(xs)) - _REACH, math.floor(min(ys)) - _REACH
    right, bottom = math.ceil(max(xs)) + _REACH, math.ceil(max(ys)) + _REACH

    start = -shift * back
    matrix = (
        *(across * back.real, -across * back.imag, across * start.real - left),
        *(down * back.imag, down * back.real, down * start.imag - top),
    )
    around = _mirrored(photo, left, top, right, bottom)
    return around.transform(
        (side, side), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC
    )


def residual(landmarks: Sequence[Point]) -> float:
    """How far the aligned `landmarks` are from the template: root mean square, in pixels of the
    64×64 frame."""
    turn, shift = similarity(landmarks)
    misses = [
        abs(turn * complex(x, y) + shift - goal)
        for (x, y), goal in zip(landmarks, _TEMPLATE, strict=True)
    ]
    return math.sqrt(sum(miss**2 for miss in misses) / len(misses))


def similarity(landmarks: Sequence[Point]) -> tuple[complex, complex]:
    """`turn` and `shift` of w = turn · z + shift, which takes `landmarks` nearest to the template.

    Raises ValueError for landmarks that are not five finite points, or lie in one place.
    """
    points = [complex(x, y) for x, y in landmarks]
    if len(points) != len(_TEMPLATE) or not all(map(_finite, points)):
        raise ValueError(f"landmarks must be five points, not {landmarks}")
    middle, goal = sum(points) / len(points), sum(_TEMPLATE) / len(_TEMPLATE)
    spread = sum(abs(z - middle) ** 2 for z in points)
    common = sum(
        (z - middle).conjugate() * (w - goal) for z, w in zip(points, _TEMPLATE, strict=True)
    )
    if spread == 0 or common == 0:
        raise ValueError(f"landmarks {landmarks} are no face")
    turn = common / spread
    return turn, goal - turn * middle


def _finite(point: complex) -> bool:
    return math.isfinite(point.real) and math.isfinite(point.imag)


def _mirrored(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """A box of `image` that may leave it on any side."""
    import numpy as np

    rows = _bounced(np.arange(top, bottom), image.height)
    columns = _bounced(np.arange(left, right), image.width)
    return Image.fromarray(np.asarray(image)[rows[:, None], columns])


def _bounced(places: np.ndarray, length: int) -> np.ndarray:
    """Whole numbers → 0 … length - 1, mirrored at both ends as often as needed."""
    import numpy as np

    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    places = places % period
    return np.minimum(places, period - places)
