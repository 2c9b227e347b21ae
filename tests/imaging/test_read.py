"""Any photo becomes RGB, the right way up; anything else is one error."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelgen.cli.errors import exit_code_of
from pixelgen.cli.hints import HINTS
from pixelgen.errors import InputError, PixelgenError
from pixelgen.imaging import cut_hole, parse_box, read_image, square, to_rgb

DRAW = np.random.default_rng(0)
PHOTO = Image.fromarray(DRAW.integers(0, 256, (6, 9, 3), dtype=np.uint8))
SMOOTH = PHOTO.resize((90, 60), Image.Resampling.BICUBIC)


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_a_path_bytes_and_a_stream_are_one(tmp_path: Path) -> None:
    data = stored(PHOTO)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    pipe, end = os.pipe()
    with os.fdopen(end, "wb") as writing:
        writing.write(data)
    with os.fdopen(pipe, "rb") as stream:
        read = [read_image(source) for source in (path, str(path), data, io.BytesIO(data), stream)]
    assert {(image.mode, image.size, image.tobytes()) for image in read} == {
        ("RGB", (9, 6), PHOTO.tobytes())
    }


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "JPEG", "WEBP", "JPEG2000"])
def test_formats(kind: str) -> None:
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    read = read_image(stored(SMOOTH, kind, **options))
    assert (read.mode, read.size) == ("RGB", SMOOTH.size)
    assert np.abs(pixels(read) - pixels(SMOOTH)).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = pixels(PHOTO)
    # How the camera was held, undone on the way to the file (EXIF 2.3, table 6).
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    data = stored(Image.fromarray(turned.astype(np.uint8)), kind, exif=exif)
    read = read_image(data)
    assert (pixels(read) == upright).all()
    assert read.getexif().get(0x0112, 1) == 1


def test_broken_tags_spoil_no_pixel() -> None:
    for exif in (
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
    ):
        assert read_image(stored(PHOTO, exif=exif)).tobytes() == PHOTO.tobytes()


def test_transparency_is_laid_over_white() -> None:
    alpha = Image.new("L", PHOTO.size, 255)
    alpha.paste(0, (0, 0, 3, 6))
    alpha.paste(128, (3, 0, 6, 6))
    clear = PHOTO.copy()
    clear.putalpha(alpha)
    read = pixels(read_image(stored(clear)))
    assert (read[:, :3] == 255).all()
    assert np.abs(read[:, 3:6] - (pixels(PHOTO)[:, 3:6] + 255) / 2).max() <= 1
    assert (read[:, 6:] == pixels(PHOTO)[:, 6:]).all()

    grey = clear.convert("LA")
    assert (pixels(read_image(stored(grey)))[:, :3] == 255).all()
    palette = PHOTO.quantize(8)
    palette.putpalette([v for i in range(8) for v in (i, 2 * i, 3 * i)])
    read = pixels(read_image(stored(palette, transparency=3)))
    index = np.asarray(palette)
    assert (read[index == 3] == 255).all()
    assert (read[index == 5] == (5, 10, 15)).all()
    for image in (clear.convert("RGBa"), palette.convert("PA")):
        assert to_rgb(image).mode == "RGB"
    assert (pixels(to_rgb(clear.convert("RGBa")))[:, :3] == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_one_colour_may_stand_for_transparency(mode: str) -> None:
    black: object = (0, 0, 0) if mode == "RGB" else 0
    image = Image.new(mode, (4, 4), "black")
    assert (pixels(read_image(stored(image, transparency=black))) == 255).all()
    assert (pixels(read_image(stored(image))) == 0).all()


def test_greys() -> None:
    grey = PHOTO.convert("L")
    assert (pixels(read_image(stored(grey))) == pixels(grey)[..., None]).all()
    bits = PHOTO.convert("1")
    assert (pixels(read_image(stored(bits))) == 255 * pixels(bits)[..., None]).all()
    for kind in ("PNG", "TIFF"):
        deep = Image.fromarray((pixels(grey) * 257).astype(np.uint16))
        assert (pixels(read_image(stored(deep, kind))) == pixels(grey)[..., None]).all()
    wide = Image.fromarray(np.array([[-5, 0, 65535, 10**6]], dtype=np.int32))
    assert pixels(read_image(stored(wide, "TIFF")))[0, :, 0].tolist() == [0, 0, 255, 255]
    marked = stored(Image.fromarray(np.array([[7, 257]], dtype=np.uint16)), transparency=7)
    assert pixels(read_image(marked))[0, :, 0].tolist() == [255, 1]


def tiff_of_greys(values: list[int], bits: int, photometric: int) -> bytes:
    """A TIFF of one row of greys of 8, 12 or 16 bits."""
    if bits == 16:
        data = struct.pack(f"<{len(values)}H", *values)
    else:
        data = bytes.fromhex("".join(f"{value:0{bits // 4}x}" for value in values))
    width, entries = len(values), 8
    tags = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric)]
    tags += [(273, 8 + 2 + 12 * entries + 4), (278, 1), (279, len(data))]
    fields = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + fields + bytes(4) + data


def test_the_tags_of_a_tiff_say_what_black_and_white_are() -> None:
    values = [0, 257 * 7, 65535, 0]
    assert pixels(read_image(tiff_of_greys(values, 16, 1)))[0, :, 0].tolist() == [0, 7, 255, 0]
    assert pixels(read_image(tiff_of_greys(values, 16, 0)))[0, :, 0].tolist() == [255, 248, 0, 255]
    values = [0, 2048, 4095, 16]
    assert pixels(read_image(tiff_of_greys(values, 12, 1)))[0, :, 0].tolist() == [0, 128, 255, 1]
    assert pixels(read_image(tiff_of_greys([0, 9, 255], 8, 0)))[0, :, 0].tolist() == [255, 246, 0]


def test_values_of_a_part_of_their_range_are_noted() -> None:
    ten_bits = (pixels(PHOTO.convert("L")) * 4).astype(np.uint16)
    notes: list[str] = []
    for kind in ("PNG", "TIFF"):
        read_image(stored(Image.fromarray(ten_bits), kind), name="a", on_note=notes.append)
    read_image(
        stored(Image.fromarray(ten_bits.astype(np.int32) // 4), "TIFF"), on_note=notes.append
    )
    assert len(notes) == 3
    assert notes[0].startswith("a: it is almost black: its values reach 1.6%")
    assert notes[2].startswith("the picture: it is almost black: its values reach 0.4%")
    full = Image.fromarray(ten_bits * 64)
    for usual in (full, PHOTO.convert("L"), PHOTO, Image.new("L", (4, 4), 3)):
        read_image(stored(usual), on_note=notes.append)
    read_image(tiff_of_greys([0, 4095], 12, 1), on_note=notes.append)
    assert len(notes) == 3
    # Pillow keeps the upper 8 bits of colours.
    row = b"\0" + struct.pack(">6H", *(1023, 500, 0, 1023, 1023, 1))
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    read_image(chunks((b"IHDR", header), (b"IDAT", zlib.compress(row))), on_note=notes.append)
    assert len(notes) == 4


def test_print_colours() -> None:
    cyan = Image.new("CMYK", (4, 3), (255, 0, 0, 0))
    for kind in ("JPEG", "TIFF"):
        read = pixels(read_image(stored(cyan, kind)))
        assert np.abs(read - (0, 255, 255)).max() < 3
    assert read_image(stored(SMOOTH.convert("YCbCr"), "JPEG")).mode == "RGB"
    assert read_image(stored(PHOTO.convert("LAB"), "TIFF")).mode == "RGB"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = stored(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (pixels(read_image(data)) == (255, 0, 0)).all()


def test_one_pixel() -> None:
    assert read_image(stored(Image.new("RGB", (1, 1), "red"))).getpixel((0, 0)) == (255, 0, 0)


def chunks(*parts: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks."""
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*parts, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def claimed(width: int, height: int) -> bytes:
    """A PNG that says how large it is and goes no further."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return chunks((b"IHDR", header), (b"IDAT", zlib.compress(b"")))


def test_the_limit_is_checked_before_decoding() -> None:
    data = stored(PHOTO)
    assert read_image(data, max_pixels=54).size == (9, 6)
    with pytest.raises(PixelgenError, match="it has 9×6 pixels") as caught:
        read_image(data, max_pixels=53)
    assert isinstance(caught.value, InputError)
    with pytest.raises(PixelgenError, match="it has 10001×10000 pixels") as caught:
        read_image(claimed(10_001, 10_000))
    assert "more than 100 million" in caught.value.message
    assert "max_pixels" in caught.value.hint
    assert "--max-pixels" in HINTS[caught.value.code]
    with pytest.raises(PixelgenError, match="it has 100000×100000 pixels"):
        read_image(claimed(100_000, 100_000))
    # Whatever Pillow itself thinks of it.
    with pytest.raises(PixelgenError, match="it has 20000×20000 pixels"):
        read_image(claimed(20_000, 20_000), max_pixels=3 * 10**8)
    assert Image.MAX_IMAGE_PIXELS is not None


def test_an_error_is_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    says: dict[Any, str] = {
        tmp_path / "missing.png": "missing.png: No such file",
        tmp_path: "it is a folder",
        tmp_path / "empty.png": "empty.png: it is empty",
        tmp_path / "text.png": "it is not a picture",
        "nul\0.png": "cannot read",
        b"": "the picture: it is empty",
        b"\0" * 5000: "it is not a picture",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "it is not a picture",
        stored(Image.new("F", (2, 2)), "TIFF"): "floating-point numbers",
    }
    for source, message in says.items():
        with pytest.raises(PixelgenError, match=message) as caught:
            read_image(source)
        assert isinstance(caught.value, InputError)
        assert "\n" not in caught.value.message
    with pytest.raises(PixelgenError, match="cannot read stdin: it is empty"):
        read_image(io.BytesIO(), name="stdin")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:  # root, who may run this, may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pixelgen.imaging.read.open_input", refused)
    with pytest.raises(PixelgenError, match="png: Permission denied"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM"])
def test_a_file_that_is_cut_or_damaged_is_read_or_is_an_error(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = stored(SMOOTH, kind)
    with pytest.raises(PixelgenError):
        read_image(whole[: len(whole) // 2])
    draw = np.random.default_rng(1)
    errors = []
    for _ in range(60):
        broken = bytearray(whole[: draw.integers(1, len(whole))])
        for place in draw.integers(0, len(broken), 4):
            broken[min(place, 60 if draw.random() < 0.5 else place)] = draw.integers(0, 256)
        try:
            assert read_image(bytes(broken), max_pixels=10**6).mode == "RGB"
        except PixelgenError as error:
            errors.append(error)
    assert all(exit_code_of(error) == 3 and error.message.isprintable() for error in errors)
    assert capfd.readouterr() == ("", "")


def test_libtiff_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for compression in ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits", "group4"):
        image = SMOOTH.convert("1") if compression == "group4" else SMOOTH
        broken = bytearray(stored(image, "TIFF", compression=compression))
        broken[8:300] = bytes(b ^ 0x5A for b in broken[8:300])
        with suppress(PixelgenError):
            read_image(bytes(broken))
    assert capfd.readouterr() == ("", "")


def test_square_takes_the_middle_or_all() -> None:
    bars = np.zeros((8, 24, 3), dtype=np.uint8)
    bars[:, :8], bars[:, 8:16], bars[:, 16:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    wide = Image.fromarray(bars)
    for image in (wide, wide.transpose(Image.Transpose.TRANSPOSE)):
        middle = square(image, 4)
        assert (middle.mode, middle.size) == ("RGB", (4, 4))
        assert (pixels(middle) == (0, 255, 0)).all()
        assert len(np.unique(pixels(square(image, 6, "stretch")).reshape(-1, 3), axis=0)) >= 3
    assert square(wide, 8).tobytes() == wide.crop((8, 0, 16, 8)).tobytes()


def test_square_shrinks_without_patterns_and_enlarges_smoothly() -> None:
    board = Image.fromarray((np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8))
    small = pixels(square(board, 16))
    assert np.abs(small[2:-2, 2:-2] - 127.5).max() < 3
    large = pixels(square(Image.fromarray(np.array([[0, 90], [0, 90]], dtype=np.uint8)), 16))
    assert (np.diff(large[8, 2:-2, 0]) >= 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "I;16", "CMYK", "LA"])
def test_square_of_any_picture(size: tuple[int, int], mode: str) -> None:
    for fit in ("crop", "stretch"):
        made = square(Image.new(mode, size), 5, fit)
        assert (made.mode, made.size) == ("RGB", (5, 5))


def test_square_knows_two_ways() -> None:
    with pytest.raises(PixelgenError, match="crop or stretch"):
        square(PHOTO, 4, "pad")  # type: ignore[arg-type]


def test_pillow_has_no_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the size of a TIFF a second time, when its pixels are loaded."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    for compression in (None, "tiff_lzw", "jpeg"):
        assert read_image(stored(PHOTO, "TIFF", compression=compression)).size == PHOTO.size
    assert Image.MAX_IMAGE_PIXELS == 8


def test_what_may_be_read_may_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow looks at the size of every crop, too."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    photo = Image.new("RGB", (12, 10), (9, 9, 9))
    assert square(photo, 5).size == (5, 5)
    assert cut_hole(photo, 5, box=parse_box("1,1,4,4")).photo.size == (5, 5)
