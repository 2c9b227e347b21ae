"""Draws the rooms of pixelgen, as docs/architecture.md shows them.

python docs/rooms.py      writes docs/architecture.svg

Their order is that of the contract in pyproject.toml, which `lint-imports` checks; what each does
comes from the table of the page.
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

from pixelgen.toml import parse_toml

FOLDER = Path(__file__).parent
CONTRACT = "Rooms import only downwards"
WIDTH, LINE, GAP, LEFT, NAME = 720, 22, 8, 56, 140
_ROW = re.compile(r"^\| `(\w+)(/|\.py)` \| (.+) \|$", re.MULTILINE)


def layers() -> list[list[str]]:
    """The names of all rooms, outermost first; those of one layer do not import each other."""
    settings = parse_toml((FOLDER.parent / "pyproject.toml").read_bytes())
    (found,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["name"] == CONTRACT
    )
    return [re.split(r" [|:] ", layer) for layer in found]


def descriptions() -> dict[str, tuple[str, str]]:
    """By name: the room as the page writes it, and what it does."""
    page = (FOLDER / "architecture.md").read_text("utf-8")
    return {name: (name + end, text.replace("`", "")) for name, end, text in _ROW.findall(page)}


def svg() -> str:
    """The drawing as text."""
    known = descriptions()
    parts, top = [], GAP
    for layer in layers():
        height = LINE * len(layer) + 6
        parts.append(
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - GAP}" height="{height}" rx="4" '
            f'fill="#dce8f5" stroke="#4c86c6"/>'
        )
        for line, room in enumerate(layer):
            name, text = known[room]
            y = top + LINE * line + 18
            parts.append(_text(LEFT + 10, y, name, ' font-weight="bold"'))
            parts.append(_text(LEFT + NAME, y, text))
        top += height + GAP
    x, end = LEFT // 2, top - GAP
    parts.append(
        f'<path d="M{x} {GAP}V{end - 10}" stroke="#1f3f66" stroke-width="2"/>'
        f'<path d="M{x - 6} {end - 12}h12l-6 12z" fill="#1f3f66"/>'
    )
    middle = end // 2
    turned = f' text-anchor="middle" transform="rotate(-90 {x - 10} {middle})"'
    parts.append(_text(x - 10, middle, "imports", turned))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'width="{WIDTH}" height="{top}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: int, y: int, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}"{more} fill="#222222">{escape(text, quote=False)}</text>'


if __name__ == "__main__":
    place = Path(sys.argv[1]) if sys.argv[1:] else FOLDER / "architecture.svg"
    place.write_text(svg(), "utf-8")
