"""The probabilities of all pictures there are add up to one, with every head and condition."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
)
from pixelgen.models.conditioning import Condition

from .cases import PAIRS, all_pictures, random_condition, random_model

TINY: dict[str, Any] = {
    "height": 2,
    "width": 2,
    "features": 8,
    "output_features": 8,
    "layers": 1,
    "mixtures": 2,
}


def check_total(config: GridConfig, condition: Condition | None, seed: int = 0) -> None:
    """The sum over all pictures is one."""
    model = random_model(config, seed, gain=0.8)
    x = all_pictures(config)
    if condition is not None:
        condition = condition.repeat(len(x))
    with torch.no_grad():
        log_prob = model.log_prob(x, condition)
    assert log_prob.shape == x.shape
    assert log_prob.dtype == torch.float32
    assert (log_prob <= 1e-5).all()
    total = log_prob.double().flatten(1).sum(1)
    assert total.exp().sum().item() == pytest.approx(1, abs=1e-4)
    # Not by being uniform, and not by all the mass lying on one picture.
    assert total.std() > 0.1
    assert total.max() < -1e-3


@pytest.mark.parametrize("name", PAIRS)
def test_gated_probabilities_add_up_to_one(name: str) -> None:
    """2×2 pictures: 2 channels of 3 levels, or 1 channel in one patch; the grid is then 1×1×4."""
    settings = PAIRS[name]
    channels = 2 if settings["patch"] == 1 else 1
    config = GatedPixelCNNConfig(**TINY, **settings, channels=channels, levels=3)
    check_total(config, random_condition(config, 1))


@pytest.mark.parametrize("order", ["groups", "head", "likelihood"])
@pytest.mark.parametrize("given", [False, True])
def test_patches_beside_one_another(order: str, given: bool) -> None:
    """A 2×4 picture of bits in two patches."""
    config = GatedPixelCNNConfig(
        **{**TINY, "width": 4},
        channels=1,
        levels=2,
        patch=2,
        channel_order=order,  # type: ignore[arg-type]
        likelihood="logistic",
        classes=2,
    )
    check_total(config, Condition(torch.tensor([1])) if given else None)


@pytest.mark.parametrize("likelihood", ["softmax", "logistic"])
@pytest.mark.parametrize("classes", [0, 2])
def test_baseline_probabilities_add_up_to_one(likelihood: str, classes: int) -> None:
    config = PixelCNNConfig(
        **TINY,
        channels=2,
        levels=3,
        first_kernel=3,
        likelihood=likelihood,  # type: ignore[arg-type]
        classes=classes,
    )
    check_total(config, Condition(torch.tensor([1])) if classes else None)
    check_total(config, None, seed=1)


@pytest.mark.parametrize("layer", ["row_lstm", "diagonal_bilstm"])
@pytest.mark.parametrize("likelihood", ["softmax", "logistic"])
@pytest.mark.parametrize("classes", [0, 2])
def test_recurrent_probabilities_add_up_to_one(layer: str, likelihood: str, classes: int) -> None:
    config = PixelRNNConfig(
        **TINY,
        layer=layer,  # type: ignore[arg-type]
        channels=2,
        levels=3,
        first_kernel=3,
        likelihood=likelihood,  # type: ignore[arg-type]
        classes=classes,
    )
    check_total(config, Condition(torch.tensor([1])) if classes else None)


@pytest.mark.parametrize("classes", [0, 2])
def test_plus_plus_probabilities_add_up_to_one(classes: int) -> None:
    """2×2 pictures of 2 coupled channels at two resolutions."""
    config = PixelCNNPPConfig(
        channels=2,
        height=2,
        width=2,
        levels=3,
        features=4,
        layers=1,
        resolutions=2,
        mixtures=2,
        classes=classes,
    )
    check_total(config, Condition(torch.tensor([1])) if classes else None)


def test_plus_plus_probabilities_add_up_to_one_at_three_resolutions() -> None:
    """The lower two rows of 4×4 pictures of bits, given the upper two."""
    config = PixelCNNPPConfig(
        channels=1, height=4, width=4, levels=2, features=4, layers=1, mixtures=2
    )
    model = random_model(config, gain=0.8)
    lower = torch.cartesian_prod(*[torch.arange(2)] * 8).view(-1, 1, 2, 4)
    for seed in range(3):
        upper = torch.randint(2, (1, 1, 2, 4), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            log_prob = model.log_prob(torch.cat((upper.expand(256, -1, -1, -1), lower), 2))
        total = log_prob[:, :, 2:].double().flatten(1).sum(1)
        assert total.exp().sum().item() == pytest.approx(1, abs=1e-4)
        assert total.std() > 0.1
        torch.testing.assert_close(log_prob[:, :, :2], log_prob[:1, :, :2].expand(256, -1, -1, -1))


def test_single_channel_with_the_order_of_the_likelihood() -> None:
    """One channel needs no coupling; both likelihoods are then allowed."""
    for likelihood in ("softmax", "logistic"):
        config = GatedPixelCNNConfig(
            **TINY,
            channels=1,
            levels=4,
            channel_order="likelihood",
            likelihood=likelihood,
        )
        check_total(config, None)


def test_three_coupled_channels() -> None:
    config = GatedPixelCNNConfig(
        **{**TINY, "height": 1},
        channels=3,
        levels=4,
        channel_order="likelihood",
        likelihood="logistic",
    )
    check_total(config, None)
