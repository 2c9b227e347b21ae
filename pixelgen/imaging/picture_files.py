"""Picture files of several formats that record how they were made, written atomically."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from pixelgen.errors import PixelgenError
from pixelgen.files import MAX_PIXELS, IfExists, open_file, write_file
from pixelgen.imaging.decoding_limits import TimedFile, limited_exif
from pixelgen.imaging.png import allow_any_size, pixels_digest, png_bytes, png_text
from pixelgen.imaging.provenance import xmp_packet
from pixelgen.imaging.rgb import has_alpha, to_rgb

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
"""File name suffixes of pictures that can be written; all but JPEG are lossless."""
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
}
_SAME_FORMAT = {".jpeg": ".jpg", ".tiff": ".tif"}
_READ = ("PNG", "GIF", "WEBP", "JPEG", "TIFF")
"""Pillow's names of the formats of `PICTURES` and of animations."""
_DESCRIPTION = ExifTags.Base.ImageDescription
_XMP_TAG = 700
"""Of TIFF."""
_LARGEST_EXIF = 65_000
"""Bytes: a JPEG has room for 65,533."""
_LONGEST_SIDE = {".webp": 16383, ".jpg": 65500}


def picture_bytes(image: Image.Image, suffix: str, text: Mapping[str, str]) -> bytes:
    """`image` in the format of `suffix` (of `PICTURES`), with `text` as metadata, or without where
    the format has no room for so much; in a JPEG, transparent pixels lie over white. Equal input
    gives equal bytes."""
    suffix = _SAME_FORMAT.get(suffix, suffix)
    if suffix == ".png":
        return png_bytes(image, text)
    name, options = _FORMATS[suffix]
    exif, xmp = description_exif(text), xmp_packet(text)
    if name == "TIFF":
        if xmp:
            exif[_XMP_TAG] = xmp
    elif xmp:
        options = {**options, "xmp": xmp}
    if name != "JPEG" or len(exif.tobytes()) < _LARGEST_EXIF:
        options = {**options, "exif": exif}
    if name == "JPEG" and has_alpha(image):
        image = to_rgb(image)
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def save_picture(
    path: Path, image: Image.Image, text: Mapping[str, str], if_exists: IfExists = "fail"
) -> Path:
    """Write `image` to `path` in the format of its suffix, as `picture_bytes` does, and return
    where it went: `if_exists` says what happens to an existing file. A picture that is too large
    for the format is written beside it as a PNG, and the error says so. Raises PixelgenError
    for that, and if it cannot be written."""
    suffix = path.suffix.lower()
    most = _LONGEST_SIDE.get(_SAME_FORMAT.get(suffix, suffix))
    if most is not None and max(image.size) > most:
        other = write_file(path.with_suffix(".png"), png_bytes(image, text), "number")
        raise PixelgenError(
            f"{path} would be {image.width}×{image.height} pixels, its format ends at {most}: "
            f"the picture is in {other}",
            "lower scale, or write a .png",
            code="large-picture",
        )
    return write_file(path, picture_bytes(image, suffix, text), if_exists)


def description_exif(text: Mapping[str, str]) -> Image.Exif:
    """EXIF data with `text` as JSON in the description of the picture."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = json.dumps(text)
    return exif


def picture_text(path: Path) -> dict[str, str]:
    """The text that pictures and animations of pixelgen store; empty for any other file, and for
    one that takes too long to open (`TimedFile`)."""
    if path.suffix.lower() == ".png":
        return png_text(path)
    try:
        with _opened(path, within_limits=True) as image:
            if image.format == "PNG":
                return png_text(path)
            note = image.getexif().get(_DESCRIPTION) or image.info.get("comment", "")
            text = json.loads(note)
    except Exception:  # damaged EXIF raises many kinds
        return {}
    return {str(k): str(v) for k, v in text.items()} if isinstance(text, dict) else {}


def is_unfinished(path: Path, text: Mapping[str, str]) -> bool:
    """Whether a file is an unedited picture with the text of `unfinished_text`, which the finished
    one with `text` may replace. Never of a JPEG, whose pixels are not quite those that were
    written."""
    stored = picture_text(path)
    if not text.items() <= stored.items() or "drawn" not in stored:
        return False
    try:
        with _opened(path) as image:
            if image.width * image.height > MAX_PIXELS:
                return False
            return stored.get("pixels") == pixels_digest(image)
    except Exception:  # damaged files raise many kinds
        return False


def same_picture(first: Path, second: Path) -> bool:
    """Whether two pictures or animations show the same pixels, for as long, and the first has all
    text that the second has; False for files that cannot be read."""
    return picture_text(second).items() <= picture_text(first).items() and same_pixels(
        first, second
    )


def same_pixels(first: Path, second: Path) -> bool:
    """Whether two pictures or animations show the same pixels, for as long; False for files that
    cannot be read."""
    try:
        with _opened(first) as image, _opened(second) as other:
            frames = getattr(image, "n_frames", 1)
            if (image.size, frames) != (other.size, getattr(other, "n_frames", 1)):
                return False
            for number in range(frames):
                image.seek(number)
                other.seek(number)
                if image.convert("RGBA").tobytes() != other.convert("RGBA").tobytes():
                    return False
                if image.info.get("duration") != other.info.get("duration"):
                    return False
            return True
    except Exception:  # damaged files raise many kinds
        return False


@contextmanager
def _opened(path: Path, within_limits: bool = False) -> Iterator[Any]:
    """A picture of any size, whose pixels are not read yet, without Pillow's warnings about damaged
    files; with `within_limits` reading raises as that of `TimedFile`."""
    with (
        warnings.catch_warnings(),
        allow_any_size(),
        limited_exif(),
        open_file(path) as file,
    ):
        warnings.simplefilter("ignore")
        source: Any = TimedFile(file) if within_limits else file
        with Image.open(source, formats=_READ) as image:
            yield image
