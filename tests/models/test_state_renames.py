"""Weights of earlier versions load, and compute what they did."""

from __future__ import annotations

import pytest
import torch

from pixelgen.models.state_renames import renamed, renamed_state

from .cases import baseline_config, gated_config, random_model

NAMES = {
    "first.link.weight": "first.vertical_to_horizontal.weight",
    "layers.12.link.bias": "layers.12.vertical_to_horizontal.bias",
    "mix.weight": "out_1x1.weight",
    "pixels.mix.bias": "pixels.out_1x1.bias",
    "class_vectors.means": "class_prior.means",
    "head.weight": "head.out.weight",
    "optimiser.head.bias.exp_avg_sq": "optimiser.head.out.bias.exp_avg_sq",
    "ema.layers.0.link.weight": "ema.layers.0.vertical_to_horizontal.weight",
    # what keeps its name
    "head.out.weight": "head.out.weight",
    "head.linear_mean.context.bias": "head.linear_mean.context.bias",
    "encoder.out.1.weight": "encoder.out.1.weight",
    "heads.0.weight": "heads.0.weight",
    "mixture.weight": "mixture.weight",
}


@pytest.mark.parametrize("old", NAMES)
def test_names(old: str) -> None:
    assert renamed(old) == NAMES[old]
    assert renamed(renamed(old)) == NAMES[old]


def test_a_tensor_under_both_names_is_refused() -> None:
    with pytest.raises(ValueError, match="stored twice"):
        renamed_state({"mix.weight": 1, "out_1x1.weight": 2})


def old_name(name: str) -> str:
    """What an earlier version called the tensor `name` of a model without a channel head."""
    name = name.replace("vertical_to_horizontal", "link").replace("out_1x1", "mix")
    return name.replace("head.out.", "head.")


@pytest.mark.parametrize("config", [gated_config({"classes": 3}, 3, 3), baseline_config(3, 3)])
def test_states_of_earlier_versions_fit(config) -> None:  # type: ignore[no-untyped-def]
    model, other = random_model(config, 1), random_model(config, 2)
    old = {old_name(name): tensor for name, tensor in model.state_dict().items()}
    assert old.keys() != model.state_dict().keys()
    other.load_state_dict(renamed_state(old))
    x = torch.zeros(1, config.channels, 3, 3, dtype=torch.long)
    with torch.no_grad():
        assert torch.equal(model.log_prob(x), other.log_prob(x))
