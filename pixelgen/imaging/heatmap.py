"""Heat maps beside the pictures that they belong to, with a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from pixelgen.errors import UsageError
from pixelgen.files import MAX_PIXELS
from pixelgen.imaging.grid import enlarge

if TYPE_CHECKING:
    import numpy as np

_MAX_SIDE = 256
"""Pictures are enlarged by the greatest whole factor that keeps them within this many pixels."""
_GAP, _TEXT = 8, 14
_LEGEND, _ROW_GAP = 48, 2 * _GAP + _TEXT
_TICKS = 5
_QUANTILE = 0.995
"""Share of the values that the scale covers: a few extreme ones would darken all others."""


@cache
def colours() -> np.ndarray:
    """uint8 [256, 3]: from dark violet over red to pale yellow. Lightness rises evenly in OKLab
    (Ottosson 2020), so that equal steps look equal, in black-and-white print too."""
    import numpy as np

    t = np.linspace(0, 1, 256)
    lightness = 0.12 + 0.86 * t
    hue = np.radians(290 + 170 * t)
    # A little below what sRGB holds at that lightness and hue, so that nothing is clipped.
    chroma = np.interp(t, (0, 0.6, 1), (0.055, 0.225, 0.025))
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        (
            4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
        ),
        axis=1,
    )
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Scale:
    """The range of values of a legend."""

    top: float
    """The value of the last colour, which greater values have too."""
    step: float
    """Between two ticks."""
    exceeded: bool
    """Whether there are greater values."""

    @classmethod
    def from_maps(cls, maps: Sequence[np.ndarray]) -> Scale:
        """From 0 to a round number that covers nearly all values, of those that are finite."""
        import numpy as np

        values = np.concatenate([np.ravel(m) for m in maps])
        finite = values[np.isfinite(values)]  # a value may be impossible: infinitely many bits
        need = max(float(np.quantile(finite, _QUANTILE)) if len(finite) else 1.0, 1e-9)
        power = 10.0 ** math.floor(math.log10(need / _TICKS))
        step = next(m * power for m in (1, 2, 5, 10) if m * power * _TICKS >= need)
        top = math.ceil(need / step - 1e-9) * step
        return cls(top, step, bool(values.max() > top))

    def colourise(self, values: np.ndarray) -> Image.Image:
        """Values [H, W] as RGB."""
        import numpy as np

        indices = (values / self.top * 255).round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(colours()[indices])


def check_rows(count: int, side: int) -> None:
    """Raises UsageError if `count` pictures of side×side pixels do not fit one sheet."""
    most = (MAX_PIXELS // (2 * side * _factor(side) + 3 * _GAP) - _LEGEND) // (
        side * _factor(side) + _ROW_GAP
    )
    if count > most:
        raise UsageError(f"{count} pictures are too many for one heat map", f"at most {most}")


def _factor(side: int) -> int:
    return max(_MAX_SIDE // side, 1)


def heat_sheet(
    pictures: Sequence[Image.Image],
    maps: Sequence[np.ndarray],
    captions: Sequence[str],
    unit: str,
) -> Image.Image:
    """A sheet with one row per picture: the picture, its map [H, W] enlarged to its size, and its
    caption below. All maps share one scale; the legend on top names the `unit`.

    Pictures are square and of one size. Raises as `check_rows` does.
    """
    side = pictures[0].width
    check_rows(len(pictures), side)
    scale, factor = Scale.from_maps(maps), _factor(side)
    width = height = side * factor
    row = height + _ROW_GAP
    size = (2 * width + 3 * _GAP, _LEGEND + len(pictures) * row)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    _legend(sheet, draw, font, scale, unit)
    for number, (picture, values, caption) in enumerate(zip(pictures, maps, captions, strict=True)):
        top = _LEGEND + number * row
        sheet.paste(enlarge(picture, factor), (_GAP, top))
        heat = scale.colourise(values).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(heat, (2 * _GAP + width, top))
        draw.text(
            (_GAP, top + height + 3), _truncate_left(caption, font, size[0] - 2 * _GAP), 0, font
        )
    return sheet


def _legend(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    scale: Scale,
    unit: str,
) -> None:
    """Draw a bar of all colours, numbers below it, and the unit at its right."""
    import numpy as np

    right = sheet.width - 3 * _GAP - math.ceil(draw.textlength(unit, font))
    bar = Image.fromarray(np.broadcast_to(colours(), (_TEXT, 256, 3)).copy())
    length = max(right - 2 * _GAP, 64)
    sheet.paste(bar.resize((length, _TEXT), Image.Resampling.BILINEAR), (2 * _GAP, _GAP))
    draw.text((2 * _GAP + length + _GAP, _GAP - 1), unit, 0, font)
    for tick in range(round(scale.top / scale.step) + 1):
        x = 2 * _GAP + tick * scale.step / scale.top * (length - 1)
        last = tick == round(scale.top / scale.step)
        number = f"{tick * scale.step:.6g}" + ("+" if last and scale.exceeded else "")
        draw.line((x, _GAP + _TEXT, x, _GAP + _TEXT + 3), 0)
        draw.text((x, _GAP + _TEXT + 4), number, 0, font, anchor="ma")


def _truncate_left(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """`text`, without its start if it is wider than `width`."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("… " + text) > width:
        text = text[1:]
    return "… " + text
