"""Enlarging pictures by the learned upscaler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from pixelgen.errors import PixelgenError
from pixelgen.imaging import Resample, enlarge, upscaler

PORTRAIT = Path(__file__).parents[1] / "assets" / "female-6.jpg"


@pytest.fixture
def small() -> Image.Image:
    with Image.open(PORTRAIT) as photo:
        return photo.convert("RGB").resize((32, 32), Image.Resampling.BOX)


@pytest.fixture
def forget_network() -> Iterator[None]:
    upscaler._load_network.cache_clear()
    yield
    upscaler._load_network.cache_clear()


def error(image: Image.Image, other: Image.Image) -> float:
    """The mean squared difference of all values."""
    return float(np.square(np.asarray(image, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("scale", [2, 3, 4, 6])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_size_and_mode(small: Image.Image, scale: int, mode: str) -> None:
    image = small.crop((0, 0, 9, 5)).convert(mode)
    enlarged = enlarge(image, scale, "learned")
    assert (enlarged.mode, enlarged.size) == (mode, (9 * scale, 5 * scale))
    assert enlarge(image, 1, "learned") is image


def test_edges_come_closer_to_real_ones_than_by_lanczos() -> None:
    large = Image.new("RGB", (512, 512), (220, 210, 190))
    draw = ImageDraw.Draw(large)
    draw.ellipse((100, 75, 400, 350), fill=(180, 40, 30))
    draw.polygon([(50, 450), (250, 250), (450, 475)], fill=(20, 60, 120))
    real, small = (large.resize((side, side), Image.Resampling.BOX) for side in (128, 32))
    errors = {way: error(enlarge(small, 4, way), real) for way in get_args(Resample)}
    assert errors["learned"] < 0.9 * errors["lanczos"] < 0.9 * errors["nearest"]


def test_it_stays_the_same_picture(small: Image.Image) -> None:
    """Shrunk again, it is the small one, in its place."""
    again = enlarge(small, 4, "learned").resize(small.size, Image.Resampling.BOX)
    assert error(again, small) < 80
    flat = Image.new("RGB", (12, 12), (200, 120, 40))
    assert error(enlarge(flat, 2, "learned"), flat.resize((24, 24))) < 10


def test_tiles_leave_no_seams(small: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.asarray(enlarge(small, 4, "learned"), int)
    monkeypatch.setattr(upscaler, "_TILE", 13)
    assert np.abs(np.asarray(enlarge(small, 4, "learned"), int) - whole).max() <= 1


def test_pixels_do_not_depend_on_threads(small: Image.Image) -> None:
    before, pixels = torch.get_num_threads(), set()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            pixels.add(enlarge(small, 4, "learned").tobytes())
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert len(pixels) == 1


@pytest.mark.usefixtures("forget_network")
def test_broken_weights_are_one_clear_error(
    small: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (None, b"broken"):
        path = tmp_path / "a.safetensors"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(upscaler, "_WEIGHTS", path)
        with pytest.raises(PixelgenError, match=r"^the upscaler does not load: [^\n]*$"):
            enlarge(small, 2, "learned")
