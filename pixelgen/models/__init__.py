"""The networks: pure torch, no files, no printing."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pixelgen.models.config import (
    AnyConfig,
    AutoencoderConfig,
    FaceEmbedderConfig,
    GatedPixelCNNConfig,
    ModelConfig,
    PixelCNNConfig,
    TokenizerConfig,
    config_from_dict,
)

if TYPE_CHECKING:
    from pixelgen.models.autoencoder import Autoencoder
    from pixelgen.models.face_embedder import FaceEmbedder
    from pixelgen.models.gated_pixelcnn import GatedPixelCNN
    from pixelgen.models.pixelcnn import PixelCNN
    from pixelgen.models.tokenizer import Tokenizer

    AnyNetwork = GatedPixelCNN | PixelCNN | Tokenizer | FaceEmbedder | Autoencoder

__all__ = [
    "AnyConfig",
    "AutoencoderConfig",
    "FaceEmbedderConfig",
    "GatedPixelCNNConfig",
    "ModelConfig",
    "PixelCNNConfig",
    "TokenizerConfig",
    "build_model",
    "config_from_dict",
]


@overload
def build_model(config: ModelConfig) -> GatedPixelCNN | PixelCNN: ...


@overload
def build_model(config: TokenizerConfig) -> Tokenizer: ...


@overload
def build_model(config: FaceEmbedderConfig) -> FaceEmbedder: ...


@overload
def build_model(config: AutoencoderConfig) -> Autoencoder: ...


def build_model(config: AnyConfig) -> AnyNetwork:
    """The network that `config` describes, freshly initialised."""
    if isinstance(config, AutoencoderConfig):
        from pixelgen.models.autoencoder import Autoencoder

        return Autoencoder(config)
    if isinstance(config, FaceEmbedderConfig):
        from pixelgen.models.face_embedder import FaceEmbedder

        return FaceEmbedder(config)
    if isinstance(config, TokenizerConfig):
        from pixelgen.models.tokenizer import Tokenizer

        return Tokenizer(config)
    if isinstance(config, GatedPixelCNNConfig):
        from pixelgen.models.gated_pixelcnn import GatedPixelCNN

        return GatedPixelCNN(config)
    from pixelgen.models.pixelcnn import PixelCNN

    return PixelCNN(config)
