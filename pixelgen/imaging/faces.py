"""Faces in photos: what a detector says about one, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from pixelgen.errors import InputError, UsageError
from pixelgen.imaging.alignment import Point, align
from pixelgen.imaging.read import square, to_rgb


@dataclass(frozen=True)
class Face:
    """A face in a picture, in pixels from the picture's upper left corner."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1; it may leave the picture."""
    score: float
    """How sure the detector is, 0 … 1."""
    landmarks: tuple[Point, ...]
    """Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture."""

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


class FaceDetector(Protocol):
    """Whatever finds faces."""

    def detect(self, image: Image.Image) -> list[Face]:
        """The faces in `image` (RGB), largest first."""
        ...


def find_face(
    image: Image.Image,
    index: int | None = None,
    detector: FaceDetector | None = None,
    *,
    name: str = "the picture",
) -> Face:
    """The largest face in `image` (RGB), or the one that `pixelgen faces` gives number `index`.

    Without `detector`, a new `MtcnnDetector` looks for it. Messages call the picture `name`.
    Raises PixelgenError: exit code 3 where there is no face, 2 where there are fewer than `index`,
    and for an `index` that is no whole number.
    """
    _check_number(index)
    if detector is None:
        from pixelgen.imaging.mtcnn import MtcnnDetector

        detector = MtcnnDetector()
    return _pick(detector.detect(image), index, name)


@dataclass(frozen=True)
class FaceCrop:
    """A face, cut out of a photo."""

    image: Image.Image
    """Square, aligned, RGB."""
    found: int
    """Faces in the photo; 0 where none were looked for."""


class FaceCutter:
    """Cuts faces out of photos, as an embedder wants them."""

    def __init__(self, size: int, detector: FaceDetector | None = None) -> None:
        """Crops are size×size pixels. Without `detector`, one is made when the first photo asks
        for it."""
        self.size = size
        self._detector = detector

    def cut(
        self,
        photo: Image.Image,
        *,
        face: int | None = None,
        aligned: bool = False,
        name: str = "the photo",
    ) -> FaceCrop:
        """The largest face in `photo`, or number `face` (from 1); with `aligned` the photo is such
        a crop already. Raises PixelgenError as `find_face` does."""
        _check_number(face)
        if aligned and face is not None:
            raise UsageError("an aligned face is the only one", "leave out face")
        if aligned:
            return FaceCrop(square(photo, self.size), 0)
        if self._detector is None:
            from pixelgen.imaging.mtcnn import MtcnnDetector

            self._detector = MtcnnDetector()
        rgb = to_rgb(photo)
        found = self._detector.detect(rgb)
        chosen = _pick(found, face, name)
        return FaceCrop(align(rgb, chosen.landmarks, self.size), len(found))


def _check_number(index: int | None) -> None:
    """Raises PixelgenError (exit code 2) for the number of a face that is none."""
    if index is not None and not hasattr(index, "__index__"):
        raise UsageError(f"face must be a whole number, not {index!r}")


def _pick(found: Sequence[Face], index: int | None, name: str) -> Face:
    """Number `index` of `found`, or the first. Raises PixelgenError where there is none."""
    if not found:
        raise InputError(f"no face found in {name}", "--no-align for an already aligned crop")
    number = 1 if index is None else index
    if not 1 <= number <= len(found):
        count = f"{len(found)} face{'s' * (len(found) > 1)}"
        raise UsageError(f"{name} has {count}, no number {number}", "--face N")
    return found[number - 1]
