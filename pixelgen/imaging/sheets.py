"""Sheets of portraits beside their source photos (the paper's Figures 4 and 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from pixelgen.imaging.grid import make_grid

_PORTRAITS_PER_ROW = 8
_FRAMES_PER_ROW = 12


def portrait_sheet(
    sources: Sequence[Image.Image], portraits: Sequence[Image.Image], gap: int = 2
) -> Image.Image:
    """`sources` at the left, and beside them rows of `portraits` of the same size."""
    columns = balanced_columns(len(portraits), _PORTRAITS_PER_ROW)
    rows = math.ceil(len(portraits) / columns)
    left = make_grid(sources, math.ceil(len(sources) / rows), gap)
    return _flanked(left, make_grid(portraits, columns, gap), None, 3 * gap)


def path_sheet(
    sources: Sequence[Image.Image], frames: Sequence[Image.Image], gap: int = 2
) -> Image.Image:
    """`frames` of an evenly spaced path through `sources`, of the same size: every leg from one
    source to the next is a row of its own, between the two. Without sources the frames alone."""
    if not sources:
        return make_grid(frames, balanced_columns(len(frames), _FRAMES_PER_ROW), gap)
    legs: list[list[Image.Image]] = [[] for _ in sources[1:]]
    for number, frame in enumerate(frames):
        # In whole numbers, so that the frame of a source ends the leg to it.
        leg = (number * len(legs) - 1) // (len(frames) - 1)
        legs[max(leg, 0)].append(frame)
    columns = balanced_columns(max(map(len, legs)), _FRAMES_PER_ROW)
    rows = [
        _flanked(sources[i], make_grid(leg, columns, gap), sources[i + 1], 3 * gap)
        for i, leg in enumerate(legs)
    ]
    return _stacked(rows, 3 * gap)


def balanced_columns(count: int, most: int) -> int:
    """Columns of a grid of `count` pictures with rows of about equal length, of up to `most`
    pictures, or of more if the grid would be higher than wide."""
    longest = max(most, math.ceil(math.sqrt(count)))
    return math.ceil(count / math.ceil(count / longest))


def _flanked(
    left: Image.Image, middle: Image.Image, right: Image.Image | None, gap: int
) -> Image.Image:
    """`left` at the top and `right` at the bottom of `middle`, which is at least as high."""
    parts = [left, middle] if right is None else [left, middle, right]
    width = sum(part.width for part in parts) + gap * (len(parts) - 1)
    sheet = Image.new("RGB", (width, middle.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(middle, (left.width + gap, 0))
    if right is not None:
        sheet.paste(right, (width - right.width, middle.height - right.height))
    return sheet


def _stacked(rows: Sequence[Image.Image], gap: int) -> Image.Image:
    """`rows` below each other."""
    height = sum(row.height for row in rows) + gap * (len(rows) - 1)
    sheet = Image.new("RGB", (max(row.width for row in rows), height), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + gap
    return sheet
