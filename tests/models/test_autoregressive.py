"""Networks that the project does not bring: what they need, and what they get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from pixelgen.models import (
    AutoencoderConfig,
    FaceEmbedderConfig,
    GatedPixelCNNConfig,
    GridConfig,
    MultiScaleConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
    PixelVAEConfig,
    TokenizerConfig,
    build_model,
)
from pixelgen.models.autoregressive import AutoregressiveModel, GridNetwork
from pixelgen.models.conditioning import Condition, LayerCondition
from pixelgen.models.config import CONFIGS, AnyConfig
from pixelgen.models.likelihood import Softmax
from pixelgen.models.masked_conv import shift_down
from pixelgen.sampling import SAMPLERS, SamplingOptions, draw_uniforms, sample, sample_scored

from .row_model import RowModel

CONFIG = GridConfig(channels=1, height=3, width=2, levels=3)


@dataclass(frozen=True)
class OwnConfig(GridConfig):
    """The configuration of `OwnNetwork`."""

    model: ClassVar[str] = "own"
    network: ClassVar[str] = f"{__name__}:OwnNetwork"

    classes: int = 0


class OwnNetwork(GridNetwork):
    """The same model with the defaults of the project, and a class condition."""

    config: OwnConfig

    def __init__(self, config: OwnConfig) -> None:
        super().__init__()
        self.config = config
        self.likelihood = Softmax(config.channels, config.levels)
        self.layer = nn.Conv2d(1, 2 * config.features, 1)
        self.condition = LayerCondition(config)
        self.out = nn.Conv2d(2 * config.features, config.channels * config.levels, 1)
        self.add_conditions()

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        above = shift_down(embedded).sum((1, 3), keepdim=True).expand(-1, 1, -1, embedded.shape[3])
        hidden = self.layer(above)
        terms = self.condition(condition, self.condition_map(condition))
        if terms is not None:
            hidden = hidden + terms.vertical
        out = self.out(hidden.tanh()).permute(0, 2, 3, 1)
        parameters: Tensor = out.unflatten(-1, (self.config.channels, -1))
        return parameters


def all_pictures(config: GridConfig) -> Tensor:
    """Every picture of `config`."""
    count = config.channels * config.height * config.width
    pictures = torch.cartesian_prod(*[torch.arange(config.levels)] * count)
    return pictures.view(-1, config.channels, config.height, config.width)


def check_samples(model: AutoregressiveModel, condition: Condition | None) -> None:
    """Frequencies of samples against probabilities, which add up to 1."""
    pictures = all_pictures(model.config)
    every = None if condition is None else condition.repeat(len(pictures))
    with torch.no_grad():
        exact = model.log_prob(pictures, every).double().flatten(1).sum(1).exp()
    assert float(exact.sum()) == pytest.approx(1, abs=1e-4)
    n = 4000
    uniforms = draw_uniforms(torch.Generator().manual_seed(1), n, model.config)
    many = None if condition is None else condition.repeat(n)
    x, log_prob = sample_scored(model, many, uniforms)
    assert torch.equal(x, sample(model, many, uniforms, method="naive"))
    with torch.no_grad():
        torch.testing.assert_close(log_prob, model.log_prob(x, many))
    digits = model.config.levels ** torch.arange(pictures[0].numel() - 1, -1, -1)
    counted = torch.bincount((x.flatten(1) * digits).sum(1), minlength=len(pictures))
    assert float((counted / n - exact).abs().sum() / 2) < 0.15


def test_a_foreign_network_is_sampled_and_scored() -> None:
    torch.manual_seed(0)
    model = RowModel(CONFIG)
    assert type(model) not in SAMPLERS
    nn.init.normal_(model.layer.weight, std=0.7)
    check_samples(model, None)
    assert model.training


def test_a_network_of_your_own_has_conditions() -> None:
    torch.manual_seed(0)
    config = OwnConfig(channels=1, height=2, width=2, levels=3, features=4, classes=2)
    model = build_model(config)
    assert isinstance(model, OwnNetwork)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    check_samples(model, Condition(torch.tensor([1])))
    check_samples(model, None)
    with pytest.raises(ValueError, match="no condition vector"):
        model.complete_condition(Condition(vector=torch.zeros(1, 3)), 1)
    numbers = draw_uniforms(torch.Generator().manual_seed(0), 2, config)
    guided = SamplingOptions(guidance=3.0)
    told = Condition(torch.tensor([0, 1]))
    assert sample(model, told, numbers, options=guided).shape == (2, 1, 2, 2)


def test_every_configuration_names_its_network() -> None:
    small: dict[str, Any] = {"features": 6, "output_features": 6, "layers": 0}
    pixels = {**small, "channel_order": "head", "likelihood": "logistic"}
    configs: list[AnyConfig] = [
        GatedPixelCNNConfig(**small),
        MultiScaleConfig(**{**small, "channel_order": "head"}),
        PixelCNNConfig(**small),
        PixelRNNConfig(**{**small, "layers": 1}),
        PixelCNNPPConfig(features=6, layers=1),
        TokenizerConfig(wide_features=4, deep_features=4),
        FaceEmbedderConfig(wide_features=4, deep_features=4),
        AutoencoderConfig.from_dict({"wide_features": 4, "deep_features": 4, "pixels": pixels}),
        PixelVAEConfig.from_dict({"wide_features": 4, "deep_features": 4, "pixels": pixels}),
    ]
    own = {
        name for name, kind in CONFIGS.items() if kind.__module__ == GatedPixelCNNConfig.__module__
    }
    assert {type(config).model for config in configs} == own
    for config in configs:
        network = build_model(config)
        assert network.config is config
        assert config.network == f"{type(network).__module__}:{type(network).__name__}"


def test_a_configuration_without_a_network_is_refused() -> None:
    """It is not taken for one of another network."""
    with pytest.raises(TypeError, match="GridConfig names no network"):
        build_model(CONFIG)
    with pytest.raises(TypeError, match="dict names no network"):
        build_model({})  # type: ignore[call-overload]
