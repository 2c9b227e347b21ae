"""Animations that say how they were made: GIF, WebP and PNG, written whole or not at all."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from pixelgen.files import IfExists, open_file, write_file
from pixelgen.imaging.png import any_size, chunks, png_text

ANIMATIONS = (".gif", ".webp")
"""File name suffixes of the kinds of animation; a .png moves only where no picture may be meant."""
_DESCRIPTION = ExifTags.Base.ImageDescription


def animation_bytes(
    frames: Sequence[Image.Image],
    suffix: str,
    fps: float,
    text: Mapping[str, str],
    hold: float = 0.0,
) -> bytes:
    """`frames` of one size, again and again, `fps` of them a second, the last one `hold` seconds
    longer, as the kind of file that `suffix` (of `ANIMATIONS`, or .png) stands for; `text` is kept
    in it. Equal input gives equal bytes.

    WebP and PNG keep every pixel; GIF has 256 colours a frame, and counts time in hundredths of a
    second.
    """
    first, *others = (frame.convert("RGB") for frame in frames)
    unit = 10 if suffix == ".gif" else 1
    durations = [max(round(1000 / fps / unit), 1) * unit] * len(frames)
    durations[-1] += round(1000 * hold / unit) * unit
    note = json.dumps(text)
    buffer = io.BytesIO()
    common: dict[str, Any] = {
        "save_all": True,
        "append_images": others,
        "duration": durations,
        "loop": 0,
    }
    if suffix == ".gif":
        first.save(buffer, "GIF", comment=note.encode(), **common)
    elif suffix == ".png":
        first.save(buffer, "PNG", pnginfo=chunks(text), **common)
    else:
        exif = Image.Exif()
        exif[_DESCRIPTION] = note
        first.save(buffer, "WEBP", lossless=True, exif=exif, **common)
    return buffer.getvalue()


@contextmanager
def _unwarned() -> Iterator[None]:
    """Without what Pillow says on stderr about a damaged file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def animation_text(path: Path) -> dict[str, str]:
    """The text in an animation of ours; none for any other file."""
    if path.suffix.lower() == ".png":
        return png_text(path)
    try:
        kinds = ["GIF", "WEBP"]
        with (
            _unwarned(),
            any_size(),
            open_file(path) as file,
            Image.open(file, formats=kinds) as image,
        ):
            note = image.info.get("comment") or image.getexif().get(_DESCRIPTION, "")
            text = json.loads(note)
    except Exception:  # damaged EXIF fails in many ways
        return {}
    return {str(k): str(v) for k, v in text.items()} if isinstance(text, dict) else {}


def save_animation(
    path: Path,
    frames: Sequence[Image.Image],
    fps: float,
    text: Mapping[str, str],
    if_exists: IfExists = "fail",
    hold: float = 0.0,
) -> Path:
    """Write `frames` as `animation_bytes` does to `path`, or as `if_exists` says where a file is
    there already, and return where it went. Raises PixelgenError where the folder does not take
    it."""
    made = animation_bytes(frames, path.suffix.lower(), fps, text, hold)
    return write_file(path, made, if_exists)
