"""Reading photos that nobody vouches for, and making them square."""

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
from pixelgen.imaging.downscale import averaged
from pixelgen.imaging.png import any_size

Photo = Image.Image | str | Path
"""A picture, or where its file is."""
Fit = Literal["crop", "stretch"]
"""How a picture becomes square: its middle is cut out, or all of it is squeezed."""

_LARGEST_STREAM = 2**30
_STRIP = 256  # rows at a time, of what needs several times the room of a picture
# Pillow knows more, among them formats that run other programs (EPS), have no signature (TGA), or
# hide a second header with another size (ICO).
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

# What Pillow says about a broken file reaches the user once, in our error, not also as a log line.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_image(
    source: str | Path | bytes | BinaryIO, *, name: str = "", max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """The picture of a file as RGB, the right way up; of an animation the first frame.

    `source` is a path, the content of a file, or an open binary file, which is read to its end;
    messages call it `name`. Transparency is laid over white. Of a picture with more than
    `max_pixels` only the header is read.

    Raises PixelgenError (exit code 3) for what is missing, unreadable, broken, too large, or no
    picture at all.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the picture")
    try:
        with warnings.catch_warnings(), _opened(source) as file:
            warnings.simplefilter("ignore")
            return _decode(file, max_pixels)
    except Exception as error:  # Pillow raises a dozen kinds for broken files
        hint = error.hint if isinstance(error, PixelgenError) else ""
        raise InputError(f"cannot read {name}: {_why(error)}", hint) from error


def opened(photo: object) -> Image.Image:
    """The pixels of `photo`: of a path as `read_image` gives them, of a picture as they are,
    without turning it. Raises PixelgenError: exit code 3 for what cannot be read, 2 for anything
    but a picture or a path."""
    if isinstance(photo, str | Path):
        return read_image(expanded(photo), name=str(photo))
    if not isinstance(photo, Image.Image):
        kind = type(photo).__name__
        raise UsageError(f"a photo is a path or a PIL picture, not {kind}")
    try:
        photo.load()
    except Exception as error:  # as many kinds as for files
        name = getattr(photo, "filename", "") or "the picture"
        raise InputError(f"cannot read {name}: {_why(error)}") from error
    return photo


def square(image: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """`image`, of any mode, as size×size pixels of RGB; those of such a picture stay as they are.

    A larger picture is averaged over areas, as training pictures are; a smaller one interpolated.
    Raises PixelgenError for floating-point pixels, and for another `fit`.
    """
    box = kept_box(image.size, fit)
    if box != (0, 0, *image.size):
        with any_size():  # it is in memory already
            image = image.crop(box)
    # Of the largest photos there is no room for a copy more than needed.
    if image.mode != "RGB" or image.has_transparency_data or image.size == (size, size):
        image = to_rgb(image)
    if image.size == (size, size):
        return image
    if size > min(image.size):
        return image.resize((size, size), Image.Resampling.BICUBIC)
    return averaged(image, size, size)


def kept_box(size: tuple[int, int], fit: Fit) -> tuple[int, int, int, int]:
    """What is used of a picture of `size` (width, height): x0, y0, x1, y1."""
    width, height = size
    if fit == "stretch":
        return 0, 0, width, height
    if fit != "crop":
        raise UsageError(f"fit must be crop or stretch, not {fit!r}")
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def to_rgb(image: Image.Image) -> Image.Image:
    """A copy of `image` as RGB, what is transparent laid over white.

    Greys of more than 8 bits are taken to span 0 … 65535. Raises PixelgenError for floating-point
    pixels, which may span anything.
    """
    if image.mode == "F":
        raise InputError("its pixels are floating-point numbers")
    if image.mode.startswith("I"):
        image = _narrowed(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    return white


def _narrowed(image: Image.Image) -> Image.Image:
    """A grey picture of 0 … 65535 as one of 0 … 255."""
    import numpy as np

    narrow = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, _STRIP):
        below = min(top + _STRIP, image.height)
        strip = image.crop((0, top, image.width, below))
        grey = np.asarray(strip.convert("I")).clip(0, 65535)
        grey[grey == image.info.get("transparency")] = 65535
        narrow[top:below] = (grey + 128) // 257
    return Image.fromarray(narrow)


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO) -> Iterator[BinaryIO]:
    """`source` as a file that can be read in any order."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, str | Path):
        with open_input(source) as file:
            yield file if file.seekable() else _buffered(file)
    else:
        yield _buffered(source)


def _buffered(stream: BinaryIO) -> BinaryIO:
    return io.BytesIO(read_up_to(stream, _LARGEST_STREAM))


def _decode(file: BinaryIO, max_pixels: int) -> Image.Image:
    if not file.read(1):
        raise ValueError("it is empty")
    with any_size():
        opened = Image.open(file, formats=known_formats())
    with opened as image:
        if not 0 < image.width * image.height <= max_pixels:
            raise PixelgenError(
                f"it has {image.width}×{image.height} pixels",
                f"at most {max_pixels / 1e6:g} million are read; --max-pixels N allows more",
            )
        image.load()
        turn = _ORIENTATIONS.get(_orientation(image))
        upright = to_rgb(image if turn is None else image.transpose(turn))
    # Nobody shall turn it a second time.
    upright.info.clear()
    return upright


def known_formats() -> list[str]:
    """The kinds of picture that are read, as Pillow calls them."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _orientation(image: Image.Image) -> int:
    """What the picture's EXIF tags say, 1 … 8; 1 if they are broken, which spoils no pixel."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as many kinds as for broken pictures
        return 1


def _why(error: Exception) -> str:
    """What was wrong with a file, in one short line."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture, or of a kind that is not known"
    if isinstance(error, Image.DecompressionBombError):
        return "it has too many pixels"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    line = next(iter(text.strip().splitlines()), type(error).__name__)
    return "".join(c if c.isprintable() else "?" for c in line[:200])
