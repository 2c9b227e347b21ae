"""What a face detector takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL import Image

from pixelgen.imaging.alignment import Point


@dataclass(frozen=True)
class Face:
    """A face in a picture, in pixels from the picture's upper left corner."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1; it may leave the picture."""
    score: float
    """Confidence of the detector, 0 … 1."""
    landmarks: tuple[Point, ...]
    """Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture."""

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


class FaceDetector(Protocol):
    """Finds faces in pictures."""

    def detect(self, image: Image.Image) -> list[Face]:
        """The faces in `image` (RGB), largest first."""
        ...


@runtime_checkable
class LimitedFaceDetector(FaceDetector, Protocol):
    """A detector that knows what it misses."""

    def smallest_face(self, width: int, height: int) -> float:
        """About how wide, in pixels, a face must be to be found in a picture of width×height."""
        ...
