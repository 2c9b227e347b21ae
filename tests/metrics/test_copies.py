"""A copy stays a copy in other light, mirrored or moved; another photo of the person is none."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.metrics.copies import ORDINARY, SAME, are_copies, copy_distance, distances

PEOPLE, EACH = 10, 8


def photos(side: int = 64, seed: int = 0) -> Tensor:
    """Smooth pictures, no two alike."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randn(PEOPLE * EACH, 3, 6, 6, generator=draw)
    smooth = F.interpolate(coarse, (side, side), mode="bicubic")
    return (128 + 35 * smooth).clamp(0, 255).to(torch.uint8)


WHO = torch.arange(PEOPLE).repeat_interleave(EACH)
SOURCES = torch.arange(0, PEOPLE * EACH, EACH)


def blurred(images: Tensor) -> Tensor:
    small = F.interpolate(images.float(), (16, 16), mode="area")
    return F.interpolate(small, (64, 64), mode="bilinear")


def noisy(images: Tensor) -> Tensor:
    return images + 20 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))


CHANGES = {
    "nothing": lambda x: x.float(),
    "darker": lambda x: 0.6 * x.float(),
    "paler": lambda x: 0.5 * x.float() + 100,
    "warmer": lambda x: x.float() * torch.tensor([1.1, 1.0, 0.9])[:, None, None],
    "less sharp": blurred,
    "noisy": noisy,
    "mirrored": lambda x: x.flip(3).float(),
    "moved": lambda x: x.roll((2, -2), (2, 3)).float(),
    "all of it": lambda x: noisy(0.7 * blurred(x.flip(3)) + 20),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found(change: str) -> None:
    real = photos()
    limit = copy_distance(real, WHO)
    made = CHANGES[change](real[SOURCES]).clamp(0, 255).to(torch.uint8)
    assert are_copies(made, SOURCES, real, limit).all()
    # Copies of somebody else's photo are not copies of the source.
    assert not are_copies(made, SOURCES.roll(1), real, limit).any()


def test_other_photos_are_no_copies() -> None:
    real = photos()
    limit = copy_distance(real, WHO)
    assert not are_copies(photos(seed=1)[SOURCES], SOURCES, real, limit).any()
    rows = torch.arange(len(real))
    others = rows[rows % EACH > 0]
    source = SOURCES[WHO[others]]
    assert are_copies(real[others], source, real, limit, others).double().mean() <= 0.02
    # With themselves among the photos they are nearest to these.
    assert not are_copies(real[others], source, real, limit).any()


def test_the_limit_is_what_one_pair_in_a_hundred_is_below() -> None:
    real = photos()
    apart = distances(real, real)
    first, second = torch.triu_indices(len(real), len(real), 1)
    pairs = apart[first, second][WHO[first] == WHO[second]]
    limit = copy_distance(real, WHO)
    assert (pairs < limit).double().mean() <= 0.01
    assert (pairs <= limit).double().mean() > 0.01
    assert 0 < limit < float(pairs.median())


def test_a_photo_that_is_there_twice_does_not_hide_copies() -> None:
    real = photos()
    real[SOURCES + 2] = real[SOURCES + 1]
    apart = distances(real, real)
    first, second = torch.triu_indices(len(real), len(real), 1)
    pairs = apart[first, second][WHO[first] == WHO[second]]
    assert (pairs < SAME).double().mean() > ORDINARY
    limit = copy_distance(real, WHO)
    assert limit == pytest.approx(float(pairs[pairs > SAME].quantile(ORDINARY)), rel=0.05)
    assert are_copies(real[SOURCES], SOURCES, real, limit).all()
    alone = torch.tensor([0, 0])
    limit = copy_distance(real[:1].repeat(2, 1, 1, 1), alone)
    assert are_copies(real[:1], alone[:1], real, limit).all()


@pytest.mark.parametrize("side", [2, 4, 16, 32, 72])
def test_pictures_of_any_size(side: int) -> None:
    real = photos(side)
    apart = distances(real, real)
    assert apart.shape == (len(real), len(real))
    assert apart.diagonal().max() < 2e-3
    assert apart.max() <= 2
    flat = torch.full((1, 3, side, side), 90, dtype=torch.uint8)
    assert distances(flat, real).isfinite().all()
