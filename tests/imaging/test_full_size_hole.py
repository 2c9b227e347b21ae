"""Holes filled in the photo itself: what changes, what does not, and which square is completed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.imaging import cut_around_hole, parse_keep
from pixelgen.imaging.hole import Hole, square_around

DRAW = np.random.default_rng(0)
BLUE = (20, 60, 200)


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    return Image.fromarray(DRAW.integers(0, 256, (height, width, channels), dtype=np.uint8))


def filled(hole: Hole, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The filled photo, and the photo as it was."""
    assert hole.full is not None
    return np.asarray(hole.full.fill(image)), np.asarray(hole.full.photo)


@pytest.mark.parametrize(
    ("bounds", "photo", "square"),
    [
        ((600, 400, 700, 450), (1200, 800), (550, 325, 750, 525)),  # half of 100 on every side
        ((600, 400, 610, 410), (1200, 800), (589, 389, 621, 421)),  # no smaller than the weights
        ((0, 0, 100, 100), (1200, 800), (0, 0, 150, 150)),  # no room at two sides
        ((0, 300, 100, 400), (1200, 800), (0, 250, 200, 450)),  # the other axis decides
        ((1190, 790, 1200, 800), (1200, 800), (1168, 768, 1200, 800)),
        ((0, 0, 1200, 800), (1200, 800), (0, 0, 1200, 1200)),  # all: beyond the lower edge
        ((0, 0, 800, 1200), (800, 1200), (0, 0, 1200, 1200)),  # or the right one
        ((100, 300, 1000, 320), (1200, 800), (0, 0, 1200, 1200)),
        ((2, 2, 4, 4), (20, 10), (0, 0, 10, 10)),  # smaller than the weights
    ],
)
def test_the_square(
    bounds: tuple[int, int, int, int], photo: tuple[int, int], square: tuple[int, int, int, int]
) -> None:
    assert square_around(bounds, photo, 32, "crop") == square


def test_the_box_that_is_stretched() -> None:
    def around(*bounds: int) -> Any:
        return square_around(bounds, (1200, 800), 32, "stretch")  # type: ignore[arg-type]

    assert around(600, 400, 700, 420) == (550, 390, 750, 430)
    assert around(0, 0, 1200, 800) == (0, 0, 1200, 800)
    assert around(0, 400, 1200, 800) == (0, 200, 1200, 800)


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    "box",
    [
        (600, 300, 200, 150),
        (0, 0, 90, 40),
        (1100, 700, 500, 500),
        (0, 400, 1200, 400),
        (5, 5, 3, 1),
        (0, 0, 1200, 800),
    ],
)
def test_outside_of_the_hole_nothing_changes(
    fit: Any, channels: int, box: tuple[int, int, int, int]
) -> None:
    photo = noise(1200, 800, channels)
    hole = cut_around_hole(photo, 16, fit, box=box)
    after, before = filled(hole, Image.new("RGB", (16, 16), BLUE))
    assert before.tobytes() == photo.tobytes()
    assert after.shape == before.shape
    x, y, width, height = box
    inside = np.zeros((800, 1200), dtype=bool)
    inside[y : y + height, x : x + width] = True
    assert (after[~inside] == before[~inside]).all()
    assert (after[inside][:, :3] != before[inside][:, :3]).any(1).mean() > 0.9
    if channels == 4:
        assert (after[inside][:, 3] == 255).all()


def test_several_holes_are_filled_from_one_square() -> None:
    photo, mask = noise(600, 400), Image.new("L", (600, 400))
    for box in ((10, 10, 60, 60), (500, 300, 590, 390)):
        mask.paste(255, box)
    hole = cut_around_hole(photo, 16, mask=mask)
    assert hole.square == (0, 0, 600, 600)
    after, before = filled(hole, Image.new("RGB", (16, 16), BLUE))
    outside = np.asarray(mask) == 0
    assert (after[outside] == before[outside]).all()
    assert (after[~outside] != before[~outside]).any(1).all()
    assert hole.coarse is not None
    assert "600×600 pixels around the hole with 16×16" in hole.coarse
    assert hole.coarse.endswith("fill holes that lie apart one after the other")
    one = cut_around_hole(photo, 16, box=(0, 0, 600, 400)).coarse
    assert one is not None
    assert one.endswith("little detail")
    assert cut_around_hole(photo, 16, box=(9, 9, 60, 60)).coarse is None


def test_the_completion_fades_in_from_the_border() -> None:
    """Over red, a blue completion: the border of the hole is red, its middle blue."""
    photo = Image.new("RGB", (320, 320), "red")
    hole = cut_around_hole(photo, 16, box=(80, 80, 160, 160))
    assert hole.square == (0, 0, 320, 320)
    after, _ = filled(hole, Image.new("RGB", (16, 16), "blue"))
    blue = after[160, 80:160, 2].astype(int)
    assert blue[0] < 20
    assert (np.diff(blue) >= 0).all()
    assert (blue[21:] == 255).all()  # as far as one of its pixels is wide
    assert (after[160, 79] == (255, 0, 0)).all()


def test_there_is_no_border_at_the_edge_of_the_photo() -> None:
    hole = cut_around_hole(Image.new("RGB", (320, 320), "red"), 16, box=(0, 0, 160, 320))
    after, _ = filled(hole, Image.new("RGB", (16, 16), "blue"))
    assert (after[:, :120] == (0, 0, 255)).all()


def test_at_the_size_of_the_weights_pixels_stay_as_they_are_drawn() -> None:
    photo, drawn = noise(60, 40), noise(16, 16)
    hole = cut_around_hole(photo, 16, box=(30, 20, 8, 6))
    left, top, right, bottom = hole.square
    assert (right - left, bottom - top) == (16, 16)
    after, _ = filled(hole, drawn)
    shown = Image.fromarray(after).crop((30, 20, 38, 26))
    assert shown.tobytes() == drawn.crop((30 - left, 20 - top, 38 - left, 26 - top)).tobytes()


@pytest.mark.parametrize("size", [(300, 200), (90, 500), (12, 9)])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_what_is_hidden_leaves_no_trace(size: tuple[int, int], fit: Any) -> None:
    first, hidden = noise(*size), np.zeros(size[::-1], dtype=bool)
    hidden[2 : size[1] // 2, 3 : size[0] // 2 + 2] = True
    other = np.where(hidden[..., None], np.asarray(noise(*size)), np.asarray(first))
    mask, image = Image.fromarray(hidden), noise(16, 16)
    holes = [
        cut_around_hole(photo, 16, fit, mask=mask) for photo in (first, Image.fromarray(other))
    ]
    assert holes[0].around.tobytes() == holes[1].around.tobytes()
    after = [filled(hole, image)[0] for hole in holes]
    assert (after[0] == after[1]).all()


def test_what_is_beyond_the_photo_is_hidden() -> None:
    photo = noise(64, 32)
    hole = cut_around_hole(photo, 16, keep=parse_keep("left:50%"))
    assert hole.square == (16, 0, 64, 48)  # a pixel of the weights is 3×3 of the photo's
    assert hole.hidden[11:].all()
    assert hole.hidden[:11, 5:].all()
    assert not hole.hidden[:11, :5].any()


def test_nothing_to_fill() -> None:
    photo = noise(64, 32)
    hole = cut_around_hole(photo, 16, mask=Image.new("L", (64, 32)))
    assert hole.extreme == "nothing that the weights see is hidden"
    after, before = filled(hole, noise(16, 16))
    assert (after == before).all()


def test_a_thin_hole_gets_the_colours_around_it() -> None:
    photo, mask = Image.new("RGB", (320, 320), "red"), Image.new("L", (320, 320))
    photo.paste("white", (0, 160, 320, 162))
    mask.paste(255, (0, 160, 320, 162))
    hole = cut_around_hole(photo, 16, mask=mask)
    assert hole.extreme is not None
    assert "too thin for the weights to see" in hole.extreme
    after, _ = filled(hole, hole.around)
    assert (after == (255, 0, 0)).all()


def test_in_place_each_completion_replaces_the_last() -> None:
    hole = cut_around_hole(noise(64, 32), 16, box=(8, 8, 20, 20))
    assert hole.full is not None
    images = [noise(16, 16) for _ in range(2)]
    copies = [hole.full.fill(image).tobytes() for image in images]
    assert [hole.full.fill(image, in_place=True).tobytes() for image in images] == copies


def test_pictures_of_any_mode() -> None:
    for mode in ("1", "L", "LA", "P", "CMYK", "I;16"):
        photo = noise(40, 30).convert("L").convert(mode)
        hole = cut_around_hole(photo, 16, box=(8, 8, 20, 20))
        assert hole.full is not None
        assert hole.full.photo.mode == ("RGBA" if mode == "LA" else "RGB")
        assert hole.full.fill(noise(16, 16).convert("L")).size == (40, 30)
    with pytest.raises(UsageError, match="fit must be crop or stretch"):
        cut_around_hole(photo, 16, "pad", box=(8, 8, 20, 20))  # type: ignore[arg-type]
