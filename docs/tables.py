"""Puts the figures of a comparison into docs/tables.md, from what `pixelgen compare` wrote.

python docs/tables.py FOLDER NAME      between the marks <!-- table: NAME --> and <!-- end: NAME -->

The table, its notes and the curves are made from FOLDER/table.json, the samples are a smaller file
of FOLDER/samples.png: docs/tables/NAME-curves.svg and docs/tables/NAME-samples.webp. What stands
outside of the marks is text, and stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image

from pixelgen.comparison.curves import Curve, draw_curves
from pixelgen.comparison.results import Comparison, markdown

PAGE = Path(__file__).with_name("tables.md")
ENLARGED = 2
"""How many times the samples are enlarged, each pixel to a square."""


def marks(name: str) -> tuple[str, str]:
    """The lines before and after the figures `name`."""
    return f"<!-- table: {name} -->", f"<!-- end: {name} -->"


def with_figures(text: str, name: str, figures: str) -> str:
    """The page `text` with `figures` between the marks `name`. Raises ValueError without marks."""
    first, last = marks(name)
    before, found, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not found or not end:
        raise ValueError(f"the page has no lines {first} and {last}")
    return f"{before}{first}\n\n{figures.strip()}\n\n{last}{after}"


def main(folder: Path, name: str, page: Path = PAGE) -> None:
    """Write the figures of the comparison in `folder` into `page`, pictures to the folder beside it
    that has its name. Raises ValueError for a page without marks."""
    comparison = Comparison.from_dict(json.loads((folder / "table.json").read_text("utf-8")))
    beside = page.with_suffix("")
    curves, samples = (f"{beside.name}/{name}-{what}" for what in ("curves.svg", "samples.webp"))
    shown = markdown(comparison, curves, samples if comparison.samples else "")
    figures = shown.partition("\n")[2]  # the page has headings of its own
    text = with_figures(page.read_text("utf-8"), name, figures)
    beside.mkdir(exist_ok=True)
    drawn = [Curve(row.title, row.curve) for row in comparison.rows if row.kind == "trained"]
    (page.parent / curves).write_text(draw_curves(drawn), "utf-8")
    if comparison.samples:
        with Image.open(folder / "samples.png") as sheet:
            size = (sheet.width * ENLARGED, sheet.height * ENLARGED)
            enlarged = sheet.convert("RGB").resize(size, Image.Resampling.NEAREST)
        enlarged.save(page.parent / samples, lossless=True, quality=100, method=6)
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
