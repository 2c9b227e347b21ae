"""Animations that say how they were made: GIF and WebP, written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import ExifTags, Image

from pixelgen.files import IfExists, write_file

ANIMATIONS = (".gif", ".webp")
"""File name suffixes of the kinds of animation."""
_DESCRIPTION = ExifTags.Base.ImageDescription


def animation_bytes(
    frames: Sequence[Image.Image], suffix: str, fps: float, text: Mapping[str, str]
) -> bytes:
    """`frames` of one size, again and again, `fps` of them a second, as the kind of file that
    `suffix` stands for; `text` is kept in it. Equal input gives equal bytes.

    WebP keeps every pixel; GIF has 256 colours a frame, and counts time in hundredths of a second.
    """
    first, *others = (frame.convert("RGB") for frame in frames)
    note = json.dumps(text)
    buffer = io.BytesIO()
    if suffix == ".gif":
        hundredths = max(round(100 / fps), 1)
        first.save(
            buffer,
            "GIF",
            save_all=True,
            append_images=others,
            duration=10 * hundredths,
            loop=0,
            comment=note.encode(),
        )
    else:
        exif = Image.Exif()
        exif[_DESCRIPTION] = note
        first.save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=max(round(1000 / fps), 1),
            loop=0,
            lossless=True,
            exif=exif,
        )
    return buffer.getvalue()


def animation_text(path: Path) -> dict[str, str]:
    """The text in an animation of ours; none for any other file."""
    try:
        with Image.open(path, formats=["GIF", "WEBP"]) as image:
            note = image.info.get("comment") or image.getexif().get(_DESCRIPTION, "")
            text = json.loads(note)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in text.items()} if isinstance(text, dict) else {}


def save_animation(
    path: Path,
    frames: Sequence[Image.Image],
    fps: float,
    text: Mapping[str, str],
    if_exists: IfExists = "fail",
) -> Path:
    """Write `frames` to `path`, whose suffix is one of `ANIMATIONS`, or as `if_exists` says where a
    file is there already, and return where it went. Raises PixelgenError where the folder does not
    take it."""
    return write_file(path, animation_bytes(frames, path.suffix.lower(), fps, text), if_exists)
