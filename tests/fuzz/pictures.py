"""Pictures that are broken, odd or far too large, made here so that no such file lies about."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    """A chunk of a PNG."""
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(
    width: int, height: int, data: bytes, depth: int = 8, colour: int = 2, more: bytes = b""
) -> bytes:
    """A PNG that claims to be so large, with compressed `data`."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return _SIGNATURE + chunk(b"IHDR", header) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def plain(size: tuple[int, int] = (20, 14), seed: int = 0) -> Image.Image:
    """A small picture."""
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The content of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def zeros(count: int) -> bytes:
    """So many zeros, compressed, a part at a time."""
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    parts = [packer.compress(block) for _ in range(count // 2**20)]
    return b"".join((*parts, packer.compress(bytes(count % 2**20)), packer.flush()))


def valid() -> Iterator[tuple[str, bytes]]:
    """Files that are odd and can be read."""
    image = plain()
    grey16 = Image.fromarray(np.arange(280, dtype=np.uint16).reshape(14, 20) * 200)
    frames = [plain(seed=i) for i in range(3)]
    moving = {"save_all": True, "append_images": frames[1:], "duration": 40}
    yield "plain.png", saved(image, "PNG")
    yield "16-bit.png", saved(grey16, "PNG")
    yield "16-bit.tif", saved(grey16, "TIFF")
    yield "cmyk.jpg", saved(image.convert("CMYK"), "JPEG")
    yield "cmyk.tif", saved(image.convert("CMYK"), "TIFF")
    yield "lab.tif", saved(image.convert("LAB"), "TIFF")
    yield "grey.jpg", saved(image.convert("L"), "JPEG")
    yield "one bit.png", saved(image.convert("1"), "PNG")
    yield "palette.png", saved(image.convert("P"), "PNG", transparency=3)
    yield "clear.png", saved(image.convert("RGBA"), "PNG")
    yield "clear.webp", saved(image.convert("RGBA"), "WEBP")
    yield "grey and clear.png", saved(image.convert("LA"), "PNG")
    yield "moving.gif", saved(frames[0], "GIF", **moving)
    yield "moving.webp", saved(frames[0], "WEBP", **moving)
    yield "moving.png", saved(frames[0], "PNG", **moving)
    yield "bitmap.bmp", saved(image, "BMP")
    yield "plain.ppm", saved(image, "PPM")
    yield "wide.png", saved(plain((3000, 1)), "PNG")
    yield "high.png", saved(plain((1, 3000)), "PNG")
    yield "a pixel.png", saved(plain((1, 1)), "PNG")
    yield "png.jpg", saved(image, "PNG")
    yield "jpeg.png", saved(image, "JPEG")
    yield "gif.webp", saved(image, "GIF")
    yield "no suffix", saved(image, "PNG")
    yield "photo.txt", saved(image, "JPEG")
    yield "zip behind.png", saved(image, "PNG") + b"PK\x03\x04" + bytes(100)
    exif = Image.Exif()
    exif[0x0112] = 9
    yield "turned nine times.jpg", saved(image, "JPEG", exif=exif)
    yield "broken exif.jpg", saved(image, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    yield "broken profile.png", saved(image, "PNG", icc_profile=b"\xff" * 300)
    # As many pixels as are read, of one bit each.
    yield "large.png", png(9990, 9990, zeros(1250 * 9990), 1, 0)


def broken() -> Iterator[tuple[str, bytes]]:
    """Files that cannot be read, or may not be."""
    image, rng = plain((40, 40)), random.Random(0)
    kinds = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
    for kind in kinds:
        whole = saved(image, kind)
        for length in (1, 7, 12, 30, len(whole) // 3, len(whole) // 2):
            yield f"{kind} of {length} bytes", whole[:length]
        for number in range(6):
            damaged = bytearray(whole)
            for _ in range(1 + number * 4):
                damaged[rng.randrange(min(len(whole), 8 << number))] = rng.randrange(256)
            yield f"{kind} damaged {number}", bytes(damaged)
        yield f"{kind} and noise", whole[:20] + rng.randbytes(500)
    yield "empty", b""
    yield "a zero", b"\0"
    yield "zeros", bytes(1000)
    yield "text", b"This is no picture.\n" * 10
    yield "page", b"<!DOCTYPE html><html></html>"
    yield "svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n%%EOF\n"
    yield "pdf", b"%PDF-1.4\n%%EOF\n"
    yield "icon", saved(image, "ICO")
    yield "tga", saved(image, "TGA")
    yield "zip", b"PK\x03\x04" + bytes(200)
    yield "gzip", b"\x1f\x8b\x08" + bytes(100)
    yield "elf", b"\x7fELF" + bytes(100)
    yield "pickle", b"\x80\x04\x95" + bytes(50)
    some = zlib.compress(bytes(100))
    yield "no size.png", png(0, 0, some)
    yield "no width.png", png(0, 10, some)
    yield "endless.png", png(2**31 - 1, 2**31 - 1, some)
    yield "beyond.png", png(2**32 - 1, 1, some)
    yield "too many pixels.png", png(20_000, 20_000, zeros(2**20))
    yield "bomb.png", png(30_000, 30_000, zeros(2**27), 1, 0)
    yield "claims more.png", png(9000, 9000, some)
    yield "strange depth.png", png(10, 10, some, 3)
    yield "strange colour.png", png(10, 10, some, 8, 9)
    yield "no palette.png", png(10, 10, some, 8, 3)
    bomb = chunk(b"zTXt", b"x\0\0" + zeros(2**27))
    yield "text bomb.png", png(10, 10, some, more=bomb)
    yield "profile bomb.png", png(10, 10, some, more=chunk(b"iCCP", b"x\0\0" + zeros(2**27)))
    yield "a chunk of 2 GB.png", _SIGNATURE + struct.pack(">I", 2**31 - 1) + b"IHDR" + bytes(50)
    header = struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)
    yield "wrong sum.png", _SIGNATURE + chunk(b"IHDR", header, 0)
    yield "no data.png", _SIGNATURE + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    yield "many chunks.png", _SIGNATURE + chunk(b"IHDR", header) + chunk(b"abCd", b"") * 20_000
    yield "canvas.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"
    jpeg = bytearray(saved(image, "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = b"\xff\xff\xff\xff"
    yield "huge.jpg", bytes(jpeg)
    bmp = bytearray(saved(image, "BMP"))
    for name, width, height in (("huge", 2**31 - 1, 2**31 - 1), ("negative", -5, -5)):
        bmp[18:26] = struct.pack("<ii", width, height)
        yield f"{name}.bmp", bytes(bmp)
    yield "ring.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    entry = struct.pack("<HHII", 256, 4, 2**31 - 1, 8)
    yield "many values.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4)
    yield "endless.ppm", b"P6\n99999999999 99999999999\n255\n"
    yield "digits.ppm", b"P6\n" + b"9" * 100_000
    yield "comments.ppm", b"P6\n" + b"#\n" * 200_000
    yield "a million comments.ppm", b"P6\n" + b"#\n" * 10**6
    yield "canvas.webp", b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\xff\xff\xff\x0f".ljust(34, b"\0")
    scans = saved(Image.new("RGB", (1000, 1000)), "JPEG", progressive=True)
    yield "scans.jpg", scans[:-2] + scans[scans.rindex(b"\xff\xda") : -2] * 8000
    yield "blocks.j2k", saved(Image.new("RGB", (90, 90)), "JPEG2000", codeblock_size=(4, 4))
    yield "photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    yield "floats.tif", saved(Image.new("F", (9, 9)), "TIFF")
    yield "riff.webp", b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WEBPVP8L" + bytes(40)
    yield from _much_for_little()


def _much_for_little() -> Iterator[tuple[str, bytes]]:
    """Small files whose decoding would take minutes, or gigabytes."""
    jpeg = saved(Image.new("RGB", (1024, 1024), "grey"), "JPEG", progressive=True)
    start, end = jpeg.rindex(b"\xff\xda"), jpeg.rindex(b"\xff\xd9")
    yield "scans.jpg", jpeg[:end] + jpeg[start:end] * 8000 + jpeg[end:]
    yield "comments.pbm", b"P1\n" + b"#\n" * 700_000 + b"1 1\n0"
    yield "spaces.pgm", b"P2\n9 9\n255\n" + b" " * 5_000_000
    size = struct.pack("<I", 9998 | 9998 << 14)
    pixels = b"VP8L" + struct.pack("<I", 26) + b"\x2f" + size + bytes(21)
    yield "large.webp", b"RIFF" + struct.pack("<I", len(pixels) + 4) + b"WEBP" + pixels
    jp2 = bytearray(saved(plain((64, 64)), "JPEG2000"))
    place = jp2.index(b"\xff\x51") + 6
    large = struct.pack(">II", 9999, 9999)
    jp2[place : place + 8] = jp2[place + 16 : place + 24] = large  # of the picture, and of its tile
    header = jp2.index(b"ihdr") + 4
    jp2[header : header + 8] = large
    yield "large.jp2", bytes(jp2)
