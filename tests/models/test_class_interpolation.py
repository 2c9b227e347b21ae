"""Classes between classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pixelgen.models import GatedPixelCNNConfig, PixelCNNConfig, build_model
from pixelgen.models.class_interpolation import with_interpolated_classes
from pixelgen.models.conditioning import ClassTable, Condition

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
    assert {type(m) for m in model.modules() if isinstance(m, torch.nn.Embedding)} == {ClassTable}
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


def test_other_embeddings_stay() -> None:
    """Those of codes, positions or the like are no classes, even if there are as many of them."""
    model = build_model(GatedPixelCNNConfig(**SIZE, classes=3))
    model.position = torch.nn.Embedding(4, 2)
    mixed = with_interpolated_classes(model, torch.eye(3)[[2, 0]])
    names = dict(mixed.named_parameters()), dict(model.named_parameters())
    assert torch.equal(*(found["position.weight"] for found in names))
    tables = [m for m in mixed.modules() if isinstance(m, ClassTable)]
    assert [len(table.weight) for table in tables] == [3, 3]


def test_a_prior_of_the_old_classes_is_left_out() -> None:
    sizes: dict[str, Any] = {"vector": 2, "vector_components": 1, "vector_features": 5}
    model = build_model(GatedPixelCNNConfig(**SIZE, **sizes, classes=3))
    mixed = with_interpolated_classes(model, torch.eye(3))
    assert model.class_prior is not None
    assert mixed.class_prior is None
    assert (mixed.config.vector, mixed.config.vector_components) == (2, 0)
    assert build_model(mixed.config).state_dict().keys() == mixed.state_dict().keys()
