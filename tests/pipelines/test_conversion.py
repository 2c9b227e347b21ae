"""Tensors and arrays as photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.pipelines.conversion import one_picture, pictures_of

COLOUR = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)  # [H, W, C]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (COLOUR, 1),
        (COLOUR[None], 1),
        (torch.from_numpy(COLOUR).permute(2, 0, 1), 1),
        (torch.from_numpy(COLOUR).permute(2, 0, 1).long().expand(3, 3, 2, 4), 3),
        (np.stack([COLOUR] * 2).astype(np.int64), 2),
        ([COLOUR, torch.from_numpy(COLOUR).permute(2, 0, 1)[None]], 2),
        (Image.fromarray(COLOUR), 1),
    ],
)
def test_all_forms_give_the_same_picture(given: Any, count: int) -> None:
    photos = pictures_of(given)
    assert len(photos) == count
    for photo in photos:
        assert isinstance(photo, Image.Image)
        assert np.array_equal(np.asarray(photo), COLOUR)


def test_grey_ones_and_paths() -> None:
    grey = COLOUR[..., 0]
    for given in (grey, grey[..., None], torch.from_numpy(grey)[None]):
        photo = one_picture(given)
        assert isinstance(photo, Image.Image)
        assert photo.mode == "L"
        assert np.array_equal(np.asarray(photo), grey)
    assert pictures_of(["a.png", Path("b.png")]) == ["a.png", Path("b.png")]
    assert pictures_of("a.png") == ["a.png"]
    assert pictures_of([]) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.rand(3, 4, 4), "whole numbers 0 … 255, not float32"),
        (torch.rand(3, 4, 4).bfloat16(), "whole numbers 0 … 255, not bfloat16"),
        (torch.zeros(4, 4).byte(), r"shape \[C, H, W\] or"),
        (torch.full((3, 2, 2), 256), "not 256 … 256"),
        (torch.zeros(2, 4, 4).byte(), "1 or 3 channels"),
        (np.zeros((3, 0, 3), np.uint8), "some pixels"),
        (np.zeros(5, np.uint8), r"shape \[H, W\]"),
        (np.zeros((2, 2, 3), bool), "not bool"),
    ],
)
def test_what_is_no_picture(given: Any, message: str) -> None:
    with pytest.raises(pixelgen.UsageError, match=message):
        pictures_of(given)


def test_one_picture_is_not_two() -> None:
    with pytest.raises(pixelgen.UsageError, match="one photo is needed, not 2"):
        one_picture(np.stack([COLOUR] * 2))


def test_weights_score_tensors_as_they_are(weights: Path) -> None:
    loaded = pixelgen.load(weights, "cpu").to("cpu")
    x = torch.randint(0, 256, (3, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    scores = loaded.score(x)
    mean = sum(score.bits_per_dim for score in scores) / 3
    assert mean == pytest.approx(pixelgen.evaluate(loaded.checkpoint.model, x).bits_per_dim)
    with pytest.raises(pixelgen.UsageError, match="no device 'nonsense'"):
        loaded.to("nonsense")
