"""GIF, WebP and PNG animations that record how they were made, written atomically."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pixelgen.files import IfExists, write_file
from pixelgen.imaging.picture_files import description_exif
from pixelgen.imaging.png import text_chunks
from pixelgen.imaging.provenance import xmp_packet

ANIMATIONS = (".gif", ".webp")
"""File name suffixes of animations. PNG, which may be animated too, counts as a picture."""


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
    buffer = io.BytesIO()
    common: dict[str, Any] = {
        "save_all": True,
        "append_images": others,
        "duration": durations,
        "loop": 0,
    }
    if suffix == ".gif":
        first.save(buffer, "GIF", comment=json.dumps(text).encode(), **common)
    elif suffix == ".png":
        first.save(buffer, "PNG", pnginfo=text_chunks(text), **common)
    else:
        common |= {"exif": description_exif(text), "xmp": xmp_packet(text)}
        first.save(buffer, "WEBP", lossless=True, **common)
    return buffer.getvalue()


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
