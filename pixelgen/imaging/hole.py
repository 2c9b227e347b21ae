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
from pixelgen.imaging.mask import MaskConvention, hidden_by_mask
from pixelgen.imaging.png import allow_any_size
from pixelgen.imaging.read import Fit, crop_box, square
from pixelgen.imaging.rgb import to_rgb

if TYPE_CHECKING:
    import numpy as np

Box = tuple[int, int, int, int]
"""x, y, width and height in pixels of the photo, from its upper left corner."""

_BOX = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*")
_KEEP = re.compile(r"(top|bottom|left|right)\s*:\s*(\d{1,3}(?:\.\d*)?)\s*%?")


@dataclass(frozen=True)
class Keep:
    """The side of the square picture that stays visible."""

    side: str
    """top, bottom, left or right."""
    share: float
    """Share of the picture, 0 … 1."""

    def hidden(self, size: int) -> np.ndarray:
        """bool [size, size]: true for hidden pixels, to the nearest pixel; a half one is hidden."""
        import numpy as np

        visible = math.ceil(self.share * size - 0.5)
        far = np.arange(size) >= visible
        if self.side in ("bottom", "right"):
            far = far[::-1]
        lines = far if self.side in ("left", "right") else far[:, None]
        return np.broadcast_to(lines, (size, size))


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
    convention: MaskConvention | None = None
    """How the mask was read; None without a mask."""

    @property
    def extreme(self) -> str | None:
        """What to tell users where all or nothing is hidden; None otherwise."""
        if not self.hidden.any():
            return "nothing is hidden of what the weights see"
        if self.hidden.all():
            return "all is hidden that the weights see: nothing of the picture is used"
        return None


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
    whole = square(photo, size, fit)
    x0, y0, x1, y1 = crop_box(photo.size, fit)
    covered = covered[y0:y1, x0:x1]
    hidden = area_means(covered[..., None], size, size)[..., 0] >= 0.5 - 1e-9
    if keep is not None:
        hidden = hidden | keep.hidden(size)
    around = whole
    if covered.any():
        around = _visible(photo, (x0, y0, x1, y1), ~covered, size)
    return Hole(whole, fill_hidden(around, hidden), hidden, convention)


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
