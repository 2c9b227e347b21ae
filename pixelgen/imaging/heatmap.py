"""Maps of numbers as colours, beside the pictures that they belong to, with a legend."""

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

_SHOWN = 256
"""Pictures are enlarged by the greatest whole factor that keeps them within this many pixels."""
_GAP, _TEXT = 8, 14
_LEGEND, _BETWEEN = 48, 2 * _GAP + _TEXT
_TICKS = 5
_HIGHEST = 0.995
"""Share of all values that the scale covers: a few extreme ones would darken the rest."""


@cache
def colours() -> np.ndarray:
    """uint8 [256, 3]: from dark violet over red to pale yellow. Lightness rises evenly in OKLab
    (Ottosson 2020), so equal steps look equal, in print without colours too."""
    import numpy as np

    t = np.linspace(0, 1, 256)
    lightness = 0.12 + 0.86 * t
    hue = np.radians(290 + 170 * t)
    # A little less than screens can show at that lightness and hue: nothing is clipped.
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
    """The values that a legend has numbers for."""

    top: float
    """The value of the last colour; those above have it too."""
    step: float
    """Between two numbers."""
    exceeded: bool
    """Whether there are values above."""

    @classmethod
    def of(cls, maps: Sequence[np.ndarray]) -> Scale:
        """From 0 to a round number that covers nearly all values."""
        import numpy as np

        values = np.concatenate([np.ravel(m) for m in maps])
        need = max(float(np.quantile(values, _HIGHEST)), 1e-9)
        power = 10.0 ** math.floor(math.log10(need / _TICKS))
        step = next(m * power for m in (1, 2, 5, 10) if m * power * _TICKS >= need)
        top = math.ceil(need / step - 1e-9) * step
        return cls(top, step, bool(values.max() > top))

    def paint(self, values: np.ndarray) -> Image.Image:
        """Values [H, W] as RGB."""
        import numpy as np

        places = (values / self.top * 255).round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(colours()[places])


def check_rows(count: int, side: int) -> None:
    """Raises PixelgenError (exit code 2) where `count` pictures of side×side pixels are more than
    one sheet takes."""
    most = (MAX_PIXELS // (2 * side * _factor(side) + 3 * _GAP) - _LEGEND) // (
        side * _factor(side) + _BETWEEN
    )
    if count > most:
        raise UsageError(f"{count} pictures are too many for one map", f"at most {most}")


def _factor(side: int) -> int:
    return max(_SHOWN // side, 1)


def heat_sheet(
    pictures: Sequence[Image.Image],
    maps: Sequence[np.ndarray],
    captions: Sequence[str],
    unit: str,
) -> Image.Image:
    """Each picture beside its map [H, W] (stretched over it) with its caption below, one under the
    other; all maps have one scale, whose legend on top names the `unit`.

    Pictures are square and have one size. Raises as `check_rows` does.
    """
    side = pictures[0].width
    check_rows(len(pictures), side)
    scale, factor = Scale.of(maps), _factor(side)
    width = height = side * factor
    row = height + _BETWEEN
    size = (2 * width + 3 * _GAP, _LEGEND + len(pictures) * row)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    _legend(sheet, draw, font, scale, unit)
    for number, (picture, values, caption) in enumerate(zip(pictures, maps, captions, strict=True)):
        top = _LEGEND + number * row
        sheet.paste(enlarge(picture, factor), (_GAP, top))
        heat = scale.paint(values).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(heat, (2 * _GAP + width, top))
        draw.text((_GAP, top + height + 3), _fitting(caption, font, size[0] - 2 * _GAP), 0, font)
    return sheet


def _legend(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    scale: Scale,
    unit: str,
) -> None:
    """A bar of all colours with numbers below it, and the unit at its right."""
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


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """`text`, its start left out as far as it does not fit."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("… " + text) > width:
        text = text[1:]
    return "… " + text
