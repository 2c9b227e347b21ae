"""Classes between classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pixelgen.models import GatedPixelCNNConfig, PixelCNNConfig, build_model
from pixelgen.models.class_interpolation import with_interpolated_classes
from pixelgen.models.conditioning import Condition

SIZE: dict[str, Any] = {
    "height": 3, "width": 3, "levels": 4, "features": 6, "layers": 1, "output_features": 6
}  # fmt: skip


@pytest.mark.parametrize("kind", [GatedPixelCNNConfig, PixelCNNConfig])
def test_mixed_classes(kind: type[GatedPixelCNNConfig] | type[PixelCNNConfig]) -> None:
    torch.manual_seed(0)
    model = build_model(kind(**SIZE, classes=3))
    for parameter in model.parameters():  # classes that make a difference
        torch.nn.init.normal_(parameter, std=0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shares = torch.tensor([[0, 0, 1.0], [1.0, 0, 0], [0.25, 0.75, 0], [0, 1.0, 0]])
    mixed = with_interpolated_classes(model, shares)
    assert (model.config.classes, mixed.config.classes) == (3, 4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    x = torch.randint(4, (1, 3, 3, 3))

    def log_prob(network: torch.nn.Module, number: int) -> torch.Tensor:
        result: torch.Tensor = network.log_prob(x, Condition(torch.tensor([number])))  # type: ignore[operator]
        return result

    for new, old in ((0, 2), (1, 0), (3, 1), (4, 3)):  # the last is "no class"
        assert torch.equal(log_prob(mixed, new), log_prob(model, old))
    assert torch.equal(mixed.log_prob(x), model.log_prob(x))
    between = log_prob(mixed, 2)
    assert not torch.equal(between, log_prob(model, 0))
    assert not torch.equal(between, log_prob(model, 1))
    name = next(name for name in before if name.endswith("table.weight"))
    expected = 0.25 * before[name][0] + 0.75 * before[name][1]
    torch.testing.assert_close(mixed.state_dict()[name][2], expected)
