"""Choosing a face in a photo and cropping it for an embedder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from pixelgen.errors import InputError, UsageError, counted
from pixelgen.imaging.alignment import align
from pixelgen.imaging.face_detector import Face, FaceDetector, LimitedFaceDetector
from pixelgen.imaging.read import square
from pixelgen.imaging.rgb import is_plain_rgb, to_rgb
from pixelgen.imaging.tiles import shrink

_CERTAIN = 0.998
"""The score from which on a face is beyond doubt: that of nearly all upright faces. Those on their
side, whose landmarks are wrong, stay below it."""
_MUCH_LIKELIER = 10.0
"""By how much the odds of a face after a turn must exceed those of one without: faces on their side
may be found with wrong landmarks, at scores of 0.9."""
_TURNED_SIDE = 1024
"""Pixels of the longer side of a picture that is turned to find faces."""
_TURNS = {
    "90° clockwise": Image.Transpose.ROTATE_270,
    "90° anticlockwise": Image.Transpose.ROTATE_90,
    "180°": Image.Transpose.ROTATE_180,
}
"""What a viewer would have to do, and how Pillow, which counts anticlockwise, does it."""


def find_face(
    image: Image.Image,
    index: int | None = None,
    detector: FaceDetector | None = None,
    *,
    name: str = "the picture",
) -> Face:
    """The largest face in `image` (RGB), or face number `index` (from 1) by descending size.

    Without `detector`, a new `MtcnnDetector` is used. Messages call the picture `name`. Raises
    InputError as `detect_faces` does, and UsageError where there are fewer faces than `index` or
    `index` is not a whole number.
    """
    _check_number(index)
    if detector is None:
        from pixelgen.imaging.mtcnn import MtcnnDetector

        detector = MtcnnDetector()
    return _choose(detect_faces(image, detector, name), index, name)


def detect_faces(image: Image.Image, detector: FaceDetector, name: str) -> list[Face]:
    """The faces in `image` (RGB), largest first; messages call it `name`.

    Raises InputError where there is none, and where none is certain but one would be, or would be
    much likelier, if the picture were turned.
    """
    faces = detector.detect(image)
    if any(face.score >= _CERTAIN for face in faces):
        return faces
    small = shrink(image, _TURNED_SIDE)
    scores = {
        turn: max((face.score for face in detector.detect(small.transpose(how))), default=0)
        for turn, how in _TURNS.items()
    }
    turn = max(scores, key=lambda turn: scores[turn])
    best = max((face.score for face in faces), default=1.0)
    if scores[turn] >= _CERTAIN or _odds(scores[turn]) > _MUCH_LIKELIER * _odds(best):
        raise InputError(
            f"no upright face in {name}, but one when it is rotated by {turn}",
            "rotate the picture first",
        )
    if not faces:
        limit = ""
        if isinstance(detector, LimitedFaceDetector):
            pixels = math.ceil(detector.smallest_face(*image.size))
            limit = f"; faces narrower than about {pixels} pixels are missed"
        raise InputError(
            f"no face found in {name}{limit}",
            "set aligned for a photo that is an aligned face crop already",
            code="no-face-found",
        )
    return faces


def _odds(score: float) -> float:
    """Of a face, by the score of the detector."""
    return score / (1 - score) if score < 1 else math.inf


@dataclass(frozen=True)
class FaceCrop:
    """An aligned face, cropped from a photo."""

    image: Image.Image
    """Square, aligned, RGB."""
    face_count: int
    """Faces detected in the photo; 0 where the detector did not run."""


class FaceCropper:
    """Crops and aligns faces in photos for a face embedder."""

    def __init__(self, size: int, detector: FaceDetector | None = None) -> None:
        """Crops are size×size pixels. Without `detector`, an `MtcnnDetector` is loaded with the
        first photo that needs one."""
        self.size = size
        self._detector = detector

    def crop(
        self,
        photo: Image.Image,
        *,
        face: int | None = None,
        aligned: bool = False,
        name: str = "the photo",
    ) -> FaceCrop:
        """Crop the largest face in `photo`, or number `face` (from 1). An `aligned` photo is such
        a crop already and is only resized. Raises as `find_face` does."""
        _check_number(face)
        if aligned and face is not None:
            raise UsageError("face cannot be combined with aligned", "leave out face")
        if aligned:
            return FaceCrop(square(photo, self.size), 0)
        if self._detector is None:
            from pixelgen.imaging.mtcnn import MtcnnDetector

            self._detector = MtcnnDetector()
        # A copy of the largest photos may not fit into memory.
        rgb = photo if is_plain_rgb(photo) else to_rgb(photo)
        faces = detect_faces(rgb, self._detector, name)
        chosen = _choose(faces, face, name)
        return FaceCrop(align(rgb, chosen.landmarks, self.size), len(faces))


def _check_number(index: int | None) -> None:
    """Raises UsageError for a face number that is not a whole number."""
    if index is not None and not hasattr(index, "__index__"):
        raise UsageError(f"face must be a whole number, not {index!r}")


def _choose(faces: Sequence[Face], index: int | None, name: str) -> Face:
    """Number `index` of `faces`, or the first. Raises UsageError if there is no such face."""
    number = 1 if index is None else index
    if not 1 <= number <= len(faces):
        count = counted(len(faces), "face")
        raise UsageError(
            f"{name} has {count}, no number {number}",
            f"face must be 1 to {len(faces)}",
            code="no-such-face",
        )
    return faces[number - 1]
