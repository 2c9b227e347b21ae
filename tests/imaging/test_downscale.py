"""Means over areas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.data.images import average_down
from pixelgen.imaging import square
from pixelgen.imaging.downscale import area_means

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize("factor", [2, 3, 6])
def test_whole_factors_are_as_in_training(factor: int) -> None:
    values = DRAW.integers(0, 256, (36, 36, 3), dtype=np.uint8)
    trained = average_down(torch.from_numpy(values).permute(2, 0, 1), factor)
    made = np.asarray(square(Image.fromarray(values), 36 // factor))
    assert (made == trained.permute(1, 2, 0).numpy()).all()


def test_a_pixel_counts_by_its_share() -> None:
    values = np.array([[[0.0], [6.0], [12.0]]])
    assert area_means(values, 1, 2).ravel().tolist() == pytest.approx([2, 10])
    assert area_means(values, 2, 1).ravel().tolist() == pytest.approx([6, 6])
    whole = DRAW.random((50, 70, 2))
    assert area_means(whole, 7, 9).mean((0, 1)) == pytest.approx(whole.mean((0, 1)))


def test_a_long_line_takes_no_more_memory_than_it_is_long() -> None:
    values = DRAW.integers(0, 256, (1, 2_000_000, 1), dtype=np.uint8)
    found = area_means(values, 1, 1000).ravel()
    assert found == pytest.approx(values.reshape(1000, 2000).mean(1))
    assert area_means(values, 3, 7).mean() == pytest.approx(values.mean())


def test_what_does_not_count_has_no_influence() -> None:
    values = DRAW.random((10, 10, 3))
    counts = DRAW.random((10, 10)) < 0.5
    counts[:5, :5] = False
    means = area_means(values, 2, 2, counts)
    assert means[1, 1] == pytest.approx(values[5:, 5:][counts[5:, 5:]].mean(0))
    assert not means[0, 0].any()
    values[~counts] = 1e9
    assert (area_means(values, 2, 2, counts) == means).all()
    assert area_means(values, 2, 2, np.ones((10, 10))) == pytest.approx(area_means(values, 2, 2))
