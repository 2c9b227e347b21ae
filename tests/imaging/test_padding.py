"""Whole pictures, made square by bars in the colour of their edges."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import InputError
from pixelgen.imaging import square
from pixelgen.imaging.padding import pad_square

RED, BLUE, GREEN = (200, 10, 20), (10, 20, 200), (0, 180, 0)


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def test_a_wide_picture_gets_bars_above_and_below() -> None:
    values = np.zeros((8, 16, 3), dtype=np.uint8)
    values[:] = RED
    values[2:6, :8] = BLUE
    padded = pixels(pad_square(Image.fromarray(values), 8))
    # Averaged down by 2 it is 8×4, with two rows of bars on each side.
    expected = np.full((8, 8, 3), RED, dtype=np.uint8)
    expected[3:5, :4] = BLUE
    assert (padded == expected).all()


def test_a_high_picture_gets_bars_at_its_sides_in_the_median_of_its_edges() -> None:
    values = np.zeros((6, 3, 3), dtype=np.uint8)
    values[:] = GREEN
    values[:2, 0] = RED  # touches an edge
    values[:, 1] = BLUE  # does not adjoin a bar
    padded = pixels(pad_square(Image.fromarray(values), 6))
    assert (padded[:, :1] == GREEN).all()
    assert (padded[:, 4:] == GREEN).all()
    assert (padded[:, 1:4] == values).all()


@pytest.mark.parametrize(("width", "height"), [(1, 200), (200, 1), (3, 5), (64, 63), (8, 8)])
@pytest.mark.parametrize("size", [8, 32])
def test_any_shape(width: int, height: int, size: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert pad_square(Image.fromarray(values), size).size == (size, size)


@pytest.mark.parametrize("side", [4, 8, 13, 24])
def test_a_square_picture_is_as_by_cropping(side: int) -> None:
    values = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    assert (pixels(pad_square(image, 8)) == pixels(square(image, 8))).all()


def test_modes() -> None:
    clear = Image.new("RGBA", (4, 8), (255, 0, 0, 0))
    assert (pixels(pad_square(clear, 8)) == 255).all()  # as all transparent pixels
    assert (pixels(pad_square(Image.new("L", (16, 4), 7), 8)) == 7).all()
    with pytest.raises(InputError):
        pad_square(Image.new("F", (4, 8)), 8)
