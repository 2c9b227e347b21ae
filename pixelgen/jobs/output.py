"""Where pictures go: a file, a folder, or a stream, checked before anything is computed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

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
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.photos import photo_name

_LONGEST_SLUG = 40


def check_folder(folder: Path) -> None:
    """Raise UsageError for a folder that files cannot be written to."""
    if not os.path.isdir(folder):
        raise UsageError(f"no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} cannot be written to")


def check_name(path: Path) -> None:
    """Raise UsageError where no file can have this name."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot write {path}: {why}", "give another output", code="unusable-output"
        ) from error


def file_exists(path: object) -> UsageError:
    """The error for a file that would be overwritten."""
    return UsageError(f"{path} exists", "force=True replaces it", code="file-exists")


@dataclass(frozen=True)
class OutputFiles:
    """The place for one or more pictures, or an animation."""

    path: Path | None
    """The file, numbered if there are several; None: the output stream."""
    named: bool
    """Whether the user named the file, so that an existing one is an error; otherwise the next free
    number is taken."""
    force: bool
    """Whether existing files are replaced."""
    count: int
    """Number of files."""
    endings: tuple[str, ...] = ()
    """What their names end with; without them several files are numbered."""

    @classmethod
    def plan(
        cls,
        output: str | None,
        default_stem: str,
        count: int,
        force: bool,
        *,
        endings: Sequence[str] = (),
        moving: bool = False,
    ) -> OutputFiles:
        """The place that `output` names: None for the current folder, a folder, a .png file, or `-`
        for the output stream; with `moving` also an animation, which is one file of all pictures.

        Raises UsageError for a place that cannot be written to.
        """
        if output == "-":
            if count > 1:
                raise UsageError(
                    "stdout takes one picture", "put all on one grid", code="one-picture"
                )
            return cls(None, True, force, count, tuple(endings))
        path = expanded(output or ".")
        named = not (os.path.isdir(path) or (output or "").endswith(("/", os.sep)))
        folder = path.parent if named else path
        check_folder(folder)
        kinds = (".png", *ANIMATIONS) if moving else (".png",)
        if named and path.suffix.lower() not in kinds:
            raise UsageError(f"{path} is neither a folder nor a {' or '.join(kinds)} file")
        path = path if named else path / f"{default_stem}.png"
        plan = cls(path, named, force, count, tuple(endings))
        if plan.animated and count > 1:
            raise UsageError(
                f"{path} is one file of all pictures", "put all on one grid", code="one-picture"
            )
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

    def refuse_to_overwrite(self, texts: Sequence[Mapping[str, str]]) -> None:
        """Raise UsageError where a named file exists, unless it is this very picture already.

        `texts` are the text chunks that the files will get; they determine the picture.
        """
        if not self.named or self.force:
            return
        text_of = animation_text if self.animated else png_text
        for file, text in zip(self.files(), texts, strict=False):
            if os.path.lexists(file) and not text.items() <= text_of(file).items():
                raise file_exists(file)

    def write(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[Mapping[str, str]],
        context: JobContext,
        *,
        partial: bool = False,
    ) -> list[Path]:
        """Write every picture with its text chunks; the files, none for the stream. With `partial`
        there may be fewer pictures, of the first files."""
        if self.path is None:
            context.write_output(png_bytes(images[0], texts[0]))
            return []
        return [
            save_png(file, image, text, self._if_exists)
            for file, image, text in zip(self.files(), images, texts, strict=not partial)
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
