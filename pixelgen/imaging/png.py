"""PNG files with text chunks that record how they were made, written atomically."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, PngImagePlugin

from pixelgen.files import IfExists, open_file, write_file
from pixelgen.imaging.provenance import XMP_KEYWORD, xmp_packet

_SHARE, _PIXELS = "drawn", "pixels"

# Of `allow_any_size`: how many contexts are open, and Pillow's limit outside of them.
_lock = threading.Lock()
_users = 0
_limit: int | None = None


def png_bytes(image: Image.Image, text: Mapping[str, str]) -> bytes:
    """`image` as a PNG with a text chunk for every entry; equal input gives equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=text_chunks(text))
    return buffer.getvalue()


def text_chunks(text: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """A text chunk for every entry, and XMP where they say what the source of the picture is."""
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        # A file name may hold bytes that are not UTF-8.
        info.add_itxt(key, value.encode("utf-8", "backslashreplace").decode())
    if xmp := xmp_packet(text):
        info.add_itxt(XMP_KEYWORD, xmp.decode())
    return info


@contextmanager
def allow_any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size. Check the size before loading pixels.

    Pillow's limit is one for all threads: the first to come lifts it, the last to go restores it.
    """
    global _users, _limit
    with _lock:
        if not _users:
            _limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                Image.MAX_IMAGE_PIXELS = _limit


def png_text(path: Path) -> dict[str, str]:
    """The text chunks of a PNG but XMP; empty for a broken file or another format."""
    try:
        with allow_any_size(), open_file(path) as file, Image.open(file, formats=["PNG"]) as image:
            return {
                str(k): v for k, v in image.info.items() if isinstance(v, str) and k != XMP_KEYWORD
            }
    except (OSError, ValueError, SyntaxError):
        return {}


def unfinished_text(image: Image.Image, text: Mapping[str, str], share: float) -> dict[str, str]:
    """The text chunks of `image`, of which only a `share` is drawn, if the finished picture has
    those of `text`. A digest of the pixels tells `is_unfinished` that nobody has edited them."""
    return {**text, _SHARE: f"{share:.0%}", _PIXELS: pixels_digest(image)}


def pixels_digest(image: Image.Image) -> str:
    """The sha256 of size and pixels, in hexadecimal."""
    size = f"{image.width}x{image.height}:".encode()
    return hashlib.sha256(size + image.convert("RGBA").tobytes()).hexdigest()


def save_png(
    path: Path, image: Image.Image, text: Mapping[str, str], if_exists: IfExists = "fail"
) -> Path:
    """Write `image` to `path` and return where it went: `if_exists` says what happens to an
    existing file. Raises PixelgenError if it cannot be written."""
    return write_file(path, png_bytes(image, text), if_exists)
