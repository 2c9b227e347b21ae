"""Reading untrusted photos, and making them square."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import ExifTags, Image, UnidentifiedImageError

from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import MAX_PIXELS, expanded, open_input, read_up_to
from pixelgen.imaging.downscale import downscale
from pixelgen.imaging.png import allow_any_size

Photo = Image.Image | str | Path
"""A picture, or the path of its file."""
Fit = Literal["crop", "stretch"]
"""How a picture becomes square: cropped to its middle, or stretched."""

_LARGEST_STREAM = 2**30
_STRIP = 256  # rows converted at a time, where that needs several times the memory of a picture
# Left out of Pillow's formats are those that run other programs (EPS), have no signature (TGA), or
# hold a second header with another size (ICO).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "QOI")
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Our error repeats what Pillow logs about a broken file.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_image(
    source: str | Path | bytes | BinaryIO,
    *,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
) -> Image.Image:
    """The picture of a file as RGB, turned upright by its EXIF orientation; of an animation the
    first frame.

    `source` is a path, the content of a file, or an open binary file, which is read to its end;
    messages call it `name`. Transparent pixels are laid over white; with `keep_alpha` a picture
    with transparency is RGBA instead. Of a picture with more than `max_pixels` only the header is
    read.

    Raises InputError for a file that is missing, unreadable, broken, too large, or not a picture.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the picture")
    try:
        with warnings.catch_warnings(), _open_seekable(source) as file:
            warnings.simplefilter("ignore")
            return _decode(file, max_pixels, keep_alpha)
    except Exception as error:  # Pillow raises a dozen kinds for broken files
        hint, code = (error.hint, error.code) if isinstance(error, PixelgenError) else ("", "")
        raise InputError(f"cannot read {name}: {_reason(error)}", hint, code=code) from error


def load_photo(photo: object) -> Image.Image:
    """`photo` with its pixels loaded: a path as by `read_image`, a PIL picture as it is, without
    turning it. Raises InputError if it cannot be read, UsageError for any other type."""
    if isinstance(photo, str | Path):
        return read_image(expanded(photo), name=str(photo))
    if not isinstance(photo, Image.Image):
        raise UsageError(f"a photo is a path or a PIL picture, not {type(photo).__name__}")
    try:
        photo.load()
    except Exception as error:  # Pillow raises a dozen kinds for broken files
        name = getattr(photo, "filename", "") or "the picture"
        raise InputError(f"cannot read {name}: {_reason(error)}") from error
    return photo


def square(image: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """`image`, of any mode, as size×size pixels of RGB, unchanged if it has that size already.

    A larger picture is averaged over areas, as training pictures are; a smaller one interpolated.
    Raises InputError for floating-point pixels, UsageError for another `fit`.
    """
    box = crop_box(image.size, fit)
    if box != (0, 0, *image.size):
        with allow_any_size():  # the picture is in memory already
            image = image.crop(box)
    # For the largest photos memory does not suffice for a needless copy.
    if image.mode != "RGB" or image.has_transparency_data or image.size == (size, size):
        image = to_rgb(image)
    if image.size == (size, size):
        return image
    if size > min(image.size):
        return image.resize((size, size), Image.Resampling.BICUBIC)
    return downscale(image, size, size)


def crop_box(size: tuple[int, int], fit: Fit) -> tuple[int, int, int, int]:
    """The part of a picture of `size` (width, height) that `fit` uses: x0, y0, x1, y1."""
    width, height = size
    if fit == "stretch":
        return 0, 0, width, height
    if fit != "crop":
        raise UsageError(f"fit must be crop or stretch, not {fit!r}")
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def has_alpha(image: Image.Image) -> bool:
    """Whether `image` has transparency that RGBA can hold: not that of greys of more than 8
    bits."""
    return image.has_transparency_data and not image.mode.startswith(("I", "F"))


def to_rgb(image: Image.Image) -> Image.Image:
    """A copy of `image` as RGB, transparent pixels laid over white.

    Greys of more than 8 bits are taken to span 0 … 65535. Raises InputError for floating-point
    pixels, whose range is unknown.
    """
    if image.mode == "F":
        raise InputError("its pixels are floating-point numbers")
    if image.mode.startswith("I"):
        image = _to_8_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _to_8_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 0 … 65535 as one of 0 … 255."""
    import numpy as np

    out = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, _STRIP):
        bottom = min(top + _STRIP, image.height)
        strip = image.crop((0, top, image.width, bottom))
        grey = np.asarray(strip.convert("I")).clip(0, 65535)
        grey[grey == image.info.get("transparency")] = 65535
        out[top:bottom] = (grey + 128) // 257
    return Image.fromarray(out)


@contextmanager
def _open_seekable(source: str | Path | bytes | BinaryIO) -> Iterator[BinaryIO]:
    """`source` as a file that allows seeking."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, str | Path):
        with open_input(source) as file:
            yield file if file.seekable() else _buffered(file)
    else:
        yield _buffered(source)


def _buffered(stream: BinaryIO) -> BinaryIO:
    return io.BytesIO(read_up_to(stream, _LARGEST_STREAM))


def _decode(file: BinaryIO, max_pixels: int, keep_alpha: bool) -> Image.Image:
    if not file.read(1):
        raise ValueError("it is empty")
    with allow_any_size():
        unread = Image.open(file, formats=known_formats())
    with unread as image:
        if not 0 < image.width * image.height <= max_pixels:
            raise InputError(
                f"it has {image.width}×{image.height} pixels, "
                f"more than {max_pixels / 1e6:g} million",
                "raise max_pixels",
                code="too-many-pixels",
            )
        image.load()
        transpose = _ORIENTATIONS.get(_orientation(image))
        upright = image if transpose is None else image.transpose(transpose)
        upright = upright.convert("RGBA") if keep_alpha and has_alpha(image) else to_rgb(upright)
    # Without EXIF data the picture is not turned a second time.
    upright.info.clear()
    return upright


def known_formats() -> list[str]:
    """Pillow's names of the formats that are read."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 … 8; 1 for broken EXIF data, since the pixels are intact."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF raises many kinds
        return 1


def _reason(error: Exception) -> str:
    """What is wrong with a file, in one short line."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture in a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "it has too many pixels"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    line = next(iter(text.strip().splitlines()), type(error).__name__)
    return "".join(c if c.isprintable() else "?" for c in line[:200])
