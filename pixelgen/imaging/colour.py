"""Colour profiles (ICC): pictures of other colour spaces become sRGB."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

from PIL import Image, ImageChops, ImageCms

Convert = Callable[[Image.Image], Image.Image]

_GREY_MODES = ("1", "L", "LA", "La")
# How far the colours of profiles that stand for sRGB are from it, in levels of 0 … 255.
_SAME = 2
_STEPS = (0, 32, 64, 96, 128, 160, 192, 224, 255)


@functools.lru_cache(maxsize=8)
def srgb_converter(profile: bytes, mode: str) -> Convert | None:
    """What turns colours of `profile` into sRGB: a picture of `mode` "CMYK", or the RGB picture
    made of any other `mode` → RGB.

    None where nothing is to be done: for sRGB itself, a broken profile, and one that describes
    other colours than those of `mode`.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "GRAY" and (mode in _GREY_MODES or mode.startswith("I")):
            return _grey_converter(_transform(source, "L"))
        if space == "CMYK" and mode == "CMYK":
            return _converter(_transform(source, "CMYK"))
        if space == "RGB" and mode != "CMYK":
            convert = _converter(_transform(source, "RGB"))
            return None if _is_near(convert(_sample()), _sample()) else convert
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        pass  # the pixels of the picture are intact
    return None


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _converter(transform: ImageCms.ImageCmsTransform) -> Convert:
    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # only a conversion in place returns nothing
        return converted

    return convert


def _grey_converter(transform: ImageCms.ImageCmsTransform) -> Convert | None:
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    converted = _converter(transform)(ramp)
    if _is_near(converted, ramp.convert("RGB")):
        return None
    table = [level for band in converted.split() for level in band.tobytes()]
    return lambda rgb: rgb.point(table)


def _sample() -> Image.Image:
    """Colours evenly spread over RGB."""
    values = bytes(v for r in _STEPS for g in _STEPS for b in _STEPS for v in (r, g, b))
    return Image.frombytes("RGB", (len(_STEPS) ** 3, 1), values)


def _is_near(one: Image.Image, other: Image.Image) -> bool:
    extrema = ImageChops.difference(one, other).getextrema()
    return all(int(largest) <= _SAME for _, largest in extrema)  # type: ignore[misc]
