"""Grids and enlargement."""

from __future__ import annotations

import pytest
from PIL import Image

from pixelgen.imaging import enlarge, make_grid, square_columns, stack_rows


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_square_columns(count: int, columns: int) -> None:
    assert square_columns(count) == columns


def test_grid_places_pictures_in_reading_order() -> None:
    colours = [(10, 0, 0), (20, 0, 0), (30, 0, 0)]
    grid = make_grid([Image.new("RGB", (4, 3), c) for c in colours], 2, gap=1)
    assert grid.size == (9, 7)
    assert [grid.getpixel(xy) for xy in [(0, 0), (5, 0), (0, 4)]] == colours
    assert grid.getpixel((4, 0)) == grid.getpixel((5, 4)) == (255, 255, 255)


def test_a_single_picture_and_grey_ones() -> None:
    grey = Image.new("L", (4, 3), 7)
    assert make_grid([grey], 5) is grey
    assert make_grid([grey, grey], 5).getpixel((0, 0)) == (7, 7, 7)


def test_rows_of_different_sizes() -> None:
    small, large = Image.new("RGB", (4, 3), (9, 0, 0)), Image.new("RGB", (6, 5), (8, 0, 0))
    sheet = stack_rows([[small, small, small], [large, large]], gap=1)
    assert sheet.size == (14, 9)
    assert [sheet.getpixel(xy) for xy in [(10, 0), (0, 4), (12, 8)]] == [
        (9, 0, 0),
        (8, 0, 0),
        (8, 0, 0),
    ]
    assert sheet.getpixel((4, 0)) == sheet.getpixel((13, 8)) == (255, 255, 255)


def test_enlarge() -> None:
    image = Image.new("RGB", (4, 3), "red")
    assert enlarge(image, 1) is image
    assert enlarge(image, 5, "lanczos").size == (20, 15)
