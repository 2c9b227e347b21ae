"""Pictures in a terminal, two pixels a cell: the upper one is the colour of a half block, the lower
one its background."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

from PIL import Image
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

Pixel = tuple[int, int, int]


class HalfBlocks:
    """A picture that rich can print, as many columns wide as it has pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image.convert("RGB")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = self.image.size
        values = self.image.tobytes()
        rows = [_pixels(values[3 * width * i : 3 * width * (i + 1)]) for i in range(height)]
        below: list[list[Pixel] | list[None]] = [*rows[1::2]]
        if height % 2:
            below.append([None] * width)
        for upper, lower in zip(rows[::2], below, strict=True):
            for (above, beneath), run in groupby(zip(upper, lower, strict=True)):
                yield Segment("▀" * len(list(run)), _style(above, beneath))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.image.width, self.image.width)


def _pixels(values: bytes) -> list[Pixel]:
    return list(zip(values[::3], values[1::3], values[2::3], strict=True))


@lru_cache(maxsize=16384)
def _style(above: Pixel, beneath: Pixel | None) -> Style:
    behind = None if beneath is None else Color.from_rgb(*beneath)
    return Style(color=Color.from_rgb(*above), bgcolor=behind)
