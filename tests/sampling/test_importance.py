"""Choosing candidates by weight: exact targets, against enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from pixelgen.sampling import sample
from pixelgen.sampling.importance import log_weights, resample

from .networks import baseline, gated, network, uniforms


def test_candidates_are_chosen_as_often_as_they_weigh() -> None:
    p = torch.tensor([0.5, 0.0, 0.1, 0.4], dtype=torch.float64)
    numbers = (torch.arange(1000) + 0.5) / 1000
    place, effective = resample((p.log() + 700).expand(1000, 4), numbers)
    assert torch.bincount(place, minlength=4).tolist() == [500, 0, 100, 400]
    torch.testing.assert_close(effective, (1 / p.square().sum()).expand(1000))
    same, all_of_them = resample(torch.zeros(2, 8), torch.tensor([0.0, 1.0]))
    assert same.tolist() == [0, 7]
    assert all_of_them.tolist() == pytest.approx([8, 8])


def test_only_known_values_weigh() -> None:
    log_prob = torch.arange(-8.0, 0.0).view(2, 1, 2, 2)
    mask = torch.tensor([[[True, False], [False, True]]])
    assert log_weights(log_prob, mask).tolist() == [-13, -5]


def distance(counted: Tensor, exact: Tensor) -> float:
    """Total variation between frequencies and probabilities."""
    return float((counted / counted.sum() - exact).abs().sum() / 2)


GRIDS: dict[str, Any] = {
    "groups": gated(channels=1, height=2, width=3, levels=3, layers=1),
    "patch": gated(channels=1, height=2, width=4, levels=2, patch=2, channel_order="head"),
    "baseline": baseline(channels=2, height=2, width=2, levels=2),
}


@pytest.mark.parametrize("name", GRIDS)
def test_refined_completions_are_drawn_given_all_that_is_known(name: str) -> None:
    """Of a tiny grid with a hole, the frequencies of all completions against p(hidden | known),
    found by enumeration."""
    config = GRIDS[name]
    model = network(config)
    with torch.no_grad():  # what comes later depends on the hole more
        for parameter in model.parameters():
            parameter.mul_(1.4)
    shape = (config.channels, config.height, config.width)
    known = torch.randint(config.levels, shape, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(shape, dtype=torch.bool)
    mask[:, 0, :3] = False
    places = mask.flatten().logical_not().nonzero()[:, 0]
    every = known.flatten().repeat(config.levels ** len(places), 1)
    every[:, places] = torch.tensor(
        list(itertools.product(range(config.levels), repeat=len(places)))
    )
    with torch.no_grad():
        exact = model.log_prob(every.view(-1, *shape)).double().flatten(1).sum(1).softmax(0)
    digits = config.levels ** torch.arange(len(places) - 1, -1, -1)

    results, each = 3000, 32
    numbers = uniforms(config, results * each)
    x = sample(model, None, numbers, known=known, known_mask=mask)
    assert (x[:, mask] == known[mask]).all()
    with torch.no_grad():
        weights = log_weights(model.log_prob(x), mask).view(results, each)
    chance = torch.rand(results, generator=torch.Generator().manual_seed(2))
    place, effective = resample(weights, chance)
    codes = (x.flatten(1)[:, places] * digits).sum(1).view(results, each)
    chosen = codes.gather(1, place[:, None])[:, 0]
    assert 1 <= float(effective.min()) <= float(effective.max()) <= each

    size = len(exact)
    refined = distance(torch.bincount(chosen, minlength=size), exact)
    plain = distance(torch.bincount(codes.flatten(), minlength=size), exact)
    # Weighting every candidate has no noise of choosing: what is left is that of drawing.
    share = torch.zeros(size, dtype=torch.float64)
    share.index_add_(0, codes.flatten(), weights.flatten().softmax(0))
    weighted = distance(share, exact)
    assert weighted < 0.01
    assert plain > 10 * weighted
    # 3000 draws from the exact distribution itself are about 0.03 away from it.
    assert refined < 0.05
