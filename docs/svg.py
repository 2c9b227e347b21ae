"""Grids of coloured cells as SVG: all that the diagrams need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

CELL = 18
GAP = 28
TITLE = 22
LABEL = 16


@dataclass(frozen=True)
class Panel:
    """A grid of cells with a title above it."""

    title: str
    colours: Sequence[Sequence[str]]
    """[rows][columns] of the names in the sheet's legend."""
    texts: Sequence[Sequence[str]] = ()
    """[rows][columns], what stands in the cells; nothing if left out."""
    rows: Sequence[str] = ()
    """What stands before the rows."""
    columns: Sequence[str] = ()
    """What stands above the columns."""

    @property
    def width(self) -> int:
        """In pixels; a title may be wider than its grid."""
        grid = CELL * len(self.colours[0]) + LABEL * bool(self.rows)
        return max(grid, round(6.6 * max(map(len, self.title.split("\n")))))

    @property
    def height(self) -> int:
        """In pixels, with the title and labels."""
        lines = self.title.count("\n") + 1
        return CELL * len(self.colours) + TITLE * lines + LABEL * bool(self.columns)


@dataclass
class Sheet:
    """Panels in rows, and below them what the colours mean."""

    legend: dict[str, tuple[str, str]]
    """A name of a colour: the colour, and what it means ("" leaves it out of the legend)."""
    rows: list[list[Panel]] = field(default_factory=list)

    def svg(self) -> str:
        """The drawing as text; the same panels give the same text."""
        parts: list[str] = []
        top, right = GAP // 2, 0
        for row in self.rows:
            left = GAP // 2
            lines = max(panel.title.count("\n") for panel in row) + 1
            for panel in row:
                parts += self._panel(panel, left, top + TITLE * lines)
                left += panel.width + GAP
            right = max(right, left)
            top += max(panel.height for panel in row) + GAP
        shown = [(c, text) for c, text in self.legend.values() if text]
        for colour, text in shown:
            parts.append(_cells([(GAP // 2, top)], colour))
            parts.append(_text(GAP // 2 + CELL + 8, top + 13, text))
            right = max(right, GAP + CELL + round(6.6 * len(text)))
            top += CELL + 4
        height = top + GAP // 2
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {height}" '
            f'width="{right}" height="{height}" font-family="sans-serif" font-size="12">\n'
            f'<rect width="{right}" height="{height}" fill="#ffffff"/>\n'
            + "\n".join(parts)
            + "\n</svg>\n"
        )

    def _panel(self, panel: Panel, left: int, top: int) -> list[str]:
        """`top` is where the last line of the title ends."""
        titles = panel.title.split("\n")
        parts = [
            _text(left, top - 8 - 15 * (len(titles) - 1 - i), line, weight="bold" if not i else "")
            for i, line in enumerate(titles)
        ]
        x0 = left + LABEL * bool(panel.rows)
        y0 = top + LABEL * bool(panel.columns)
        for j, text in enumerate(panel.columns):
            parts.append(_text(x0 + CELL * j + CELL // 2, y0 - 4, text, middle=True))
        for i, text in enumerate(panel.rows):
            parts.append(_text(left + LABEL // 2, y0 + CELL * i + 13, text, middle=True))
        cells: dict[str, list[tuple[int, int]]] = {}
        for i, row in enumerate(panel.colours):
            for j, name in enumerate(row):
                cells.setdefault(name, []).append((x0 + CELL * j, y0 + CELL * i))
        parts += [_cells(places, self.legend[name][0], name) for name, places in cells.items()]
        for i, words in enumerate(panel.texts):
            for j, text in enumerate(words):
                if text:
                    x, y = x0 + CELL * j + CELL // 2, y0 + CELL * i + 13
                    parts.append(_text(x, y, text, middle=True))
        return parts


def _cells(places: Sequence[tuple[int, int]], colour: str, name: str = "") -> str:
    """Squares of one colour, their upper left corners at (x, y)."""
    told = f' class="{name}"' if name else ""
    side = CELL - 1
    path = "".join(f"M{x} {y}h{side}v{side}h-{side}z" for x, y in places)
    return f'<path{told} fill="{colour}" d="{path}"/>'


def _text(x: int, y: int, text: str, *, middle: bool = False, weight: str = "") -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x}" y="{y}"{anchor}{bold} fill="#222222">{escape(text)}</text>'
