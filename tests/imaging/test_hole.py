"""Holes in photos: where they are, and that nothing of what they hide gets out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import cut_hole, grey_out, parse_box, parse_keep, square

DRAW = np.random.default_rng(0)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(DRAW.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(64, 64), (100, 70), (40, 90), (5, 7)])
def test_nothing_hidden_is_the_square_picture(size: tuple[int, int]) -> None:
    photo = noise(*size)
    hole = cut_hole(photo, 16, mask=Image.new("L", size))
    assert not hole.hidden.any()
    assert hole.photo.tobytes() == hole.around.tobytes() == square(photo, 16).tobytes()


@pytest.mark.parametrize("size", [(100, 70), (70, 100), (9, 12)])
def test_what_is_hidden_leaves_no_trace(size: tuple[int, int]) -> None:
    first, values = noise(*size), (DRAW.random(size[::-1]) < 0.4)
    mask = Image.fromarray((values * 255).astype(np.uint8))
    other = np.where(values[..., None], np.asarray(noise(*size)), np.asarray(first))
    a, b = (cut_hole(p, 16, mask=mask) for p in (first, Image.fromarray(other)))
    assert a.photo.tobytes() != b.photo.tobytes()
    assert a.around.tobytes() == b.around.tobytes()
    assert (a.hidden == b.hidden).all()
    assert 0 < a.hidden.mean() < 1


def test_what_is_not_kept_leaves_no_trace() -> None:
    values = np.asarray(noise(16, 16))
    other = values.copy()
    other[8:] = np.asarray(noise(16, 8))
    keep = parse_keep("top:50%")
    a, b = (cut_hole(Image.fromarray(v), 16, keep=keep).around for v in (values, other))
    assert a.tobytes() == b.tobytes()
    assert (np.asarray(a)[:8] == values[:8]).all()


def test_pixels_outside_of_the_hole_are_as_without_it() -> None:
    photo = noise(96, 64)
    hole = cut_hole(photo, 16, box=(32, 8, 16, 16))
    # The middle square starts at x = 16; a pixel is 4×4 of the photo's.
    expected = np.zeros((16, 16), dtype=bool)
    expected[2:6, 4:8] = True
    assert (hole.hidden == expected).all()
    whole, around = np.asarray(square(photo, 16)), np.asarray(hole.around)
    assert (whole == around)[~expected].all()
    assert (np.asarray(grey_out(hole.photo, hole.hidden))[expected] == 128).all()


def test_half_of_a_pixel_hides_it() -> None:
    photo = noise(64, 64)
    for width, hidden in ((1, 0), (2, 4), (3, 4), (6, 8)):
        assert cut_hole(photo, 16, box=(0, 0, width, 16)).hidden.sum() == hidden


def test_the_whole_photo_counts_when_it_is_squeezed() -> None:
    photo = noise(128, 64)
    hole = cut_hole(photo, 16, "stretch", box=(0, 0, 64, 999))
    assert hole.hidden[:, :8].all()
    assert not hole.hidden[:, 8:].any()


def test_white_and_transparent_parts_of_a_mask_are_hidden() -> None:
    photo = noise(16, 16)
    white = Image.new("RGB", (16, 16), "black")
    white.paste((255, 255, 255), (0, 0, 8, 16))
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 8, 16))
    holes = [cut_hole(photo, 16, mask=mask).hidden for mask in (white, clear, white.convert("1"))]
    assert (holes[0] == (np.arange(16) < 8)).all()
    assert (holes[0] == holes[1]).all()
    assert (holes[0] == holes[2]).all()


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("top:50%", slice(8, 16), slice(0, 16)),
        ("Bottom: 25 %", slice(0, 12), slice(0, 16)),
        ("left:12.5%", slice(0, 16), slice(2, 16)),
        ("right:75", slice(0, 16), slice(0, 4)),
        ("top:0%", slice(0, 16), slice(0, 16)),
        ("top:100%", slice(0, 0), slice(0, 0)),
        ("top:3%", slice(0, 16), slice(0, 16)),
        ("top:4%", slice(1, 16), slice(0, 16)),
    ],
)
def test_keep(text: str, rows: slice, columns: slice) -> None:
    expected = np.zeros((16, 16), dtype=bool)
    expected[rows, columns] = True
    hidden = cut_hole(noise(30, 20), 16, keep=parse_keep(text)).hidden
    assert (hidden == expected).all()


def test_the_fill_carries_on_what_is_around() -> None:
    photo = Image.new("RGB", (32, 32), (10, 200, 60))
    photo.paste((255, 0, 255), (8, 8, 24, 24))
    hole = cut_hole(photo, 32, box=(8, 8, 16, 16))
    assert np.abs(np.asarray(hole.around, int) - (10, 200, 60)).max() <= 3
    everything = cut_hole(photo, 32, box=(0, 0, 32, 32))
    assert everything.hidden.all()
    assert set(everything.around.tobytes()) == {128}


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "a,b,c,d", "1,2,3,4,5", "1,2,0,4", "1,2,-3,4", "1.5,2,3,4"]
)
def test_bad_boxes(text: str) -> None:
    with pytest.raises(PixelgenError) as caught:
        parse_box(text)
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    "text", ["", "top", "top:", "top:101%", "middle:50%", "top:-1%", "top:50%%"]
)
def test_bad_parts(text: str) -> None:
    with pytest.raises(PixelgenError) as caught:
        parse_keep(text)
    assert isinstance(caught.value, UsageError)


def test_what_does_not_lie_on_the_photo() -> None:
    assert parse_box(" -4, 0,8 ,8 ") == (-4, 0, 8, 8)
    assert cut_hole(noise(16, 16), 16, box=(-4, 0, 8, 8)).hidden.sum() == 4 * 8
    for box in ((16, 0, 4, 4), (0, 20, 4, 4), (-9, 0, 9, 4)):
        with pytest.raises(PixelgenError, match="outside the picture, which has 16×16"):
            cut_hole(noise(16, 16), 16, box=box)
    with pytest.raises(PixelgenError, match="the mask has 8×9 pixels, the picture 16×17"):
        cut_hole(noise(16, 17), 16, mask=Image.new("L", (8, 9)))
