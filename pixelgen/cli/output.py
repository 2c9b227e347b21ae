"""Where pictures go: `-o FILE|DIR|-`, checked before anything is computed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pixelgen.cli.photos import photo_name
from pixelgen.cli.terminal import check_takes_bytes
from pixelgen.errors import UsageError
from pixelgen.files import expanded
from pixelgen.imaging import (
    ANIMATIONS,
    IfExists,
    animation_text,
    png_bytes,
    png_text,
    save_animation,
    save_png,
)

_LONGEST_SLUG = 40


def check_stdout(given: str | None, as_json: bool, what: str = "a picture") -> None:
    """Raises PixelgenError (exit code 2) where both `what` (`-o -`) and JSON would go there."""
    if given == "-" and as_json:
        raise UsageError(f"stdout cannot take both {what} and --json", "-o FILE")


def check_folder(folder: Path) -> None:
    """Raises PixelgenError (exit code 2) for a folder that files cannot be written to."""
    if not os.path.isdir(folder):
        raise UsageError(f"no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} cannot be written to")


def check_name(path: Path) -> None:
    """Raises PixelgenError (exit code 2) where no file can have this name."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot write {path}: {why}", "give another -o") from error


@dataclass(frozen=True)
class Output:
    """The place for one or more pictures, or an animation."""

    path: Path | None
    """The file, numbered if there are several; None: stdout."""
    named: bool
    """Whether the user named the file, so that an existing one is an error, or we did, so that the
    next free number is taken."""
    force: bool
    """Existing files are replaced."""
    count: int
    """Number of files."""
    endings: tuple[str, ...] = ()
    """What their names end with; without them several are numbered."""

    @classmethod
    def plan(
        cls,
        given: str | None,
        default_stem: str,
        count: int,
        force: bool,
        endings: Sequence[str] = (),
        moving: bool = False,
    ) -> Output:
        """Read `-o`: nothing, a folder, a .png file, or `-` for stdout; with `moving` also an
        animation, which is one file of all pictures.

        Raises PixelgenError (exit code 2) for a place that cannot be written to.
        """
        if given == "-":
            if count > 1:
                raise UsageError("stdout takes one picture", "--grid")
            check_takes_bytes("a PNG")
            return cls(None, True, force, count, tuple(endings))
        path = expanded(given or ".")
        named = not (os.path.isdir(path) or (given or "").endswith(("/", os.sep)))
        folder = path.parent if named else path
        check_folder(folder)
        kinds = (".png", *ANIMATIONS) if moving else (".png",)
        if named and path.suffix.lower() not in kinds:
            raise UsageError(f"{path} is neither a folder nor a {' or '.join(kinds)} file")
        path = path if named else path / f"{default_stem}.png"
        plan = cls(path, named, force, count, tuple(endings))
        if plan.animated and count > 1:
            raise UsageError(f"{path} is one file of all pictures", "--grid")
        check_name(max(plan.files(), key=lambda file: len(file.name)))
        return plan

    @property
    def animated(self) -> bool:
        """Whether the pictures become one animation."""
        return self.path is not None and self.path.suffix.lower() in ANIMATIONS

    def files(self) -> list[Path]:
        """The files as planned: a.png, or a-1.png, a-2.png, …, or a-ENDING.png, …"""
        if self.path is None:
            return []
        if self.endings:
            return [self.path.with_stem(f"{self.path.stem}-{end}") for end in self.endings]
        if self.count == 1:
            return [self.path]
        stem = self.path.stem
        return [self.path.with_stem(f"{stem}-{i + 1}") for i in range(self.count)]

    def occupied(self) -> list[Path]:
        """Files that are there already although the user named them and did not allow it."""
        return (
            [f for f in self.files() if os.path.lexists(f)] if self.named and not self.force else []
        )

    def refuse_to_overwrite(self, texts: Sequence[Mapping[str, str]]) -> None:
        """Raise PixelgenError where a named file exists, unless it is this very picture already.

        `texts` are the text chunks that the files will get; they decide the picture.
        """
        text_of = animation_text if self.animated else png_text
        occupied = {*self.occupied()}
        for file, text in zip(self.files(), texts, strict=False):
            if file in occupied and not text.items() <= text_of(file).items():
                raise UsageError(f"{file} exists", "--force replaces it")

    def write(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[Mapping[str, str]],
        *,
        partly: bool = False,
    ) -> list[Path]:
        """Write every picture with its text chunks; the files, none for stdout. With `partly` there
        may be fewer pictures, of the first files."""
        if self.path is None:
            sys.stdout.buffer.write(png_bytes(images[0], texts[0]))
            sys.stdout.buffer.flush()
            return []
        return [
            save_png(file, image, text, self._if_exists)
            for file, image, text in zip(self.files(), images, texts, strict=not partly)
        ]

    def write_animation(
        self, frames: Sequence[Image.Image], text: Mapping[str, str], fps: float
    ) -> list[Path]:
        """Write `frames` as the one file, `fps` of them a second; that file."""
        return [save_animation(file, frames, fps, text, self._if_exists) for file in self.files()]

    @property
    def _if_exists(self) -> IfExists:
        # A named file was either free or held the same picture when `refuse_to_overwrite` looked.
        return "replace" if self.named or self.force else "number"


def photo_slug(photo: str) -> str:
    """The name of a photo, without folder and ending, as part of a file name."""
    return slug(Path(photo_name(photo)).stem) or "picture"


def slug(name: str) -> str:
    """`name` as part of a file name: golden retriever → golden-retriever; long ones are cut."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
    return plain[:_LONGEST_SLUG].rstrip("-")
