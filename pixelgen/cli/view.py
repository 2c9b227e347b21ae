"""How pictures are laid out for a user: `--grid`, `--scale`, `--resample`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixelgen.imaging import Resample, enlarge

Sheet = Callable[[Sequence[Image.Image]], Image.Image]
"""Lays out all pictures, in the order of drawing, as one."""


def first_of_each(images: Sequence[Image.Image], count: int) -> Sequence[Image.Image]:
    """What is seen of `count` pictures while several candidates of each are drawn, one after
    another: the first of each."""
    return images[:: max(len(images) // count, 1)]


@dataclass(frozen=True)
class View:
    """Pictures enlarged, on one sheet or each for itself."""

    grid: bool
    """One sheet of all."""
    scale: int
    """How many times they are enlarged."""
    resample: Resample = "nearest"
    """How."""

    @property
    def gap(self) -> int:
        """Pixels between the pictures of a sheet."""
        return 2 * self.scale

    def parameters(self) -> dict[str, Any]:
        """What of this decides how files come out."""
        enlarged = {"resample": self.resample} if self.scale > 1 else {}
        return {"grid": self.grid, "scale": self.scale} | enlarged

    def finish(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """The pictures as they are shown."""
        return [enlarge(image, self.scale, self.resample) for image in images]

    def lay_out(self, images: Sequence[Image.Image], sheet: Sheet) -> list[Image.Image]:
        """What goes to files: a `sheet` of all, or each, finished."""
        return [sheet(images)] if self.grid else self.finish(images)
