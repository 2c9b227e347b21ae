"""Pictures of any mode and colour space as RGB."""

from __future__ import annotations

from PIL import Image

from pixelgen.errors import InputError
from pixelgen.imaging.colour import Convert, srgb_converter
from pixelgen.imaging.png import allow_any_size

GreyRange = tuple[int, int]
"""The values of black and of white in a grey picture of more than 8 bits."""

_STRIP = 2**22  # pixels converted at a time, which takes several times the memory of a picture


def is_plain_rgb(image: Image.Image) -> bool:
    """Whether `to_rgb` would only copy `image`."""
    info = image.info
    return image.mode == "RGB" and "transparency" not in info and not info.get("icc_profile")


def has_alpha(image: Image.Image) -> bool:
    """Whether `image` has transparency that RGBA can hold: not that of greys of more than 8
    bits."""
    return image.has_transparency_data and not image.mode.startswith(("I", "F"))


def to_rgb(image: Image.Image, grey_range: GreyRange = (0, 65535)) -> Image.Image:
    """A copy of `image` as RGB, its colours converted to sRGB if it has an ICC profile, transparent
    pixels laid over white.

    Greys of more than 8 bits span `grey_range`. Raises InputError for floating-point pixels, whose
    range is unknown.
    """
    if image.mode == "F":
        raise InputError("its pixels are floating-point numbers")
    if is_plain_rgb(image):
        return image.copy()
    profile = image.info.get("icc_profile")
    convert = srgb_converter(profile, image.mode) if profile else None
    rows = max(1, _STRIP // max(1, image.width))
    rgb = Image.new("RGB", image.size)
    with allow_any_size():  # the picture is in memory already
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            strip = image.crop((0, top, image.width, bottom))
            rgb.paste(_convert(strip, grey_range, convert), (0, top))
    return rgb


def to_rgba(image: Image.Image) -> Image.Image:
    """`image`, which has transparency (see `has_alpha`), as RGBA, its colours converted to sRGB if
    it has an ICC profile; the same object if nothing is to be done."""
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    profile = image.info.get("icc_profile")
    convert = srgb_converter(profile, image.mode) if profile else None
    if convert is not None:
        alpha = rgba.getchannel("A")
        rgba = convert(rgba.convert("RGB")).convert("RGBA")
        rgba.putalpha(alpha)
    return rgba


def _convert(image: Image.Image, grey_range: GreyRange, convert: Convert | None) -> Image.Image:
    if convert is not None and image.mode == "CMYK":
        return convert(image)
    if image.mode.startswith("I"):
        image = _to_8_bits(image, grey_range)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    rgb = image.convert("RGB")
    if convert is not None:
        rgb = convert(rgb)
    if alpha is None:
        return rgb
    white = Image.new("RGB", image.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _to_8_bits(image: Image.Image, grey_range: GreyRange) -> Image.Image:
    """A grey picture of `grey_range` as one of 0 … 255."""
    import numpy as np

    black, white = grey_range
    span = abs(white - black)
    grey = np.asarray(image.convert("I"))
    transparent = grey == image.info.get("transparency")
    grey = grey.clip(min(grey_range), max(grey_range))
    grey[transparent] = white
    return Image.fromarray(((abs(grey - black) * 255 + span // 2) // span).astype(np.uint8))
