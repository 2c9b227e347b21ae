"""Small files that would take long, or much memory, are refused before their pixels are decoded."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import InputError
from pixelgen.imaging import decoding_limits, read_image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scans_over(side: int, count: int, kind: str = "JPEG") -> bytes:
    """A progressive JPEG with `count` more scans of a few bytes."""
    data = stored(Image.new("RGB", (side, side)), kind, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def test_jpegs_of_very_many_scans_are_refused() -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=r"its \d+ scans of 900×900 pixels takes too long"):
        read_image(scans_over(900, 8000))
    assert time.process_time() - start < 3  # not a scan is decoded
    for usual in (
        scans_over(900, 30),
        stored(NOISE, "JPEG", progressive=True),
        stored(NOISE, "MPO", save_all=True, append_images=[NOISE], progressive=True),
        stored(NOISE, "TIFF", compression="jpeg"),
    ):
        read_image(usual)
    # The largest photo that is read, as programs store it, stays far below the bound.
    scans = stored(NOISE, "JPEG", progressive=True).count(b"\xff\xda")
    assert scans * 10**8 < decoding_limits._MAX_JPEG_WORK / 2


def test_only_what_is_decoded_of_a_jpeg_counts_as_scans() -> None:
    """Not the film behind a motion photo, nor a thumbnail or whatever else a segment holds."""
    plain = stored(Image.new("RGB", (900, 900)), "JPEG", progressive=True, restart_marker_blocks=1)
    scans = b"\xff\xda" * 20_000
    read_image(plain + scans)
    read_image(plain[:2] + b"\xff\xe5" + struct.pack(">H", 40_002) + scans + plain[2:])
    end_in_comment = b"\xff\xfe\0\x06\xff\xd9\xff\xd9"
    many = scans_over(900, 8000)
    last = many.rindex(b"\xff\xda")
    for refused in (
        many[:2] + end_in_comment + many[2:],
        many[:last] + end_in_comment + many[last:],
        many[:last] + b"\xff" * 200 + many[last:],
        many + scans,
    ):
        with pytest.raises(InputError, match=r"its 80\d\d scans of 900×900 pixels"):
            read_image(refused)


def test_scans_in_a_tiff_count_too() -> None:
    data = stored(Image.new("RGB", (900, 900)), "TIFF", compression="jpeg")
    read_image(data)
    with pytest.raises(InputError, match="scans of 900×900 pixels"):
        read_image(data + b"\xff\xda" * 8000)


@pytest.mark.parametrize(
    "content",
    [
        b"P4\n" + b"#\n" * 10**6 + b"8 8\n" + bytes(8),
        b"P2\n9000 9000\n255\n# a comment\n" + b"7 " * 10**6,
        b"qoif" + struct.pack(">II", 3000, 3000) + b"\x03\x00" + b"\xa0\x00\xfe123" * 10**6,
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in [(b"IHDR", struct.pack(">IIBBBBB", 99, 99, 8, 2, 0, 0, 0))]
            + [(b"IDAT", b"")] * 10**5
        ),
        b"GIF89a" + bytes((9, 0, 9, 0, 0, 0, 0)) + b"!\xfe\x01a\x00" * 10**6 + b";",
        stored(NOISE, "JPEG")[:-2] + b"\xff\xfe\0\2" * 10**6 + b"\xff\xd9",
    ],
    ids=["comments", "digits", "qoi", "chunks", "extensions", "segments"],
)
def test_reading_a_file_takes_no_longer_than_the_limit(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding_limits, "MAX_SECONDS", 0.1)
    start = time.process_time()
    with pytest.raises(InputError, match=r"takes more than 0.1 seconds") as caught:
        read_image(content)
    assert caught.value.hint == "store it as PNG"
    assert time.process_time() - start < 3  # and not much longer on a slow processor


def test_a_qoi_that_takes_too_long_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content = stored(NOISE, "QOI")
    read_image(content)
    monkeypatch.setattr(decoding_limits, "_MAX_QOI_BYTES", 40_000)
    with pytest.raises(InputError, match=r"a QOI of 0 MB takes too long") as caught:
        read_image(content)
    assert caught.value.hint == "store it as PNG"


def test_the_limit_is_within_what_the_documents_promise() -> None:
    assert decoding_limits.MAX_SECONDS <= 7


def test_a_header_that_reads_the_same_bytes_again_and_again_is_refused() -> None:
    file = decoding_limits.TimedFile(io.BytesIO(bytes(2**20)))
    for _ in range(3):
        file.seek(0)
        file.read()
    file.seek(0)
    with pytest.raises(InputError, match="its header is larger than the file"):
        file.read()
    file.opened()
    file.seek(0)
    assert len(file.read()) == 2**20
    # Each tag of this TIFF is as long as half of the file.
    entries = b"".join(struct.pack("<HHII", 40000 + i, 1, 2**16, 4096) for i in range(900))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 900) + entries + bytes(4)
    with pytest.raises(InputError):
        read_image(data.ljust(2**17, b"\0"))


def exif_of_large_tags(tags: int, size: int) -> bytes:
    """EXIF data of so many tags, all of which refer to the same `size` bytes, before an
    orientation that turns the picture."""
    entries = b"".join(struct.pack("<HHII", 40000 + i, 7, size, 8) for i in range(tags))
    orientation = struct.pack("<HHII", 0x112, 3, 1, 6)
    start = b"II*\0" + struct.pack("<I", 8 + size) + bytes(size)
    return start + struct.pack("<H", tags + 1) + entries + orientation + bytes(4)


def jpeg_with_exif(exif: bytes) -> bytes:
    """Pillow reads EXIF data of several segments, and at once where no JFIF segment says how
    large a pixel is."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 32)).save(buffer, "JPEG")
    data = buffer.getvalue()
    after_jfif = data[4 + int.from_bytes(data[4:6], "big") :]
    parts = [b"Exif\0\0" + exif[i : i + 60000] for i in range(0, len(exif), 60000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    return data[:2] + segments + after_jfif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_tags_that_refer_to_the_same_bytes_take_no_memory(kind: str) -> None:
    exif = exif_of_large_tags(200, 2**20)
    if kind == "JPEG":
        data = jpeg_with_exif(exif)
    else:
        buffer = io.BytesIO()
        Image.new("RGB", (64, 32)).save(buffer, kind, exif=exif)
        data = buffer.getvalue()
    tracemalloc.start()
    try:
        image = read_image(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Newer versions of Pillow leave out such tags, and find the orientation behind them.
    assert image.size in ((64, 32), (32, 64))
    assert peak < 2e7


def webp_header(width: int, height: int, kind: bytes) -> bytes:
    if kind == b"VP8X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        body = b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(5)
    else:
        body = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", 22) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_is_measured_before_it_is_opened(
    kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(InputError, match=r"16383×16000 pixels, more than 50 million, .* for WEBP"):
        read_image(webp_header(16383, 16000, kind))


@pytest.mark.parametrize("kind", ["WEBP", "JPEG2000"])
def test_formats_that_take_twice_the_memory_may_have_half_the_pixels(kind: str) -> None:
    data = stored(NOISE, kind)
    assert read_image(data, max_pixels=2 * 90 * 120).size == (120, 90)
    with pytest.raises(InputError, match=f"more than 0.010799 million, the most for {kind}"):
        read_image(data, max_pixels=2 * 90 * 120 - 1)


def in_precincts_of(exponent: int, data: bytes) -> bytes:
    """A JPEG 2000 that says to be divided into precincts of 2^exponent squared."""
    place = data.index(b"\xff\x52")
    length = int.from_bytes(data[place + 2 : place + 4], "big")
    style = bytearray(data[place + 4 : place + 2 + length])
    style[0] |= 1
    style += bytes([exponent << 4 | exponent]) * (style[5] + 1)
    head = b"\xff\x52" + struct.pack(">H", len(style) + 2)
    return data[:place] + head + bytes(style) + data[place + 2 + length :]


def test_a_jpeg_2000_in_tiny_pieces_is_refused() -> None:
    plain = stored(Image.new("RGB", (300, 300)), "JPEG2000", no_jp2=True)
    for data in (
        in_precincts_of(1, plain),
        in_precincts_of(4, plain),
        # Behind the beginning of another such segment.
        b"\xff\x52\0\x2d" + in_precincts_of(1, plain),
        stored(Image.new("RGB", (300, 300)), "JPEG2000", codeblock_size=(4, 4)),
    ):
        with pytest.raises(InputError, match="so small blocks"):
            decoding_limits._check_division(data)
    with pytest.raises(InputError, match="so small blocks"):
        read_image(in_precincts_of(1, plain))
    for usual in (
        plain,
        stored(NOISE, "JPEG2000", precinct_size=(64, 64)),
        stored(NOISE, "JPEG2000", codeblock_size=(16, 16), tile_size=(32, 32)),
    ):
        read_image(usual)


MEMORY = """
import io, resource
from PIL import Image
from pixelgen.imaging import cut_hole, read_image, to_rgb

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

content = CONTENT
cut_hole(to_rgb(Image.new("RGB", (80, 80))), 8, box=(1, 1, 50, 50))
Image.new("RGB", (8, 8)).save(io.BytesIO(), "PNG")
before = peak()
photo = read_image(content)
read = peak()
cut_hole(photo, 64, box=(1, 1, 1500, 1500))
print(read - before, peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows measures memory in other ways")
@pytest.mark.parametrize(
    ("mode", "kind", "share"),
    [("RGB", "PNG", 1), ("RGBA", "PNG", 1), ("I;16", "PNG", 1), ("RGB", "WEBP", 0.5)],
)
def test_a_hundred_million_pixels_fit_into_memory(mode: str, kind: str, share: float) -> None:
    """Measured with 4 million, in a process of its own: reading a photo and cutting a hole into it.
    Commands take up to 500 MB besides."""
    options = ", lossless=True" if kind == "WEBP" else ""
    # The file is made by another process, whose memory does not count.
    make = "import io\nfrom PIL import Image\nb = io.BytesIO()\n"
    make += (
        f"Image.new({mode!r}, (2000, 1990)).save(b, {kind!r}{options})\nprint(b.getvalue().hex())"
    )
    content = subprocess.run([sys.executable, "-c", make], capture_output=True, check=True).stdout
    program = MEMORY.replace("CONTENT", f"bytes.fromhex({content.decode().strip()!r})")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    for peak in map(int, run.stdout.split()):
        assert peak * unit / (2000 * 1990) * share < 13
