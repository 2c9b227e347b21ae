"""The formats of pictures that are read, and the endings of their files."""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import NamedTuple

from PIL import Image

from pixelgen.errors import install_hint

# Pillow's names. Left out are formats that run other programs (EPS), have no signature (TGA), or
# hold a second header with another size (ICO). HEIF and JXL come with packages of their own.
_FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "QOI"),
    *("HEIF", "JXL"),
)
# Endings of formats that Pillow may lack: such files are found, and the error names the remedy.
_OPTIONAL_ENDINGS = (".avif", ".heic", ".heif", ".hif", ".jxl")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@functools.cache
def known_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that can be read here."""
    broken = (ImportError, OSError, AttributeError)  # also a package for another Pillow
    with contextlib.suppress(*broken):
        importlib.import_module("pillow_heif").register_heif_opener()
    with contextlib.suppress(*broken):
        importlib.import_module("pillow_jxl")
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@functools.cache
def picture_endings() -> frozenset[str]:
    """The endings of picture files, such as ".png", in lower case."""
    known_formats()  # packages of Pillow's register endings of their own
    endings = Image.registered_extensions().items()
    return frozenset(_OPTIONAL_ENDINGS) | {ending for ending, name in endings if name in _FORMATS}


class UndecodedKind(NamedTuple):
    """What a file is that no decoder takes, by its first bytes."""

    format: str
    """Pillow's name of it."""
    name: str
    """Its name for people, with an article."""
    remedy: str
    """What to do where its decoder is missing."""


def undecoded_kind(start: bytes) -> UndecodedKind | None:
    """The format of a file that begins with `start`, if it is one that Pillow may lack."""
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand in _HEIF_BRANDS:
        remedy = f"{install_hint('heif')}, or convert it to JPEG"
        return UndecodedKind("HEIF", "a HEIC picture", remedy)
    if brand in (b"avif", b"avis"):
        remedy = "install Pillow 11.3 or newer, or convert it to PNG"
        return UndecodedKind("AVIF", "an AVIF picture", remedy)
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        remedy = "`pip install pillow-jxl-plugin`, or convert it to PNG"
        return UndecodedKind("JXL", "a JPEG XL picture", remedy)
    return None
