"""A hole in a photo at its own size, and how a small completion fills it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageFilter

from pixelgen.imaging.png import allow_any_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

Region = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of a photo; a part may lie outside of it."""

_ROWS = 256  # worked on at a time: a hole may have a hundred million pixels


@dataclass(frozen=True, eq=False)
class FullSizeHole:
    """A hole in a photo, and the square around it that a model completes."""

    photo: Image.Image
    """RGB or RGBA."""
    covered: np.ndarray
    """bool [H, W]: true where the photo is to be filled."""
    bounds: Region
    """The smallest box around what is covered; empty where nothing is."""
    square: Region
    """The part of the photo that the model sees."""
    surroundings: Image.Image
    """The same part as RGB of any size, with what is covered filled by the colours around it."""

    def fill(self, completion: Image.Image, *, in_place: bool = False) -> Image.Image:
        """A copy of the photo whose hole shows `completion`, a picture of `square` of any size;
        with `in_place` the photo itself.

        The completion is enlarged (Lanczos). Inside the hole, from its border on and as far as one
        pixel of the completion is wide, it fades in over the colours around the hole, so that
        there is no edge. Of what was in the hole nothing is used, and pixels outside of it are
        unchanged.
        """
        filled = self.photo if in_place else self.photo.copy()
        completion = completion.convert("RGB")
        left, top, right, bottom = self.bounds
        with allow_any_size():  # the photo is in memory already
            for upper in range(top, bottom, _ROWS):
                self._fill_part(
                    filled, completion, (left, upper, right, min(upper + _ROWS, bottom))
                )
        return filled

    def rows(self) -> Iterator[bytes]:
        """Size and pixels of the photo, and what is covered, a part at a time."""
        yield f"{self.photo.mode}:{self.photo.width}x{self.photo.height}:".encode()
        with allow_any_size():
            for top in range(0, self.photo.height, _ROWS):
                bottom = min(top + _ROWS, self.photo.height)
                yield self.photo.crop((0, top, self.photo.width, bottom)).tobytes()
                yield self.covered[top:bottom].tobytes()

    def _fill_part(self, filled: Image.Image, completion: Image.Image, part: Region) -> None:
        drawn = self._enlarged(completion, part, Image.Resampling.LANCZOS)
        radius = self._border(completion)
        if radius:
            around = self._enlarged(self.surroundings, part, Image.Resampling.BICUBIC)
            drawn = Image.composite(drawn, around, self._opacity(part, radius))
        filled.paste(drawn.convert(filled.mode), part, self._covered(part))

    def _border(self, completion: Image.Image) -> float:
        """The width, in pixels of the photo, in which a completion fades in: none where it has the
        size of the square."""
        left, top, right, bottom = self.square
        scale = max((right - left) / completion.width, (bottom - top) / completion.height)
        return scale if scale > 1 else 0

    def _covered(self, part: Region) -> Image.Image:
        """Grey of a part of the photo: 255 where it is covered."""
        left, top, right, bottom = part
        return Image.fromarray(self.covered[top:bottom, left:right].astype("uint8") * 255)

    def _opacity(self, part: Region, radius: float) -> Image.Image:
        """Grey of a part of the photo: from 0 at the border of what is covered to 255 at a distance
        of `radius` inside."""
        left, top, right, bottom = part
        margin = math.ceil(radius) + 1
        height, width = self.covered.shape
        x, y = max(left - margin, 0), max(top - margin, 0)
        # Beyond the edge of the photo the blur repeats what is there: no border.
        wide = self._covered((x, y, min(right + margin, width), min(bottom + margin, height)))
        means = wide.filter(ImageFilter.BoxBlur(radius))  # half at a straight border
        part_of_it = means.crop((left - x, top - y, right - x, bottom - y))
        return part_of_it.point([max(2 * mean - 255, 0) for mean in range(256)])

    def _enlarged(
        self, picture: Image.Image, part: Region, resample: Image.Resampling
    ) -> Image.Image:
        """What a `picture` of the square shows in a part of the photo, at the photo's size."""
        x0, y0, x1, y1 = self.square
        left, top, right, bottom = part
        across, down = picture.width / (x1 - x0), picture.height / (y1 - y0)
        box = (
            (left - x0) * across,
            (top - y0) * down,
            min((right - x0) * across, picture.width),
            min((bottom - y0) * down, picture.height),
        )
        return picture.resize((right - left, bottom - top), resample, box)
