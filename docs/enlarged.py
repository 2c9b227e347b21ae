"""Draws the picture of docs/larger.md: pictures of the gallery, enlarged four times in three ways.

python docs/enlarged.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pixelgen.imaging import Resample, enlarge, stack_rows

HERE = Path(__file__).parent
GALLERY = HERE / "gallery"
PICTURES = (
    ("classes.png", 0, 132),
    ("classes.png", 0, 264),
    ("classes.png", 0, 396),
    ("portraits.png", 140, 0),
)
"""A sheet of the gallery, and the left and upper border of a picture in it."""
WAYS: tuple[Resample, ...] = ("nearest", "lanczos", "learned")
SIDE, SHOWN = 64, 2
"""Pixels of a picture, and how many times it is enlarged in the gallery."""


def picture(sheet: str, left: int, top: int) -> Image.Image:
    """One picture of the gallery in its own size."""
    side = SIDE * SHOWN
    with Image.open(GALLERY / sheet) as image:
        cut = image.convert("RGB").crop((left, top, left + side, top + side))
    return cut.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def main() -> None:
    """Write the picture: a row for each of `PICTURES`, a column for each of `WAYS`."""
    rows = [[enlarge(picture(*one), 4, way) for way in WAYS] for one in PICTURES]
    stack_rows(rows, gap=4).save(HERE / "enlarged.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
