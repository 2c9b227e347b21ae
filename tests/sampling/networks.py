"""Small networks and conditions for the tests of sampling."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
    build_model,
)
from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import Condition
from pixelgen.sampling import draw_uniforms

SMALL: dict[str, Any] = {
    "height": 4,
    "width": 5,
    "levels": 5,
    "features": 12,
    "layers": 2,
    "output_features": 12,
    "kernel": 3,
    "first_kernel": 5,
    "mixtures": 2,
    "head_features": 4,
}


def gated(**options: Any) -> GatedPixelCNNConfig:
    """A small Gated PixelCNN's configuration."""
    return GatedPixelCNNConfig(**{**SMALL, **options})


def baseline(**options: Any) -> PixelCNNConfig:
    """A small PixelCNN's configuration."""
    known = {f.name for f in fields(PixelCNNConfig)}
    return PixelCNNConfig(**{k: v for k, v in {**SMALL, **options}.items() if k in known})


def recurrent(**options: Any) -> PixelRNNConfig:
    """A small PixelRNN's configuration."""
    known = {f.name for f in fields(PixelRNNConfig)}
    return PixelRNNConfig(**{k: v for k, v in {**SMALL, **options}.items() if k in known})


def plus_plus(**options: Any) -> PixelCNNPPConfig:
    """A small PixelCNN++'s configuration."""
    own = {"channels": 2, "height": 4, "width": 4, "features": 4, "layers": 1}
    shared = {name: SMALL[name] for name in ("levels", "mixtures")}
    return PixelCNNPPConfig(**{**shared, **own, **options})


def network(config: GridConfig, seed: int = 0) -> GridNetwork:
    """The network with weights far from their initial values: nothing is zero by chance."""
    torch.manual_seed(seed)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def condition(config: GridConfig, n: int) -> Condition:
    """Classes, vectors and maps as the network reads them, different for every picture."""
    generator = torch.Generator().manual_seed(5)
    vector, given = config.vector, config.given_channels
    size = (config.grid_height, config.grid_width)
    return Condition(
        torch.arange(n) % config.classes if config.classes else None,
        torch.randn(n, vector, generator=generator) if vector else None,
        torch.randn(n, given, *size, generator=generator) if given else None,
    )


def uniforms(config: GridConfig, n: int, seed: int = 3) -> torch.Tensor:
    """Random numbers of n pictures."""
    return draw_uniforms(torch.Generator().manual_seed(seed), n, config)
