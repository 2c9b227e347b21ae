"""Bounds on the time and memory that decoding a picture of unknown origin takes.

Decoders are bounded by what a file says before its pixels are decoded: how large the picture is,
how often a JPEG goes over all of it, how finely a JPEG 2000 is divided. What they read piece by
piece ends with `TimedFile`, and the EXIF data of a picture with `limited_exif`.
"""

from __future__ import annotations

import functools
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO

from PIL import Image, ImageFile, TiffImagePlugin

from pixelgen.errors import InputError

MAX_SECONDS = 6.0
"""Time of the processor within which the file of a picture must be read."""

# Bytes of memory for each pixel while decoding: up to 10 for other formats, 24 for these.
_TWICE_THE_MEMORY = ("WEBP", "JPEG2000", "AVIF", "HEIF", "JXL")
# A pass over a progressive JPEG takes about a nanosecond for each pixel, however short the pass is.
# Usual are at most 15 passes.
_MAX_JPEG_WORK = 3 * 10**9
# Pillow decodes a QOI in Python: 1.5 to 3 MB of it in a second.
_MAX_QOI_BYTES = 40 * 10**6
_STORE_OTHERWISE = "store it as PNG"
_BLOCK = 2**20
_START_OF_SCAN, _END = b"\xff\xda", b"\xff\xd9"
# What begins a segment of a JPEG, or ends it all: not a byte of pixels, nor a restart among them.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
# What begins the segments that say how a JPEG 2000, or one component of it, is divided.
_CODING_STYLE = re.compile(rb"(?=\xff[\x52\x53]\x00)")
# Smaller blocks take over a kilobyte of memory for each pixel. Logarithms of sides.
_SMALLEST_CODE_BLOCK = 4
_SMALLEST_PRECINCT = 5


class TimedFile:
    """A file whose `read` raises InputError once this thread has computed for `MAX_SECONDS`, and,
    until `opened`, once it gave more than twice the file: a header can refer to one piece of the
    file a thousand times."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = time.thread_time() + MAX_SECONDS
        self._left: float = 2 * _size(file) + _BLOCK

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def opened(self) -> None:
        """From now on only time is limited: decoders read in blocks that overlap."""
        self._left = float("inf")

    def read(self, size: int = -1) -> bytes:
        """As the `read` of any file."""
        if time.thread_time() > self._end:
            raise InputError(
                f"decoding it takes more than {MAX_SECONDS:g} seconds", _STORE_OTHERWISE
            )
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InputError("its header is larger than the file")
        return data


class _LimitedFile:
    """A file in memory that ends once it gave more than twice what it holds."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file
        self._left = 2 * _size(file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """As the `read` of any file."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


_exif_is_limited = ContextVar("_exif_is_limited", default=False)


@contextmanager
def limited_exif() -> Iterator[None]:
    """Within this context, EXIF data that refer to one piece of themselves a thousand times are
    read as broken ones: before version 13, Pillow copies the piece for every tag, gigabytes for a
    file of two megabytes, for a JPEG even when it is opened."""
    _wrap_loading()
    token = _exif_is_limited.set(True)
    try:
        yield
    finally:
        _exif_is_limited.reset(token)


@functools.cache
def _wrap_loading() -> None:
    """Lets Pillow read tags of EXIF data through `_LimitedFile`; outside of `limited_exif` nothing
    changes."""
    load = TiffImagePlugin.ImageFileDirectory_v2.load

    def limited(self: TiffImagePlugin.ImageFileDirectory_v2, fp: Any) -> None:
        of_exif = _exif_is_limited.get() and isinstance(fp, io.BytesIO)
        load(self, _LimitedFile(fp) if of_exif else fp)  # type: ignore[arg-type]

    TiffImagePlugin.ImageFileDirectory_v2.load = limited  # type: ignore[method-assign]


def check_before_opening(start: bytes, max_pixels: int) -> None:
    """Raises InputError for a WebP that is too large: Pillow takes the memory for its pixels when
    it opens the file. `start` is the first 30 bytes of a file."""
    if start[:4] != b"RIFF" or start[8:12] != b"WEBP" or len(start) < 30:
        return
    kind = start[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(start[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(start[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    check_size("WEBP", (width, height), max_pixels)


def check_size(kind: str, size: tuple[int, int], max_pixels: int) -> None:
    """Raises InputError for more pixels than the format `kind` may have: `max_pixels`, or half of
    it for formats whose decoders take twice the memory."""
    largest = max_pixels // 2 if kind in _TWICE_THE_MEMORY else max_pixels
    width, height = size
    if 0 < width * height <= largest:
        return
    reason = f", the most for {kind}" if largest < max_pixels else ""
    raise InputError(
        f"it has {width}×{height} pixels, more than {largest / 1e6:g} million{reason}",
        "raise max_pixels",
        code="too-many-pixels",
    )


def check_work(image: ImageFile.ImageFile, file: BinaryIO | TimedFile) -> None:
    """Raises InputError for an opened picture whose `file` would take too long, or too much memory,
    for its size. The position in the file stays."""
    place = file.tell()
    if image.format in ("JPEG", "MPO"):
        _check_scans(_jpeg_scans(file), image.size)
    elif isinstance(image, TiffImagePlugin.TiffImageFile) and "jpeg" in image.info.get(
        "compression", ""
    ):
        # Every strip or tile is a JPEG of its own.
        offsets = image.tag_v2.get(273) or image.tag_v2.get(324) or (0,)
        pieces = len(set(offsets if isinstance(offsets, tuple) else (offsets,)))
        _check_scans(_count(file, _START_OF_SCAN) - pieces + 1, image.size)
    elif image.format == "QOI" and (size := _size(file)) > _MAX_QOI_BYTES:
        raise InputError(f"decoding a QOI of {size / 1e6:.0f} MB takes too long", _STORE_OTHERWISE)
    elif image.format == "JPEG2000":
        file.seek(0)
        _check_division(file.read())
    file.seek(place)


def _check_scans(scans: int, size: tuple[int, int]) -> None:
    if scans * size[0] * size[1] > _MAX_JPEG_WORK:
        raise InputError(
            f"decoding its {scans} scans of {size[0]}×{size[1]} pixels takes too long",
            "store it as a usual JPEG",
        )


def _check_division(data: bytes) -> None:
    """Raises InputError for a JPEG 2000 in very small blocks (ISO 15444-1, A.6.1 and A.6.2)."""
    for match in _CODING_STYLE.finditer(data):
        start = match.start()
        is_default = data[start + 1] == 0x52
        style, places = (4, 9) if is_default else (5, 6)  # of the style, and of what it says
        segment = data[start : start + 2 + data[start + 3]]
        if len(segment) < places + 5:
            continue
        levels, width, height = segment[places : places + 3]
        precincts = segment[places + 5 :]
        if len(precincts) != (levels + 1 if segment[style] & 1 else 0):
            continue  # these bytes are pixels
        small_block = min(width & 15, height & 15) + 2 < _SMALLEST_CODE_BLOCK
        # The first is that of the coarsest resolution, whose pixels are as large as many.
        sides = [
            side + levels - resolution
            for resolution, byte in enumerate(precincts)
            for side in (byte & 15, byte >> 4)
        ]
        if small_block or min(sides, default=_SMALLEST_PRECINCT) < _SMALLEST_PRECINCT:
            raise InputError(
                "it is divided into so small blocks that decoding takes too much memory",
                "store it with usual blocks, or as PNG",
            )


def _jpeg_scans(file: BinaryIO | TimedFile) -> int:
    """How many scans a JPEG has up to its end. What follows it, such as the film of a motion photo,
    and what its segments hold, such as a thumbnail, is not decoded."""
    file.seek(2)
    scans = 0
    while (marker := _next_marker(file)) not in (_END, b""):
        scans += marker == _START_OF_SCAN
        length = int.from_bytes(file.read(2), "big")
        file.seek(max(length - 2, 0), os.SEEK_CUR)
    return scans


def _next_marker(file: BinaryIO | TimedFile) -> bytes:
    """The next marker of a JPEG, behind which the file is then; empty at the end of the file."""
    size, last = 64, b""  # at first little: it may be the next two bytes
    while block := file.read(size):
        block = last + block
        if found := _JPEG_MARKER.search(block):
            file.seek(found.end() - len(block), os.SEEK_CUR)
            return found[0]
        last, size = block[-1:], min(2 * size, _BLOCK)
    return b""


def _count(file: BinaryIO | TimedFile, marker: bytes) -> int:
    """How often the two bytes `marker` occur in a file."""
    file.seek(0)
    count, last = 0, b""
    while block := file.read(_BLOCK):
        count += block.count(marker) + (last == marker[:1] and block[:1] == marker[1:])
        last = block[-1:]
    return count


def _size(file: BinaryIO | TimedFile) -> int:
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


def unpacked_mode(image: Image.Image) -> str:
    """How an opened picture whose pixels are not loaded is stored, in Pillow's terms: "RGB;16B" has
    16 bits for each value. Empty where Pillow does not say."""
    tiles = getattr(image, "tile", ())
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
