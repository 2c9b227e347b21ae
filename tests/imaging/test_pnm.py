"""PNM files are decoded as Pillow decodes them, only faster."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from pixelgen.imaging import pnm, read_image


def decoded(content: bytes, fast: bool) -> object:
    """Mode and pixels, or the error."""
    image = Image.open(io.BytesIO(content))
    if fast:
        pnm.use_fast_decoder(image)
    try:
        return image.mode, image.size, image.tobytes()
    except Exception as error:
        return type(error), str(error)


def text(kind: int, largest: int, between: str = " ") -> bytes:
    count = 200 * (3 if kind == 3 else 1)
    numbers = np.random.default_rng(largest).integers(0, largest + 1, count)
    head = f"P{kind} 20 10 {largest if kind > 1 else ''}\n"
    return f"{head}{between.join(map(str, numbers))}".encode()


def binary(kind: int, largest: int) -> bytes:
    count = 200 * (3 if kind == 6 else 1)
    numbers = np.random.default_rng(largest).integers(0, largest + 1, count)
    dtype = np.uint8 if largest < 256 else ">u2"
    return f"P{kind} 20 10 {largest}\n".encode() + numbers.astype(dtype).tobytes()


REGULAR = [
    *(text(kind, largest) for kind in (2, 3) for largest in (1, 100, 255, 256, 1023, 65535)),
    *(text(3, 255, between) for between in ("\n", "\t \r\n", "\v")),
    *(text(1, 1, between) for between in ("", " ", "\r\n")),
    *(binary(kind, largest) for kind in (5, 6) for largest in (1, 100, 256, 1023)),
    binary(6, 65535),
    b"P6 2 1 100\n" + bytes((255, 3, 100, 101, 9, 200)),
]
IRREGULAR = [
    b"P2 2 2 9\n1 2 # of\n3 4",
    b"P1 2 2\n0 1 # of\n10",
    b"P2 2 2 9\n1 2 3 4 or more",
    b"P2 2 2 9\n1 2 3",
    b"P2 2 2 9\n1 2 3 10",
    b"P2 2 2 9\n1 2 -3 4",
    b"P2 2 2 9\n1 2 3.5 4",
    b"P2 2 2 9\n1 2 99999999999999999999 4",
    b"P2 2 2 9\n",
    b"P1 2 2\n0 1 2 0",
    binary(5, 1023)[:-1],
    binary(6, 100)[:-1],
]


@pytest.mark.parametrize("block", [7, 2**22])
def test_as_pillow_decodes_it(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pnm, "_BLOCK", block)
    for content in (*REGULAR, *IRREGULAR):
        assert decoded(content, fast=True) == decoded(content, fast=False), content[:30]


def test_what_pillow_decodes_fast_is_left_to_it() -> None:
    for content in (binary(5, 255), binary(6, 255), binary(5, 65535), b"P4 8 1\n\xf0"):
        image = Image.open(io.BytesIO(content))
        before = [*image.tile]
        pnm.use_fast_decoder(image)
        assert image.tile == before


def test_a_large_text_is_read_in_time() -> None:
    content = b"P3 1000 1000 255\n" + b"7 200 33\n" * 10**6
    started = time.process_time()
    assert read_image(content).getpixel((999, 999)) == (7, 200, 33)
    half = time.process_time()
    decoded(content, fast=False)
    pillows = time.process_time() - half
    assert half - started < pillows / 1.5  # it takes twice as long and more
