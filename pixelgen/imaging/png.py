"""PNG files that say how they were made, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, PngImagePlugin

from pixelgen.files import IfExists, open_file, write_file


def png_bytes(image: Image.Image, text: Mapping[str, str]) -> bytes:
    """`image` as a PNG with a text chunk for every entry; equal input gives equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks(text))
    return buffer.getvalue()


def chunks(text: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """A text chunk for every entry."""
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        # Of a name that is no text, as file systems allow.
        info.add_itxt(key, value.encode("utf-8", "backslashreplace").decode())
    return info


@contextmanager
def any_size() -> Iterator[None]:
    """Pillow opens pictures of any size here: whoever loads their pixels must look at it first."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def png_text(path: Path) -> dict[str, str]:
    """The text chunks of a PNG; none for a file that is no PNG or is broken."""
    try:
        with any_size(), open_file(path) as file, Image.open(file, formats=["PNG"]) as image:
            return {str(k): v for k, v in image.info.items() if isinstance(v, str)}
    except (OSError, ValueError, SyntaxError):
        return {}


def save_png(
    path: Path, image: Image.Image, text: Mapping[str, str], if_exists: IfExists = "fail"
) -> Path:
    """Write `image` to `path`, or as `if_exists` says where a file is there already, and return
    where it went. Raises PixelgenError where the folder does not take it."""
    return write_file(path, png_bytes(image, text), if_exists)
