"""Where sources, portraits and frames stand on a sheet."""

from __future__ import annotations

import pytest
from PIL import Image

from pixelgen.imaging import path_sheet, portrait_sheet
from pixelgen.imaging.sheets import balanced_columns

WHITE = (255, 255, 255)


def plain(*colours: int) -> list[Image.Image]:
    """Pictures of 4×4 pixels, of these reds."""
    return [Image.new("RGB", (4, 4), (colour, 0, 0)) for colour in colours]


def reds(sheet: Image.Image, row: int = 0) -> list[int]:
    """The pictures in a row of the sheet from left to right, by their red."""
    line = [sheet.getpixel((x, row)) for x in range(sheet.width)]
    starts = [p for p, before in zip(line, [WHITE, *line], strict=False) if p != WHITE == before]
    return [int(p[0]) for p in starts]  # type: ignore[index]


@pytest.mark.parametrize(
    ("count", "columns"),
    [(1, 1), (8, 8), (9, 5), (16, 8), (17, 6), (64, 8), (65, 9), (100, 10), (1000, 32)],
)
def test_rows_are_about_equally_long(count: int, columns: int) -> None:
    assert balanced_columns(count, 8) == columns


def test_portraits_stand_beside_their_source() -> None:
    sheet = portrait_sheet(plain(1), plain(10, 20), gap=2)
    assert sheet.size == (4 + 6 + 4 + 2 + 4, 4)
    assert reds(sheet) == [1, 10, 20]
    assert sheet.crop((4, 0, 10, 4)).getcolors() == [(24, WHITE)]


def test_many_portraits_and_several_sources() -> None:
    sheet = portrait_sheet(plain(1, 2, 3), plain(*range(10, 20)), gap=2)
    assert sheet.height == 4 + 2 + 4
    assert reds(sheet) == [1, 2, 10, 11, 12, 13, 14]
    assert reds(sheet, 6) == [3, 15, 16, 17, 18, 19]


def test_frames_stand_between_the_two_ends() -> None:
    sheet = path_sheet(plain(1, 2), plain(*range(10, 19)), gap=2)
    assert sheet.height == 4
    assert reds(sheet) == [1, *range(10, 19), 2]
    long = path_sheet(plain(1, 2), plain(*range(10, 30)), gap=2)
    assert reds(long) == [1, *range(10, 20)]
    assert reds(long, 6) == [*range(20, 30), 2]


@pytest.mark.parametrize(
    ("frames", "first", "second"),
    [(3, [10, 11], [12]), (5, [10, 11, 12], [13, 14]), (6, [10, 11, 12], [13, 14, 15])],
)
def test_every_leg_of_a_path_is_a_row(frames: int, first: list[int], second: list[int]) -> None:
    sheet = path_sheet(plain(1, 2, 3), plain(*range(10, 10 + frames)), gap=2)
    assert sheet.height == 4 + 6 + 4
    assert reds(sheet) == [1, *first, 2]
    assert reds(sheet, 10) == [2, *second, 3]


def test_frames_without_sources() -> None:
    assert reds(path_sheet([], plain(*range(10, 19)))) == [*range(10, 19)]
