"""The part of a photo that is to be filled: named by a user, brought to a model's size."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.imaging.downscale import average, rounded
from pixelgen.imaging.png import any_size
from pixelgen.imaging.read import Fit, kept_box, square, to_rgb

if TYPE_CHECKING:
    import numpy as np

Box = tuple[int, int, int, int]
"""x, y, width and height in pixels of the photo, from its upper left corner."""

_BOX = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*")
_KEEP = re.compile(r"(top|bottom|left|right)\s*:\s*(\d{1,3}(?:\.\d*)?)\s*%?")


@dataclass(frozen=True)
class Keep:
    """A side of the square picture that stays."""

    side: str
    """top, bottom, left or right."""
    share: float
    """How much of the picture, 0 … 1."""

    def hidden(self, size: int) -> np.ndarray:
        """bool [size, size]: what does not stay, to the nearest pixel, half a pixel hidden."""
        import numpy as np

        kept = math.ceil(self.share * size - 0.5)
        far = np.arange(size) >= kept
        if self.side in ("bottom", "right"):
            far = far[::-1]
        lines = far if self.side in ("left", "right") else far[:, None]
        return np.broadcast_to(lines, (size, size))


@dataclass(frozen=True)
class Hole:
    """A photo with a hole, as square pixels."""

    photo: Image.Image
    """All of it, RGB."""
    around: Image.Image
    """RGB in which nothing hidden has left a trace: pixels that lie partly in the hole are made of
    what is visible of them, hidden ones carry on what is around."""
    hidden: np.ndarray
    """bool, a value for each pixel: true where at least half of it lies in the hole."""


def parse_box(given: str | Sequence[int]) -> Box:
    """`x,y,w,h`, or these as four numbers. Raises PixelgenError (exit code 2) for anything else."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    text = ",".join(map(str, given)) if several else str(given)
    found = _BOX.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no box", "x,y,width,height in pixels")
    x, y, width, height = map(int, found.groups())
    if not (width and height):
        raise UsageError(f"the box {text} is empty")
    return x, y, width, height


def parse_keep(text: str) -> Keep:
    """`top:50%`, and so on. Raises PixelgenError (exit code 2) for anything else."""
    found = _KEEP.fullmatch(text.strip().casefold())
    if found is None or float(found[2]) > 100:
        raise UsageError(f"{text!r} is no part of a picture", "top:50%, bottom:, left: or right:")
    return Keep(found[1], float(found[2]) / 100)


def cut_hole(
    photo: Image.Image,
    size: int,
    fit: Fit = "crop",
    *,
    mask: Image.Image | None = None,
    box: Box | None = None,
    keep: Keep | None = None,
) -> Hole:
    """`photo` made square as `square` does, with a hole where `mask`, a picture of the photo's
    size, is white or transparent, inside `box`, and outside of what `keep` keeps of the square.

    Raises PixelgenError (exit code 2) for a mask of another size, and a box beside the photo.
    """
    import numpy as np

    covered = np.zeros((photo.height, photo.width), dtype=bool)
    if mask is not None:
        if mask.size != photo.size:
            raise UsageError(
                f"the mask has {mask.width}×{mask.height} pixels, "
                f"the picture {photo.width}×{photo.height}",
                "a mask is as large as its picture",
            )
        covered |= np.asarray(to_rgb(mask).convert("L")) >= 128
    if box is not None:
        x, y, width, height = box
        inside = covered[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if not inside.size:
            raise UsageError(
                f"the box lies beside the picture, which has {photo.width}×{photo.height} pixels",
            )
        inside[:] = True
    whole = square(photo, size, fit)
    x0, y0, x1, y1 = kept_box(photo.size, fit)
    covered = covered[y0:y1, x0:x1]
    hidden = average(covered[..., None], size, size)[..., 0] >= 0.5 - 1e-9
    if keep is not None:
        hidden = hidden | keep.hidden(size)
    around = whole
    if covered.any():
        with any_size():
            part = photo.crop((x0, y0, x1, y1))
        around = _visible(to_rgb(part), ~covered, size)
    return Hole(whole, carried_on(around, hidden), hidden)


def _visible(part: Image.Image, counts: np.ndarray, size: int) -> Image.Image:
    """`part` of a photo as size×size pixels, only those counted that do."""
    import numpy as np

    values = np.asarray(part)
    if size <= min(part.size):
        return Image.fromarray(rounded(average(values, size, size, counts)))
    clear = np.dstack((values, counts.astype(np.uint8) * 255))
    # Interpolation weighs colours by how opaque they are.
    resized = Image.fromarray(clear).resize((size, size), Image.Resampling.BICUBIC)
    return Image.fromarray(np.asarray(resized)[..., :3].copy())


def carried_on(picture: Image.Image, hidden: np.ndarray) -> Image.Image:
    """`picture` (RGB, square) with its hidden pixels replaced by ever wider means of those around
    them; grey if all are hidden."""
    import numpy as np

    if not hidden.any():
        return picture
    if hidden.all():
        return Image.new("RGB", picture.size, (128, 128, 128))
    clear = np.dstack((np.asarray(picture), np.where(hidden, 0, 255).astype(np.uint8)))
    start = made = Image.fromarray(clear)
    side = picture.width
    while side > 1:
        side //= 2
        wider = start.resize((side, side), Image.Resampling.BOX)
        wider = wider.resize(picture.size, Image.Resampling.BILINEAR)
        made = Image.alpha_composite(wider, made)
    return Image.fromarray(np.where(hidden[..., None], np.asarray(made)[..., :3], clear[..., :3]))


def veiled(picture: Image.Image, hidden: np.ndarray, grey: int = 128) -> Image.Image:
    """`picture` with its hidden pixels in `grey`."""
    import numpy as np

    values = np.asarray(picture.convert("RGB"))
    return Image.fromarray(np.where(hidden[..., None], np.uint8(grey), values))
