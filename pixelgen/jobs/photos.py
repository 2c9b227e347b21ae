"""Photos by their paths; `-` is the input stream of the program."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import FaceCropper, picture_endings, read_image, read_mask
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.text_chunks import fingerprint


def check_photos(photos: Sequence[str]) -> None:
    """Raise UsageError where stdin would be read twice."""
    if [*photos].count("-") > 1:
        raise UsageError("stdin holds one picture only", "give - once")


def read_photo(photo: str, context: JobContext, *, keep_alpha: bool = False) -> Image.Image:
    """The picture as RGB, the right way up; with `keep_alpha` as RGBA where it has transparency.
    Raises InputError for what is no picture."""
    return read_image(
        _source(photo, context),
        name=photo_name(photo),
        max_pixels=context.max_pixels,
        keep_alpha=keep_alpha,
        on_note=context.note,
    )


def read_mask_of(mask: str, context: JobContext) -> Image.Image:
    """A mask, the right way up, with its transparency. Raises InputError for what is no picture."""
    return read_mask(_source(mask, context), name=photo_name(mask), max_pixels=context.max_pixels)


def _source(photo: str, context: JobContext) -> Path | BinaryIO:
    return context.open_input("a picture") if photo == "-" else expanded(photo)


def photo_name(photo: str) -> str:
    """What messages and files call a photo."""
    return "stdin" if photo == "-" else photo


def file_name(photo: str) -> str:
    """The name of a photo's file without its folder, which is nobody else's business."""
    return Path(photo_name(photo)).name


def list_photos(photos: Sequence[str]) -> list[str]:
    """`photos` with every folder replaced by the pictures in it, sorted by name.

    Raises InputError for a folder without pictures, or that cannot be read, and UsageError as
    `check_photos` does.
    """
    check_photos(photos)
    listed: list[str] = []
    for name in photos:
        folder = expanded(name)
        if name == "-" or not os.path.isdir(folder):
            listed.append(name)
            continue
        endings = picture_endings()
        try:
            inside = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings)
        except OSError as error:
            why = error.strerror or str(error)
            raise InputError(f"cannot read {name}: {why}") from error
        if not inside:
            raise InputError(f"no pictures in the folder {name}")
        listed += map(str, inside)
    return listed


def read_photos(photos: Sequence[str], context: JobContext) -> Iterator[tuple[str, Image.Image]]:
    """Name and picture of everything in `photos`, one at a time: a photo may be a thousand times as
    large as what is kept of it. In a folder, a file that cannot be read is noted and skipped.

    Raises as `list_photos` does, for another file that cannot be read, and where all are skipped.
    """
    readable = 0
    named = set(photos)
    for name in list_photos(photos):
        try:
            image = read_photo(name, context)
        except PixelgenError as error:
            if name in named:
                raise
            context.note(error.message)
            continue
        readable += 1
        yield photo_name(name), image
    if not readable:
        raise InputError("none of the pictures can be read")


@dataclass(frozen=True)
class FaceChoice:
    """Which face of every photo is meant."""

    number: int | None
    """From 1, the largest face first; None: the largest."""
    align: bool
    """Whether faces are detected at all; otherwise every photo is an aligned face already."""

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no sense."""
        if self.number is not None and not self.align:
            raise UsageError(
                "an aligned photo has one face", "leave out face, or align", code="face-of-aligned"
            )
        if self.number is not None and self.number < 1:
            raise UsageError(f"face must be at least 1, not {self.number}")

    def cut(self, photos: Sequence[str], size: int, context: JobContext) -> list[Image.Image]:
        """That face of every photo, aligned, size×size pixels. Notes where a photo has several and
        no number was given. Raises InputError where it has none."""
        cropper = FaceCropper(size)
        # One at a time: a photo may be ten thousand times as large as what is kept of it.
        return [self._cut(photo, cropper, context) for photo in photos]

    def _cut(self, photo: str, cropper: FaceCropper, context: JobContext) -> Image.Image:
        name, image = photo_name(photo), read_photo(photo, context)
        crop = cropper.crop(image, face=self.number, aligned=not self.align, name=name)
        if crop.face_count > 1 and self.number is None:
            context.note(
                f"{name} has {crop.face_count} faces, the largest is used; the option face (1 to "
                f"{crop.face_count}) chooses another"
            )
        return crop.image

    def parameters(self, photos: Sequence[str], crops: Sequence[Image.Image]) -> dict[str, Any]:
        """What pictures drawn from these `crops` say about where they come from."""
        return {
            "photos": [file_name(photo) for photo in photos],
            "face": self.number,
            "align": self.align,
            "crops": [fingerprint([crop.tobytes()]) for crop in crops],
        }
