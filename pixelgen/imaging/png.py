"""PNG files that say how they were made, written whole or not at all."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from PIL import Image, PngImagePlugin

from pixelgen.files import write_atomically

IfExists = Literal["number", "replace", "fail"]


def png_bytes(image: Image.Image, text: Mapping[str, str]) -> bytes:
    """`image` as a PNG with a text chunk for every entry; equal input gives equal bytes."""
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def png_text(path: Path) -> dict[str, str]:
    """The text chunks of a PNG; none for a file that is no PNG or is broken."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return {str(k): v for k, v in image.info.items() if isinstance(v, str)}
    except (OSError, ValueError, SyntaxError):
        return {}


def save_png(
    path: Path, image: Image.Image, text: Mapping[str, str], if_exists: IfExists = "fail"
) -> Path:
    """Write `image` to `path` and return where it went.

    Where a file is there already: `number` counts on (a.png, a-2.png, a-3.png, …), `replace` puts
    the new one in its place, `fail` raises FileExistsError. Raises PixelgenError where the folder
    does not take it.
    """
    data = png_bytes(image, text)
    if if_exists != "number":
        write_atomically(path, data, replace=if_exists == "replace")
        return path
    for number in itertools.count(1):
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if target.exists():
            continue
        try:
            write_atomically(target, data, replace=False)
            return target
        except FileExistsError:
            continue  # another process was quicker
    raise AssertionError("unreachable")
