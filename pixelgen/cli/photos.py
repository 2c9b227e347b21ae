"""Photos that a user names; `-` is stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from pixelgen.errors import PixelgenError
from pixelgen.imaging import read_image

_UNREADABLE = 3


def read_photo(given: str) -> Image.Image:
    """The picture as RGB, the right way up; raises PixelgenError (exit code 3) if there is none."""
    if given == "-":
        if sys.stdin is None:
            raise PixelgenError("cannot read stdin: it is closed", "", _UNREADABLE)
        return read_image(sys.stdin.buffer, name="stdin")
    return read_image(Path(given).expanduser(), name=given)


def photo_name(given: str) -> str:
    """What messages and files call it."""
    return "stdin" if given == "-" else given
