"""GIF, WebP and PNG animations that record how they were made, written atomically."""

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
from pixelgen.imaging.png import allow_any_size, png_text, text_chunks

ANIMATIONS = (".gif", ".webp")
"""File name suffixes of animations. PNG, which may be animated too, counts as a picture."""
_DESCRIPTION = ExifTags.Base.ImageDescription


def animation_bytes(
    frames: Sequence[Image.Image],
    suffix: str,
    fps: float,
    text: Mapping[str, str],
    hold: float = 0.0,
) -> bytes:
    """`frames` of one size as an endless animation of `fps` frames a second, the last one shown
    `hold` seconds longer, in the format of `suffix` (of `ANIMATIONS`, or .png), with `text` as
    metadata. Equal input gives equal bytes.

    WebP and PNG are lossless; GIF has 256 colours a frame and counts time in hundredths of a
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
        first.save(buffer, "PNG", pnginfo=text_chunks(text), **common)
    else:
        exif = Image.Exif()
        exif[_DESCRIPTION] = note
        first.save(buffer, "WEBP", lossless=True, exif=exif, **common)
    return buffer.getvalue()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without Pillow's warnings about damaged files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def animation_text(path: Path) -> dict[str, str]:
    """The text that `save_animation` stored; empty for any other file."""
    if path.suffix.lower() == ".png":
        return png_text(path)
    try:
        formats = ["GIF", "WEBP"]
        with (
            _without_warnings(),
            allow_any_size(),
            open_file(path) as file,
            Image.open(file, formats=formats) as image,
        ):
            note = image.info.get("comment") or image.getexif().get(_DESCRIPTION, "")
            text = json.loads(note)
    except Exception:  # damaged EXIF raises many kinds
        return {}
    return {str(k): str(v) for k, v in text.items()} if isinstance(text, dict) else {}


def same_picture(first: Path, second: Path) -> bool:
    """Whether two PNG files or animations show the same pixels, for as long, and the first has all
    text that the second has; False for files that cannot be read."""
    if not animation_text(second).items() <= animation_text(first).items():
        return False
    formats = ["PNG", "GIF", "WEBP"]
    try:
        with (
            _without_warnings(),
            allow_any_size(),
            open_file(first) as file,
            open_file(second) as other_file,
            Image.open(file, formats=formats) as image,
            Image.open(other_file, formats=formats) as other,
        ):
            frames = getattr(image, "n_frames", 1)
            if (image.size, frames) != (other.size, getattr(other, "n_frames", 1)):
                return False
            for number in range(frames):
                image.seek(number)
                other.seek(number)
                if image.convert("RGBA").tobytes() != other.convert("RGBA").tobytes():
                    return False
                if image.info.get("duration") != other.info.get("duration"):
                    return False
            return True
    except Exception:  # damaged files raise many kinds
        return False


def save_animation(
    path: Path,
    frames: Sequence[Image.Image],
    fps: float,
    text: Mapping[str, str],
    if_exists: IfExists = "fail",
    hold: float = 0.0,
) -> Path:
    """Write `frames` to `path` as `animation_bytes` does and return where they went: `if_exists`
    says what happens to an existing file. Raises PixelgenError if it cannot be written."""
    data = animation_bytes(frames, path.suffix.lower(), fps, text, hold)
    return write_file(path, data, if_exists)
