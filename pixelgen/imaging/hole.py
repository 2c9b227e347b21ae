"""The hidden part of a photo that a model fills in, at the model's size."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.imaging.downscale import area_means, downscale
from pixelgen.imaging.full_size_hole import FullSizeHole, Region
from pixelgen.imaging.mask import MaskConvention, hidden_by_mask
from pixelgen.imaging.png import allow_any_size
from pixelgen.imaging.read import Fit, crop_box, square
from pixelgen.imaging.rgb import has_alpha, is_plain_rgb, to_rgb, to_rgba

if TYPE_CHECKING:
    import numpy as np

Box = tuple[int, int, int, int]
"""x, y, width and height in pixels of the photo, from its upper left corner."""

_COARSE = 16
"""So many pixels of the photo to one that is drawn leave little detail."""
_SURROUNDINGS = 512
"""Side of the picture of the colours around a hole."""

_BOX = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*")
_KEEP = re.compile(r"(top|bottom|left|right)\s*:\s*(\d{1,3}(?:\.\d*)?)\s*%?")


@dataclass(frozen=True)
class Keep:
    """The side of the picture that stays visible."""

    side: str
    """top, bottom, left or right."""
    share: float
    """Share of the picture, 0 … 1."""

    def hidden(self, width: int, height: int) -> np.ndarray:
        """bool [height, width]: true for hidden pixels, to the nearest pixel; a half one is
        hidden."""
        import numpy as np

        length = width if self.side in ("left", "right") else height
        visible = math.ceil(self.share * length - 0.5)
        far = np.arange(length) >= visible
        if self.side in ("bottom", "right"):
            far = far[::-1]
        lines = far if self.side in ("left", "right") else far[:, None]
        return np.broadcast_to(lines, (height, width))


@dataclass(frozen=True)
class Hole:
    """A square photo with a hole."""

    photo: Image.Image
    """The whole photo, RGB."""
    around: Image.Image
    """RGB that does not depend on what is hidden: pixels that lie partly in the hole average their
    visible part, hidden ones are filled with what surrounds them."""
    hidden: np.ndarray
    """bool [size, size]: true for pixels of which at least half lies in the hole."""
    square: Region
    """The part of the photo that this is: left, top, right, bottom. What of it lies outside of the
    photo is hidden."""
    convention: MaskConvention | None = None
    """How the mask was read; None without a mask."""
    full: FullSizeHole | None = None
    """The hole in the photo at its own size; None: only this square is completed."""

    @property
    def extreme(self) -> str | None:
        """What to tell users where all or nothing is hidden; None otherwise."""
        if not self.hidden.any():
            if self.full is not None and self.full.covered.any():
                return (
                    "the hole is too thin for the weights to see: it is filled with the colours "
                    "around it"
                )
            return "nothing that the weights see is hidden"
        if self.hidden.all():
            return "everything that the weights see is hidden: no part of the picture is used"
        return None

    @property
    def coarse(self) -> str | None:
        """What to tell users where little detail remains because the hole is large for the weights,
        or several holes lie far apart; None otherwise."""
        if self.full is None or not self.hidden.any():
            return None
        left, top, right, bottom = self.square
        width, height = right - left, bottom - top
        each = max(width, height) / len(self.hidden)
        if each < _COARSE:
            return None
        x0, y0, x1, y1 = self.full.bounds
        inside = self.full.covered[y0:y1, x0:x1]
        separate = not (inside.any(0).all() and inside.any(1).all())
        return (
            f"the weights draw the {width}×{height} pixels around the hole with "
            f"{len(self.hidden)}×{len(self.hidden)}: what is filled in has little detail"
            + ("; fill holes that lie apart one after the other" if separate else "")
        )


def parse_box(value: str | Sequence[int]) -> Box:
    """`x,y,w,h`, or these as four numbers. Raises UsageError for anything else."""
    is_sequence = isinstance(value, Iterable) and not isinstance(value, str)
    text = ",".join(map(str, value)) if is_sequence else str(value)
    match = _BOX.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a box", "x,y,width,height in pixels")
    x, y, width, height = map(int, match.groups())
    if not (width and height):
        raise UsageError(f"the box {text} is empty")
    return x, y, width, height


def parse_keep(text: str) -> Keep:
    """`top:50%`, `left:25%` and so on. Raises UsageError for anything else."""
    match = _KEEP.fullmatch(text.strip().casefold())
    if match is None or float(match[2]) > 100:
        raise UsageError(
            f"{text!r} is not a part of a picture",
            "a side and a percentage: top:50%, bottom:, left: or right:",
        )
    return Keep(match[1], float(match[2]) / 100)


def cut_hole(
    photo: Image.Image,
    size: int,
    fit: Fit = "crop",
    *,
    mask: Image.Image | None = None,
    box: Box | None = None,
    keep: Keep | None = None,
) -> Hole:
    """`photo`, made square by `square`, with a hole: what `mask`, a picture of the photo's size,
    hides (see `hidden_by_mask`), inside `box`, and outside of the side of the square that `keep`
    names.

    Raises UsageError for a mask of another size and for a box outside the photo.
    """
    covered, convention = _covered(photo, mask, box)
    whole = square(photo, size, fit)
    region = x0, y0, x1, y1 = crop_box(photo.size, fit)
    covered = covered[y0:y1, x0:x1]
    hidden = area_means(covered[..., None], size, size)[..., 0] >= 0.5 - 1e-9
    if keep is not None:
        hidden = hidden | keep.hidden(size, size)
    around = whole
    if covered.any():
        around = _visible(photo, region, ~covered, size)
    return Hole(whole, fill_hidden(around, hidden), hidden, region, convention)


def cut_around_hole(
    photo: Image.Image,
    size: int,
    fit: Fit = "crop",
    *,
    mask: Image.Image | None = None,
    box: Box | None = None,
    keep: Keep | None = None,
) -> Hole:
    """The part of `photo` around a hole, and how it is filled at full size: the hole is what
    `mask`, a picture of the photo's size, hides (see `hidden_by_mask`), `box`, and what lies
    outside of the side of the photo that `keep` names.

    The part is as `square_around` says, size×size pixels; without a hole it is that of `square`.
    Raises as `cut_hole` does.
    """
    import numpy as np

    region = crop_box(photo.size, fit)
    covered, convention = _covered(photo, mask, box)
    if keep is not None:
        covered |= keep.hidden(photo.width, photo.height)
    if has_alpha(photo):
        photo = to_rgba(photo)
    elif not is_plain_rgb(photo):
        photo = to_rgb(photo)
    bounds = _bounds(covered)
    if bounds is None:
        whole = square(photo, size, fit)
        full = FullSizeHole(photo, covered, (0, 0, 0, 0), region, whole)
        return Hole(whole, whole, np.zeros((size, size), dtype=bool), region, convention, full)
    region = square_around(bounds, photo.size, size, fit)
    inside = _part(np.ones_like(covered), region)
    whole, outside = _visible(photo, region, inside, size), _share(inside, size) < 0.5
    del inside  # as large as the photo
    visible = _part(~covered, region)
    hidden = _share(visible, size) <= 0.5 + 1e-9
    around = fill_hidden(_visible(photo, region, visible, size), hidden)
    side = min(_SURROUNDINGS, max(visible.shape))
    unseen = _share(visible, side) <= 1e-9
    surroundings = fill_hidden(_visible(photo, region, visible, side), unseen)
    full = FullSizeHole(photo, covered, bounds, region, surroundings)
    return Hole(fill_hidden(whole, outside), around, hidden, region, convention, full)


def square_around(bounds: Region, photo_size: tuple[int, int], size: int, fit: Fit) -> Region:
    """The part of a photo of `photo_size` (width, height) from which a hole within `bounds` is
    filled.

    With "crop" it is the smallest square that holds the hole, and on every side where the photo
    goes on half of the longer side of the hole; with "stretch" a box that holds half of the hole's
    width at its sides, and half of its height above and below. It has at least `size` pixels a side
    if the photo has. Where a square is larger than the photo, it goes beyond its right or lower
    edge.
    """
    left, top, right, bottom = bounds
    wide, high = right - left, bottom - top
    if fit == "crop":
        wide = high = max(wide, high)
    x0, x1 = _with_margin(left, right, (wide + 1) // 2, photo_size[0])
    y0, y1 = _with_margin(top, bottom, (high + 1) // 2, photo_size[1])
    across, down = max(x1 - x0, min(size, photo_size[0])), max(y1 - y0, min(size, photo_size[1]))
    if fit == "crop":
        across = down = max(x1 - x0, y1 - y0, min(size, *photo_size))
    x0, y0 = _placed(x0, x1, across, photo_size[0]), _placed(y0, y1, down, photo_size[1])
    return x0, y0, x0 + across, y0 + down


def _with_margin(low: int, high: int, margin: int, limit: int) -> tuple[int, int]:
    return max(low - margin, 0), min(high + margin, limit)


def _placed(low: int, high: int, length: int, limit: int) -> int:
    """Where a line of `length` begins that has low … high in its middle, as far as it can lie
    within 0 … limit."""
    return max(min((low + high - length) // 2, limit - length), 0)


def _covered(
    photo: Image.Image, mask: Image.Image | None, box: Box | None
) -> tuple[np.ndarray, MaskConvention | None]:
    """What `mask` and `box` hide of a photo, bool [H, W], and how the mask was read."""
    import numpy as np

    convention = None
    if mask is not None:
        covered, convention = hidden_by_mask(mask, photo)
    else:
        covered = np.zeros((photo.height, photo.width), dtype=bool)
    if box is not None:
        x, y, width, height = box
        inside = covered[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if not inside.size:
            raise UsageError(
                f"the box lies outside the picture, which has {photo.width}×{photo.height} pixels",
            )
        inside[:] = True
    return covered, convention


def _bounds(covered: np.ndarray) -> Region | None:
    """The smallest box around what is true in bool [H, W]."""
    import numpy as np

    columns, rows = (np.flatnonzero(covered.any(axis)) for axis in (0, 1))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _part(values: np.ndarray, region: Region) -> np.ndarray:
    """The part of bool [H, W] that a region covers, false outside of it."""
    import numpy as np

    left, top, right, bottom = region  # which begins inside
    part = values[top:bottom, left:right]
    missing = (bottom - top - part.shape[0], right - left - part.shape[1])
    return np.pad(part, ((0, missing[0]), (0, missing[1]))) if any(missing) else part


def _share(values: np.ndarray, size: int) -> np.ndarray:
    """What share of each of size×size equal areas of bool [H, W] is true."""
    return area_means(values[..., None], size, size)[..., 0]


def _visible(
    photo: Image.Image, box: tuple[int, int, int, int], counts: np.ndarray, size: int
) -> Image.Image:
    """The part `box` of a photo as size×size pixels, computed from those that `counts` [H, W]
    marks."""
    import numpy as np

    if size <= min(counts.shape):
        return downscale(photo, size, size, box, counts)
    with allow_any_size():
        values = np.asarray(to_rgb(photo.crop(box)))
    rgba = np.dstack((values, counts.astype(np.uint8) * 255))
    # Pillow weighs colours by their opacity when it interpolates.
    resized = Image.fromarray(rgba).resize((size, size), Image.Resampling.BICUBIC)
    return Image.fromarray(np.asarray(resized)[..., :3].copy())


def fill_hidden(picture: Image.Image, hidden: np.ndarray) -> Image.Image:
    """`picture` (RGB, square) with every hidden pixel replaced by the mean of the nearest visible
    ones, over ever larger areas; grey if all are hidden."""
    import numpy as np

    if not hidden.any():
        return picture
    if hidden.all():
        return Image.new("RGB", picture.size, (128, 128, 128))
    rgba = np.dstack((np.asarray(picture), np.where(hidden, 0, 255).astype(np.uint8)))
    original = filled = Image.fromarray(rgba)
    side = picture.width
    while side > 1:
        side //= 2
        coarse = original.resize((side, side), Image.Resampling.BOX)
        coarse = coarse.resize(picture.size, Image.Resampling.BILINEAR)
        filled = Image.alpha_composite(coarse, filled)
    return Image.fromarray(np.where(hidden[..., None], np.asarray(filled)[..., :3], rgba[..., :3]))


def grey_out(picture: Image.Image, hidden: np.ndarray, grey: int = 128) -> Image.Image:
    """`picture` with its hidden pixels in `grey`, as RGB."""
    import numpy as np

    values = np.asarray(picture.convert("RGB"))
    return Image.fromarray(np.where(hidden[..., None], np.uint8(grey), values))
