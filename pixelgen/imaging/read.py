"""Reading untrusted photos, and making them square."""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from pixelgen.errors import InputError, PixelgenError, UsageError, harmless
from pixelgen.files import MAX_PIXELS, expanded, open_input, read_up_to
from pixelgen.imaging.decoding_limits import (
    TimedFile,
    check_before_opening,
    check_size,
    check_work,
    limited_exif,
    unpacked_mode,
)
from pixelgen.imaging.downscale import downscale
from pixelgen.imaging.formats import known_formats, undecoded_kind
from pixelgen.imaging.png import allow_any_size
from pixelgen.imaging.rgb import GreyRange, has_alpha, to_rgb, to_rgba

Photo = Image.Image | str | Path
"""A picture, or the path of its file."""
Fit = Literal["crop", "stretch"]
"""How a picture becomes square: cropped to its middle, or stretched."""
DataFit = Literal["crop", "stretch", "pad"]
"""How pictures of a data set do: also as a whole, the shorter side padded (`pad_square`)."""

OnNote = Callable[[str], None]
"""Called with a remark about a picture that is read, but maybe not as it was meant."""

_LARGEST_STREAM = 2**30
# Whatever a file of so many bytes holds, it is read in less than a second.
_SHORT_FILE = 2**16
# The largest level of pictures whose values do not fill their 16 bits: 12 of these.
_DARK = 16
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_ORIENTATION_KEYS = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
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
    on_note: OnNote | None = None,
) -> Image.Image:
    """The picture of a file as RGB in the colours of sRGB, turned upright by its EXIF orientation;
    of an animation the first frame.

    `source` is a path, the content of a file, or an open binary file, which is read to its end;
    messages call it `name`. Transparent pixels are laid over white; with `keep_alpha` a picture
    with transparency is RGBA instead. Colours of an ICC profile are converted. Of a picture with
    more than `max_pixels` only the header is read; formats whose decoders take twice the memory
    (WebP, JPEG 2000, AVIF) may have half as many. `on_note` is called where values use so little of
    their range that the picture is almost black.

    Raises InputError for a file that is missing, unreadable, broken, too large, not a picture, or
    takes too much time to decode.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "the picture")

    def note(remark: str) -> None:
        if on_note is not None:
            on_note(f"{name}: {remark}")

    try:
        with _open_seekable(source) as file:
            return decode_image(file, max_pixels, note, keep_alpha)
    except Exception as error:
        hint, code = (error.hint, error.code) if isinstance(error, PixelgenError) else ("", "")
        raise InputError(f"cannot read {name}: {_reason(error)}", hint, code=code) from error


def decode_image(
    file: BinaryIO, max_pixels: int, on_note: OnNote, keep_alpha: bool = False
) -> Image.Image:
    """What `read_image` makes of an open file that allows seeking. Raises InputError, whose message
    does not name the picture."""
    try:
        with warnings.catch_warnings(), limited_exif():
            warnings.simplefilter("ignore")
            return _decode(file, max_pixels, on_note, keep_alpha)
    except PixelgenError:
        raise
    except Exception as error:  # Pillow raises a dozen kinds for broken files
        raise InputError(*_diagnosis(error, file)) from error


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
    width, height = box[2] - box[0], box[3] - box[1]
    # A copy of a whole photo may not fit into memory.
    if size <= min(width, height) and (width, height) != (size, size):
        return downscale(image, size, size, box)
    with allow_any_size():  # the picture is in memory already
        image = to_rgb(image.crop(box))
    return image.resize((size, size), Image.Resampling.BICUBIC)


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


def _decode(file: BinaryIO, max_pixels: int, on_note: OnNote, keep_alpha: bool) -> Image.Image:
    silence_libtiff()
    start = file.read(_SHORT_FILE + 1)
    if not start:
        raise InputError("it is empty")
    check_before_opening(start, max_pixels)
    file.seek(0)
    timed = TimedFile(file) if len(start) > _SHORT_FILE else None
    with allow_any_size():
        unread = Image.open(timed or file, formats=known_formats())
    with unread as image:
        check_size(image.format or "", image.size, max_pixels)
        if timed is not None:
            timed.opened()
        check_work(image, timed or file)
        stored = unpacked_mode(image)
        if image.format == "PPM":
            from pixelgen.imaging.pnm import use_fast_decoder  # imports numpy

            use_fast_decoder(image)
        with allow_any_size():  # Pillow looks at the size of a TIFF once more
            image.load()
        transpose = _ORIENTATIONS.get(_orientation(image))
        if keep_alpha and has_alpha(image):
            rgb = to_rgba(image)
        else:
            rgb = to_rgb(image, _grey_range(image))
        deep = image.mode.startswith("I") or ";16" in stored
    del image, unread  # large pictures are in memory once
    if deep and (brightest := max(int(high) for _, high in rgb.getextrema())) <= _DARK:  # type: ignore[misc]
        on_note(
            f"it is almost black: its values reach {brightest / 255:.1%} of what its format can "
            "hold; scale them if they are not meant to be that dark"
        )
    if transpose is not None:
        rgb = rgb.transpose(transpose)
    # Without EXIF data the picture is not turned a second time.
    rgb.info.clear()
    return rgb


def _grey_range(image: Image.Image) -> GreyRange:
    """Black and white of greys of more than 8 bits, by the tags of a TIFF: Pillow decodes values as
    they are stored, also where 0 is white."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0, 65535
    bits = image.tag_v2.get(_BITS_PER_SAMPLE)
    bits = bits[0] if isinstance(bits, tuple) else bits
    largest = 2 ** min(bits or 16, 16) - 1
    return (largest, 0) if image.tag_v2.get(_PHOTOMETRIC) == 0 else (0, largest)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 … 8; 1 for broken EXIF data, since the pixels are intact."""
    if image.format != "TIFF" and not any(key in image.info for key in _ORIENTATION_KEYS):
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF raises many kinds
        return 1


@functools.cache
def silence_libtiff() -> None:
    """Keep libtiff from writing lines of its own to stderr, where Pillow's copy can be reached."""
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(Image.core.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def _diagnosis(error: Exception, file: BinaryIO) -> tuple[str, str]:
    """What is wrong with a file that could not be decoded, and what to do."""
    if isinstance(error, UnidentifiedImageError):
        file.seek(0)
        kind = undecoded_kind(file.read(16))
        if kind is not None and kind.format in known_formats():
            return f"it is {kind.name}, but broken or of an unknown variant", ""
        if kind is not None:
            return f"it is {kind.name}, which cannot be read here", kind.remedy
    return _reason(error), ""


def _reason(error: Exception) -> str:
    """What is wrong with a file, in one short line."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture in a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "it has too many pixels"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    line = next(iter(text.strip().splitlines()), type(error).__name__)
    return harmless(line[:200])
