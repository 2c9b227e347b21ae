"""Masks: pictures that say which part of a photo is hidden, in any of the usual conventions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.files import MAX_PIXELS, expanded
from pixelgen.imaging.png import allow_any_size
from pixelgen.imaging.read import Photo, load_photo, read_image
from pixelgen.imaging.rgb import has_alpha, to_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import numpy as np

MaskConvention = Literal["white", "transparent", "painted", "white-or-transparent"]
"""What is hidden by a mask."""

MASK_CONVENTIONS: dict[MaskConvention, str] = {
    "white": "the mask is opaque: what is white in it is filled",
    "transparent": "the mask has transparent parts: these are filled",
    "painted": "the mask is white paint on a transparent layer: what is painted is filled",
    "white-or-transparent": "the mask is black, white and transparent: what is white or "
    "transparent in it is filled",
}
"""Each in a sentence."""

_SIDE = 1024  # of the parts worked on at a time: a mask may have a hundred million pixels
_OPAQUE = 128
_WHITE, _BLACK = 240, 15
_ALIKE = 32
"""A pixel of a photo that was compressed again seldom differs by more."""
_MOST = 0.9
"""The share of pixels that decides: soft edges and compression leave some of other colours."""
_SOME = 0.01


def read_mask(
    source: str | Path | BinaryIO, *, name: str = "", max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """The picture of a file as `read_image` gives it, but with its transparency. Raises as that
    does."""
    return read_image(source, name=name, max_pixels=max_pixels, keep_alpha=True)


def load_mask(mask: Photo) -> Image.Image:
    """`mask` with its pixels loaded: a path as by `read_mask`, a PIL picture as it is. Raises as
    `load_photo` does."""
    if isinstance(mask, str | Path):
        return read_mask(expanded(mask), name=str(mask))
    return load_photo(mask)


def _rgba_or_grey(image: Image.Image) -> Image.Image:
    """`image` as RGBA where it has transparency, else as grey of 8 bits."""
    if has_alpha(image):
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return (image if image.mode in ("1", "L") else to_rgb(image)).convert("L")


def hidden_by_mask(mask: Image.Image, photo: Image.Image) -> tuple[np.ndarray, MaskConvention]:
    """Where `mask`, a picture of any mode and of the size of `photo`, hides it, bool [H, W], and by
    which convention.

    Without transparency, what is white is hidden: at least half as bright. With transparency, the
    opaque pixels decide. Are they like the photo, a part of it was erased, and what is transparent
    is hidden; are they white, they were painted on a transparent layer, and are hidden; are they
    black and white, what is white or transparent is hidden; otherwise what is transparent. Raises
    UsageError for another size.
    """
    import numpy as np

    if mask.size != photo.size:
        raise UsageError(
            f"the mask has {mask.width}×{mask.height} pixels, "
            f"the picture {photo.width}×{photo.height}",
            "the mask must have the size of the picture",
        )
    mask = _rgba_or_grey(mask)
    convention = _convention(mask, photo)
    hidden = np.empty((mask.height, mask.width), dtype=bool)
    for left, top, right, bottom in _parts(mask):
        part = _crop(mask, (left, top, right, bottom))
        if convention in ("white", "white-or-transparent"):
            covered = np.asarray(to_rgb(part).convert("L")) >= 128
        else:
            opaque = np.asarray(part.getchannel("A")) >= _OPAQUE
            covered = opaque if convention == "painted" else ~opaque
        hidden[top:bottom, left:right] = covered
    return hidden, convention


def _convention(mask: Image.Image, photo: Image.Image) -> MaskConvention:
    """How to read a mask that is RGBA or grey."""
    import numpy as np

    if mask.mode == "L":
        return "white"
    opaque_count = white_count = black_count = alike_count = 0
    for box in _parts(mask):
        rgba = np.asarray(_crop(mask, box))
        opaque = rgba[..., 3] >= _OPAQUE
        colours = rgba[..., :3][opaque]  # [N, 3]
        original = np.asarray(to_rgb(_crop(photo, box)))[opaque]
        opaque_count += len(colours)
        white_count += int((colours.min(1) >= _WHITE).sum())
        black_count += int((colours.max(1) <= _BLACK).sum())
        apart = np.maximum(colours, original) - np.minimum(colours, original)
        alike_count += int((apart.max(1) <= _ALIKE).sum())
    if opaque_count == mask.width * mask.height:
        return "white"
    if not opaque_count or alike_count >= _MOST * opaque_count:
        return "transparent"
    if white_count >= _MOST * opaque_count:
        return "painted"
    if white_count >= _SOME * opaque_count and white_count + black_count >= _MOST * opaque_count:
        return "white-or-transparent"
    return "transparent"


def _parts(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes that cover `image`: left, top, right, bottom."""
    for top in range(0, image.height, _SIDE):
        for left in range(0, image.width, _SIDE):
            yield left, top, min(left + _SIDE, image.width), min(top + _SIDE, image.height)


def _crop(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    with allow_any_size():  # the picture is in memory already
        return image.crop(box)
