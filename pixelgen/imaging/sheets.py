"""Sheets of portraits beside the photos that they were drawn from (the paper's Figures 4 and 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from pixelgen.imaging.grid import make_grid

_PORTRAITS_IN_A_ROW = 8
_FRAMES_IN_A_ROW = 12


def portrait_sheet(
    sources: Sequence[Image.Image], portraits: Sequence[Image.Image], gap: int = 2
) -> Image.Image:
    """`sources` at the left, `portraits`, of the same size, in rows beside them."""
    columns = balanced_columns(len(portraits), _PORTRAITS_IN_A_ROW)
    rows = math.ceil(len(portraits) / columns)
    left = make_grid(sources, math.ceil(len(sources) / rows), gap)
    return _flanked(left, make_grid(portraits, columns, gap), None, 3 * gap)


def path_sheet(
    sources: Sequence[Image.Image], frames: Sequence[Image.Image], gap: int = 2
) -> Image.Image:
    """`frames` on the way through `sources`, of the same size, evenly spread: every leg from one
    source to the next begins a new row, between the two. Without sources the frames alone."""
    if not sources:
        return make_grid(frames, balanced_columns(len(frames), _FRAMES_IN_A_ROW), gap)
    legs: list[list[Image.Image]] = [[] for _ in sources[1:]]
    for number, frame in enumerate(frames):
        # In whole numbers, so that a frame that shows a source ends the leg to it.
        place = (number * len(legs) - 1) // (len(frames) - 1)
        legs[max(place, 0)].append(frame)
    columns = balanced_columns(max(map(len, legs)), _FRAMES_IN_A_ROW)
    rows = [
        _flanked(sources[i], make_grid(leg, columns, gap), sources[i + 1], 3 * gap)
        for i, leg in enumerate(legs)
    ]
    return _stacked(rows, 3 * gap)


def balanced_columns(count: int, most: int) -> int:
    """Columns of a grid of `count` pictures with about equally long rows, of up to `most` each, or
    of more where the grid would be higher than wide."""
    widest = max(most, math.ceil(math.sqrt(count)))
    return math.ceil(count / math.ceil(count / widest))


def _flanked(
    left: Image.Image, middle: Image.Image, right: Image.Image | None, gap: int
) -> Image.Image:
    """`left` at the top and `right` at the foot of `middle`, which is at least as high."""
    parts = [left, middle] if right is None else [left, middle, right]
    width = sum(part.width for part in parts) + gap * (len(parts) - 1)
    whole = Image.new("RGB", (width, middle.height), "white")
    whole.paste(left, (0, 0))
    whole.paste(middle, (left.width + gap, 0))
    if right is not None:
        whole.paste(right, (width - right.width, middle.height - right.height))
    return whole


def _stacked(rows: Sequence[Image.Image], gap: int) -> Image.Image:
    """`rows` below one another."""
    height = sum(row.height for row in rows) + gap * (len(rows) - 1)
    whole = Image.new("RGB", (max(row.width for row in rows), height), "white")
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height + gap
    return whole
