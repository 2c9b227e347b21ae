"""Photos that a user names; `-` is stdin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pixelgen.cli.global_options import max_pixels_read
from pixelgen.cli.results import fingerprint
from pixelgen.cli.terminal import note, stdin_bytes
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import MAX_PIXELS, FaceCropper, read_image

# What counts as a picture in a folder; a file that is named is looked into, whatever it is called.
_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".jp2"),
    *(".pgm", ".ppm", ".qoi"),
)


def check_photos(given: Sequence[str]) -> None:
    """Raises PixelgenError (exit code 2) where stdin would be read twice."""
    if given.count("-") > 1:
        raise UsageError("stdin holds one picture", "give - once")


def read_photo(given: str) -> Image.Image:
    """The picture as RGB, the right way up; raises PixelgenError (exit code 3) if there is none."""
    most = max_pixels_read.get() or MAX_PIXELS
    if given == "-":
        return read_image(stdin_bytes("picture"), name="stdin", max_pixels=most)
    return read_image(expanded(given), name=given, max_pixels=most)


def photo_name(given: str) -> str:
    """What messages and files call it."""
    return "stdin" if given == "-" else given


def list_photos(given: Sequence[str]) -> list[str]:
    """`given`, with the pictures in it, by name, in the place of a folder.

    Raises PixelgenError for a folder without pictures, or that cannot be read (exit code 3), and as
    `check_photos` does.
    """
    check_photos(given)
    listed: list[str] = []
    for name in given:
        folder = expanded(name)
        if name == "-" or not os.path.isdir(folder):
            listed.append(name)
            continue
        try:
            found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
        except OSError as error:
            why = error.strerror or str(error)
            raise InputError(f"cannot read {name}: {why}") from error
        if not found:
            raise InputError(f"no pictures in the folder {name}")
        listed += map(str, found)
    return listed


def read_photos(given: Sequence[str], quiet: bool = False) -> Iterator[tuple[str, Image.Image]]:
    """Name and picture of everything in `given`, one at a time: a photo may be a thousand times as
    large as what is kept of it. In a folder, a file that cannot be read is noted, unless `quiet`,
    and passed over.

    Raises as `list_photos` does, for another file that cannot be read, and where nothing can be.
    """
    readable = 0
    named = set(given)
    for name in list_photos(given):
        try:
            image = read_photo(name)
        except PixelgenError as error:
            if name in named:
                raise
            note(error.message, quiet)
            continue
        readable += 1
        yield photo_name(name), image
    if not readable:
        raise InputError("none of the pictures can be read")


@dataclass(frozen=True)
class FaceChoice:
    """Which face of photos is meant."""

    number: int | None
    """As `pixelgen faces` counts; None: the largest."""
    align: bool
    """Whether faces are looked for at all; otherwise every photo is an aligned face already."""

    def __post_init__(self) -> None:
        """Raises PixelgenError (exit code 2) for what makes no sense."""
        if self.number is not None and not self.align:
            raise UsageError("an aligned face is the only one", "--face or --no-align")
        if self.number is not None and self.number < 1:
            raise UsageError(f"face must be at least 1, not {self.number}")

    def cut(self, photos: Sequence[str], size: int, quiet: bool) -> list[Image.Image]:
        """That face of every photo, aligned, size×size pixels; a note on stderr where there are
        several and nobody said which. Raises PixelgenError (exit code 3) where there is none."""
        cropper = FaceCropper(size)
        # One at a time: a photo may be ten thousand times as large as what is kept of it.
        return [self._cut(given, cropper, quiet) for given in photos]

    def _cut(self, given: str, cropper: FaceCropper, quiet: bool) -> Image.Image:
        name = photo_name(given)
        crop = cropper.crop(read_photo(given), face=self.number, aligned=not self.align, name=name)
        if crop.face_count > 1 and self.number is None:
            note(f"{name} has {crop.face_count} faces, the largest is taken (--face N)", quiet)
        return crop.image

    def parameters(self, photos: Sequence[str], crops: Sequence[Image.Image]) -> dict[str, Any]:
        """What pictures drawn from these `crops` say about their origin."""
        return {
            "photos": [Path(photo_name(given)).name for given in photos],
            "face": self.number,
            "align": self.align,
            "crops": [fingerprint([crop.tobytes()]) for crop in crops],
        }
