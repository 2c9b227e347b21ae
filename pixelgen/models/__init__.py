"""Autoregressive models of grids of discrete values: pure torch, no files, no printing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelgen.models.config import (
    GatedPixelCNNConfig,
    ModelConfig,
    PixelCNNConfig,
    config_from_dict,
)

if TYPE_CHECKING:
    from pixelgen.models.gated_pixelcnn import GatedPixelCNN
    from pixelgen.models.pixelcnn import PixelCNN

__all__ = [
    "GatedPixelCNNConfig",
    "ModelConfig",
    "PixelCNNConfig",
    "build_model",
    "config_from_dict",
]


def build_model(config: ModelConfig) -> GatedPixelCNN | PixelCNN:
    """The network that `config` describes, freshly initialised."""
    from pixelgen.models.gated_pixelcnn import GatedPixelCNN
    from pixelgen.models.pixelcnn import PixelCNN

    if isinstance(config, GatedPixelCNNConfig):
        return GatedPixelCNN(config)
    return PixelCNN(config)
