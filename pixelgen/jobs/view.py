"""How pictures are laid out for a user: on one sheet or in a file each, enlarged or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.imaging import Resample, enlarge
from pixelgen.jobs.job import check_range, option


@dataclass(frozen=True, kw_only=True)
class View:
    """Pictures enlarged, on one sheet or each for itself."""

    grid: bool = option(True, opposite="separate")
    """One sheet of all pictures, rather than a file each."""
    scale: int = 1
    """How many times they are enlarged, 1 … 64."""
    resample: Resample = "nearest"
    """How they are enlarged; "learned": by a small network, about a tenth of a second a picture."""

    def __post_init__(self) -> None:
        check_range("scale", self.scale, 1, 64)

    def check(self) -> None:
        """Raise UsageError for what has no effect."""
        if self.scale == 1 and self.resample != "nearest":
            raise UsageError(
                "resample requires a scale above 1", "set scale", code="resample-without-scale"
            )

    @property
    def gap(self) -> int:
        """Pixels between the pictures of a sheet."""
        return 2 * self.scale

    def parameters(self) -> dict[str, Any]:
        """What of this decides how files come out."""
        enlarged = {"resample": self.resample} if self.scale > 1 else {}
        return {"grid": self.grid, "scale": self.scale} | enlarged

    def enlarge(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """The pictures as they are shown."""
        return [enlarge(image, self.scale, self.resample) for image in images]

    def lay_out(self, images: Sequence[Image.Image], sheet: Sheet) -> list[Image.Image]:
        """What goes to files: a `sheet` of all, or each picture enlarged."""
        return [sheet(images, self)] if self.grid else self.enlarge(images)

    def preview(self) -> View:
        """For pictures that are still being drawn: of the same sizes, but enlarged at once."""
        return replace(self, resample="lanczos") if self.resample == "learned" else self


Sheet = Callable[[Sequence[Image.Image], View], Image.Image]
"""Lays out all pictures, in the order of drawing, as one, in this view."""


def first_of_each(images: Sequence[Image.Image], count: int) -> Sequence[Image.Image]:
    """What is shown of `count` pictures while several candidates of each are drawn, one after
    another: the first of each."""
    return images[:: max(len(images) // count, 1)]
