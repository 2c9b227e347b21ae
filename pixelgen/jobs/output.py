"""Where pictures go: a file, a folder, or a stream, checked before anything is computed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.files import expanded
from pixelgen.imaging import (
    ANIMATIONS,
    PICTURES,
    IfExists,
    is_unfinished,
    picture_text,
    png_bytes,
    same_picture,
    save_animation,
    save_picture,
    unfinished_text,
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
        if isinstance(error, UnicodeEncodeError):
            why = f"its name has no form in the encoding {error.encoding} of this system"
        raise UsageError(
            f"cannot write {path}: {why}", "give another output", code="unusable-output"
        ) from error


def names_folder(output: str) -> bool:
    """Whether `output` is a folder, there already or to be made, rather than a file."""
    return os.path.isdir(expanded(output or ".")) or output.endswith(("/", os.sep))


def file_exists(path: object) -> UsageError:
    """The error for a file that would be overwritten."""
    return UsageError(f"{path} exists", "force=True replaces it", code="file-exists")


def refuse_to_replace(path: Path, text: Mapping[str, str], force: bool) -> None:
    """Raise UsageError where `path` exists, unless `force`, or by its text chunks it is, or was to
    become, the very picture that gets the chunks `text`."""
    if force or not os.path.lexists(path):
        return
    stored = picture_text(path)
    if not text.items() <= stored.items() or ("drawn" in stored and not is_unfinished(path, text)):
        raise file_exists(path)


def write_beside(
    path: Path, text: Mapping[str, str], force: bool, save: Callable[[Path, IfExists], Path]
) -> Path:
    """Write a picture by `save`, whose text chunks are `text` when it is finished, and return where
    it is.

    Only with `force` does it replace an existing file, or where that is the unfinished picture.
    Other files are kept, and the picture gets the next free number; but if it is in `path` already,
    pixel for pixel, it is not written again.
    """
    if force or is_unfinished(path, text):
        return save(path, "replace")
    written = save(path, "number")
    if written != path and same_picture(path, written):
        written.unlink()
        return path
    return written


def check_written(
    planned: Sequence[Path], written: Sequence[Path], context: JobContext | None = None
) -> None:
    """Raise UsageError where files went to other places than `planned` because these were taken
    after they had been checked; `context` is told first where all of them are."""
    moved = [(a, b) for a, b in zip(planned, written, strict=False) if a != b]
    if not moved:
        return
    if context is not None:
        for file in written:
            context.on_partial(file)
    (taken, other), *more = moved
    rest = f" (and {len(more)} more like this)" if more else ""
    raise UsageError(
        f"{taken} holds something else, which is kept; the new file is {other}{rest}",
        "force=True replaces it",
        code="file-exists",
    )


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
    stems: tuple[str, ...] = ()
    """The names of several files without suffix, where the user did not name them."""
    moving: bool = False
    """Whether a .gif or .webp file is an animation of all pictures."""

    @classmethod
    def plan(
        cls,
        output: str | None,
        default_stem: str,
        count: int,
        force: bool,
        *,
        endings: Sequence[str] = (),
        stems: Sequence[str] = (),
        moving: bool = False,
    ) -> OutputFiles:
        """The place that `output` names: None for the current folder, a folder, a file with a
        suffix of `PICTURES`, or `-` for the output stream; with `moving` also an animation, which
        is one file of all pictures. Several files in a folder are called `stems`, if there are any.

        Raises UsageError for a place that cannot be written to.
        """
        if output == "-":
            if count > 1:
                raise UsageError(
                    "stdout takes one picture", "put all on one grid", code="one-picture"
                )
            return cls(None, True, force, count, tuple(endings))
        path = expanded(output or ".")
        named = output is not None and not names_folder(output)
        folder = path.parent if named else path
        check_folder(folder)
        usual = (".png", *ANIMATIONS) if moving else (".png",)
        if named and path.suffix.lower() not in (*usual, *PICTURES):
            others = ", ".join(kind for kind in PICTURES if kind not in usual)
            add = "create that folder first, or add an extension such as .png"
            hint = f"or {others}" if path.suffix else add
            raise UsageError(f"{path} is neither a folder nor a {' or '.join(usual)} file", hint)
        path = path if named else path / f"{default_stem}.png"
        plan = cls(path, named, force, count, tuple(endings), () if named else tuple(stems), moving)
        if plan.animated and count > 1:
            raise UsageError(
                f"{path} holds all pictures in one animation",
                "put all on one grid",
                code="one-picture",
            )
        check_name(max(plan.files(), key=lambda file: len(file.name)))
        return plan

    @property
    def animated(self) -> bool:
        """Whether the pictures become one animation."""
        suffix = "" if self.path is None else self.path.suffix.lower()
        return self.moving and suffix in ANIMATIONS

    def files(self) -> list[Path]:
        """The files as planned: a.png, or a-1.png, a-2.png, … with leading zeros where there are
        more than 9, or a-ENDING.png, …"""
        if self.path is None:
            return []
        if self.stems:
            return [self.path.with_stem(stem) for stem in self.stems]
        if self.endings:
            return [self.path.with_stem(f"{self.path.stem}-{end}") for end in self.endings]
        if self.count == 1:
            return [self.path]
        stem = self.path.stem
        numbers = padded_numbers(self.count)
        return [self.path.with_stem(f"{stem}-{number}") for number in numbers]

    def refuse_to_overwrite(self, texts: Sequence[Mapping[str, str]]) -> None:
        """Raise UsageError where a named file exists, unless by its text chunks it is this very
        picture already; `write` compares the pixels.

        `texts` are the text chunks that the files will get; they determine the picture.
        """
        if not self.named:
            return
        for file, text in zip(self.files(), texts, strict=False):
            refuse_to_replace(file, text, self.force)

    def write(
        self,
        images: Iterable[Image.Image],
        texts: Sequence[Mapping[str, str]],
        context: JobContext,
    ) -> list[Path]:
        """Write every picture with its text chunks, one before the next is asked for; the files,
        none for the stream. Raises
        UsageError, after all are written, where a named file holds another picture by now: this one
        then has a numbered name."""
        if self.path is None:
            context.write_output(png_bytes(next(iter(images)), texts[0]))
            return []
        pictures = zip(self.files(), images, texts, strict=True)
        return self._checked([self._write_picture(*picture) for picture in pictures], context)

    def write_interrupted(
        self, images: Iterable[Image.Image], texts: Sequence[Mapping[str, str]], share: float
    ) -> list[Path]:
        """Write the pictures of the first files, which are finished, or the one picture of all, of
        which only a `share` is; the files."""
        pictures = zip(self.files(), images, texts, strict=False)
        return [self._write_picture(*picture, share) for picture in pictures]

    def write_animation(
        self,
        frames: Sequence[Image.Image],
        text: Mapping[str, str],
        fps: float,
        context: JobContext,
    ) -> list[Path]:
        """Write `frames` as the one file, `fps` of them a second; that file. Raises UsageError as
        `write` does."""

        def save(file: Path, if_exists: IfExists) -> Path:
            return save_animation(file, frames, fps, text, if_exists)

        return self._checked([self._write(file, text, save) for file in self.files()], context)

    def _write_picture(
        self, file: Path, image: Image.Image, text: Mapping[str, str], share: float = 1
    ) -> Path:
        stored = text if share == 1 else unfinished_text(image, text, share)

        def save(file: Path, if_exists: IfExists) -> Path:
            return save_picture(file, image, stored, if_exists)

        return self._write(file, text, save)

    def _write(
        self, file: Path, text: Mapping[str, str], save: Callable[[Path, IfExists], Path]
    ) -> Path:
        if self.named:
            return write_beside(file, text, self.force, save)
        return save(file, "replace" if self.force else "number")

    def _checked(self, written: list[Path], context: JobContext) -> list[Path]:
        if self.named:
            check_written(self.files(), written, context)
        return written


def padded_numbers(count: int) -> list[str]:
    """1 … `count` as texts of one length, so that files are listed in their order."""
    return [str(number + 1).zfill(len(str(count))) for number in range(count)]


def photo_slug(photo: str) -> str:
    """The name of a photo, without folder and ending, as part of a file name."""
    return slug(Path(photo_name(photo)).stem) or "picture"


def distinct_slugs(photos: Sequence[str]) -> list[str]:
    """`photo_slug` of every photo; of those whose slug is taken, with a number: cat, cat-2."""
    last: dict[str, int] = {}  # of every slug that is taken, the last number after it
    for plain in map(photo_slug, photos):
        name = plain
        while name in last:
            last[plain] += 1
            name = f"{plain}-{last[plain]}"
        last[name] = 1
    return [*last]


def slug(name: str) -> str:
    """`name` as part of a file name: golden retriever → golden-retriever; long ones are cut."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
    return plain[:_LONGEST_SLUG].rstrip("-")
