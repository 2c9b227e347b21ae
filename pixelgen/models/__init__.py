"""The networks: pure torch, no files, no printing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, overload

from pixelgen.models.config import (
    AnyConfig,
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
    config_from_dict,
    register_network,
)

if TYPE_CHECKING:
    from pixelgen.models.autoencoder import Autoencoder
    from pixelgen.models.autoregressive import GridNetwork
    from pixelgen.models.face_embedder import FaceEmbedder
    from pixelgen.models.gated_pixelcnn import GatedPixelCNN
    from pixelgen.models.multiscale import MultiScale
    from pixelgen.models.pixelcnn import PixelCNN
    from pixelgen.models.pixelvae import PixelVAE
    from pixelgen.models.tokenizer import Tokenizer

    AnyNetwork = GridNetwork | Tokenizer | FaceEmbedder | Autoencoder

__all__ = [
    "AnyConfig",
    "AutoencoderConfig",
    "FaceEmbedderConfig",
    "GatedPixelCNNConfig",
    "GridConfig",
    "MultiScaleConfig",
    "PixelCNNConfig",
    "PixelCNNPPConfig",
    "PixelRNNConfig",
    "PixelVAEConfig",
    "TokenizerConfig",
    "build_model",
    "config_from_dict",
    "register_network",
]


@overload
def build_model(config: MultiScaleConfig) -> MultiScale: ...  # type: ignore[overload-overlap]


@overload
def build_model(config: GatedPixelCNNConfig) -> GatedPixelCNN: ...


@overload
def build_model(config: PixelCNNConfig) -> PixelCNN: ...


@overload
def build_model(config: GridConfig) -> GridNetwork: ...


@overload
def build_model(config: TokenizerConfig) -> Tokenizer: ...


@overload
def build_model(config: FaceEmbedderConfig) -> FaceEmbedder: ...


@overload
def build_model(config: PixelVAEConfig) -> PixelVAE: ...


@overload
def build_model(config: AutoencoderConfig) -> Autoencoder: ...


@overload
def build_model(config: AnyConfig) -> AnyNetwork: ...


def build_model(config: AnyConfig) -> AnyNetwork:
    """The network that `config` describes, freshly initialised from torch's global generator.

    Its class is the one that `config.network` names. Raises TypeError where that is none.
    """
    module, _, name = getattr(config, "network", "").partition(":")
    if not name:
        raise TypeError(f"{type(config).__name__} names no network (package.module:Class)")
    network: AnyNetwork = getattr(import_module(module), name)(config)
    return network
