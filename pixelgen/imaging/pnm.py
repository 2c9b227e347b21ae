"""A faster decoder of PNM files (netpbm) that are not plain bytes: numbers as text, or of another
range than 8 bits.

Pillow decodes those number by number, in some seconds for each million of pixels. What is not
regular, such as comments between numbers, is left to it.
"""

from __future__ import annotations

import warnings
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, PpmImagePlugin

_NAME = "pixelgen_pnm"
_PILLOWS = {"ppm_plain": PpmImagePlugin.PpmPlainDecoder, "ppm": PpmImagePlugin.PpmDecoder}
_BLOCK = 2**22
_SPACE = b" \t\n\r\v\f"


def use_fast_decoder(image: ImageFile.ImageFile) -> None:
    """Let an opened picture whose pixels are not loaded be decoded here, if it is such a PNM."""
    if image.format != "PPM" or len(image.tile) != 1 or image.tile[0][0] not in _PILLOWS:
        return
    name, extents, offset, args = image.tile[0]
    arguments = args if isinstance(args, tuple) else (args,)
    if _NAME not in Image.DECODERS:
        Image.register_decoder(_NAME, _Decoder)
    image.tile = [ImageFile._Tile(_NAME, extents, offset, (name, *arguments))]


class _Irregular(Exception):
    """Numbers that only Pillow reads, or explains."""


class _Decoder(ImageFile.PyDecoder):
    """Decodes all of a file in blocks."""

    _pulls_fd = True

    def decode(self, buffer: Any) -> tuple[int, int]:
        """See `ImageFile.PyDecoder.decode`."""
        assert self.fd is not None
        name, *arguments = self.args
        start = self.fd.tell()
        try:
            self.set_as_raw(*self._decoded(name, arguments))
        except _Irregular:
            assert self.im is not None
            self.fd.seek(start)
            pillows = _PILLOWS[name](self.mode, *arguments)
            pillows.setimage(self.im, (0, 0, self.state.xsize, self.state.ysize))
            pillows.setfd(self.fd)
            return pillows.decode(buffer)
        return -1, 0

    def _decoded(self, name: str, arguments: list[Any]) -> tuple[Any, ...]:
        """The bytes of all pixels, and Pillow's name of their order."""
        assert self.fd is not None
        count = self.state.xsize * self.state.ysize * Image.getmodebands(self.mode)
        if self.mode == "1":
            bits = _numbers(_bits(self.fd), count, np.uint8)
            return bytes(np.array([255, 0], np.uint8)[bits]), "1;8"  # 1 is black
        deep, largest = self.mode == "I", int(arguments[-1])
        white = 65535 if deep else 255
        if name == "ppm_plain":
            blocks = _plain(self.fd, largest)
        else:
            blocks = _binary(self.fd, np.dtype(np.uint8 if largest < 256 else ">u2"), count)
        scaled = (np.minimum(np.rint(block / largest * white), white) for block in blocks)
        pixels = _numbers(scaled, count, np.dtype("<i4") if deep else np.uint8)
        return bytes(pixels), "I;32" if deep else self.mode


def _numbers(blocks: Any, count: int, kind: Any) -> np.ndarray:
    """The first `count` numbers of `blocks`. Raises ValueError for fewer."""
    numbers, filled = np.empty(count, kind), 0
    for block in blocks:
        part = block[: count - filled]
        numbers[filled : filled + len(part)] = part
        filled += len(part)
        if filled == count:
            return numbers
    raise ValueError("not enough image data")


def _plain(file: IO[bytes], largest: int) -> Any:
    """The numbers of a text. Raises _Irregular for anything but numbers 0 … `largest`."""
    rest = b""
    while block := file.read(_BLOCK):
        block = rest + block
        end = max(map(block.rfind, (b" ", b"\n", b"\t", b"\r"))) + 1
        block, rest = block[:end], block[end:]
        yield _parsed(block, largest)
        if len(rest) > _BLOCK:
            raise _Irregular
    yield _parsed(rest, largest)


def _parsed(text: bytes, largest: int) -> np.ndarray:
    if text.translate(None, b"0123456789" + _SPACE):
        raise _Irregular
    if not text.strip(_SPACE):
        return np.empty(0, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # where it stops early
        try:
            numbers = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            raise _Irregular from None
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) <= largest:
        raise _Irregular
    return numbers


def _binary(file: IO[bytes], kind: np.dtype[Any], count: int) -> Any:
    """The numbers of a file of bytes or of big-endian pairs of them."""
    left = count * kind.itemsize
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        left -= len(block)
        if len(block) % kind.itemsize:
            raise _Irregular
        yield np.frombuffer(block, kind)


def _bits(file: IO[bytes]) -> Any:
    """The digits of a text of 0 and 1, with space between them or without."""
    while block := file.read(_BLOCK):
        digits = np.frombuffer(block.translate(None, _SPACE), np.uint8) - np.uint8(ord("0"))
        if len(digits) and digits.max() > 1:
            raise _Irregular
        yield digits
