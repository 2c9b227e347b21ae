"""Colours and legends of maps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import check_rows, heat_sheet
from pixelgen.imaging.heatmap import Scale, colours


def test_colours_become_lighter_in_equal_steps() -> None:
    srgb = colours() / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > 0).all()
    # CIE lightness, another model than the one that made them, agrees on where the middle is.
    lightness = 116 * np.cbrt(luminance) - 16
    assert 35 < lightness[128] < 60
    assert lightness[-1] > 95
    assert len(np.unique(colours(), axis=0)) == 256


@pytest.mark.parametrize(
    ("highest", "top", "step"),
    [(1, 1, 0.2), (4.1, 5, 1), (24, 25, 5), (40, 40, 10), (96, 100, 20), (0.013, 0.015, 0.005)],
)
def test_scales_have_round_numbers(highest: float, top: float, step: float) -> None:
    scale = Scale.from_maps([np.full((4, 4), highest), np.zeros((2, 2))])
    assert (scale.top, scale.step) == pytest.approx((top, step))
    assert not scale.exceeded


def test_extreme_values_do_not_stretch_the_scale() -> None:
    values = np.ones((32, 32))
    values[3, 4] = 90
    scale = Scale.from_maps([values])
    assert scale.top == pytest.approx(1)
    assert scale.exceeded
    sampled = np.asarray(scale.colourise(np.array([[0.0, 0.5, 1.0, 90.0]])))[0]
    assert (sampled == colours()[[0, 128, 255, 255]]).all()
    assert Scale.from_maps([np.zeros((2, 2))]).top > 0


def test_impossible_values_have_the_last_colour() -> None:
    values = np.array([[np.inf, 1.0], [1.0, 1.0]])
    for maps, top in (([values], 1), ([np.full((2, 2), np.inf)], 1)):
        scale = Scale.from_maps(maps)
        assert scale.top == pytest.approx(top)
        assert scale.exceeded
        assert (np.asarray(scale.colourise(maps[0]))[0, 0] == colours()[255]).all()


def test_a_sheet_holds_pictures_beside_their_maps() -> None:
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    maps = [np.arange(16.0).reshape(4, 4), np.full((4, 4), 15.0)]
    sheet = heat_sheet(pictures, maps, ["one", "two, with a far too long name" * 9], "bits")
    assert sheet.size == (2 * 256 + 3 * 8, 48 + 2 * (256 + 2 * 8 + 14))
    pixels = np.asarray(sheet)
    for row, colour in ((0, (255, 0, 0)), (1, (0, 128, 0))):
        top = 48 + row * 286
        assert (pixels[top : top + 256, 8:264] == colour).all()
        heat = pixels[top + 32 : top + 256 : 64, 272 + 32 : 272 + 256 : 64]
        assert (heat == np.asarray(Scale.from_maps(maps).colourise(maps[row]))).all()
    # Something dark is written in the legend and in the captions, and nothing beside the sheet.
    assert (pixels[24:44] < 100).any()
    assert (pixels[48 + 256 : 48 + 286] < 100).any()
    assert (pixels[:, :8][48:] == 255).all()


def test_too_many_rows() -> None:
    check_rows(600, 32)
    for count in (1000, 10**6):
        with pytest.raises(PixelgenError, match="too many for one heat map") as caught:
            check_rows(count, 32)
        assert isinstance(caught.value, UsageError)
