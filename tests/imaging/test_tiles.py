"""Cut and joined, a picture is itself."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pixelgen.imaging import cut_tiles, join_tiles, shrink, tile_count


def picture(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(0)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (17, 9), (3, 1), (1, 40)])
def test_there_and_back(size: tuple[int, int]) -> None:
    image = picture(*size)
    tiles = cut_tiles(image, 8)
    assert len(tiles) == tile_count(*size, 8)
    assert {tile.size for tile in tiles} == {(8, 8)}
    assert join_tiles(tiles, *size).tobytes() == image.tobytes()


def test_edges_are_mirrored() -> None:
    tile = np.asarray(cut_tiles(picture(5, 8), 8)[0])
    assert (tile[:, 5:] == tile[:, 4:1:-1]).all()


def test_shrink() -> None:
    assert shrink(picture(40, 10), 20).size == (20, 5)
    assert shrink(picture(10, 400), 20).size == (1, 20)
    image = picture(40, 10)
    means = np.asarray(image, np.float64).reshape(5, 2, 20, 2, 3).mean((1, 3))
    assert (np.asarray(shrink(image, 20)) == np.floor(means + 0.5)).all()
    small = picture(20, 3)
    assert shrink(small, 20) is small
