"""A model on disk: `config.json`, `model.safetensors` and `README.md` in a folder.

Importing this brings no torch along; loading and saving do.
"""

from pixelgen.checkpoints.card import Figure, ModelCard
from pixelgen.checkpoints.config import CheckpointConfig, class_labels, read_config
from pixelgen.checkpoints.resolve import resolve_weights
from pixelgen.checkpoints.source import (
    DEFAULT_COMPLETION_WEIGHTS,
    DEFAULT_FACE_WEIGHTS,
    DEFAULT_PIXEL_WEIGHTS,
    DEFAULT_RECONSTRUCTION_WEIGHTS,
    DEFAULT_WEIGHTS,
    Source,
    bundled,
)
from pixelgen.checkpoints.storage import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.checkpoints.weights_cache import cache_weights

__all__ = [
    "DEFAULT_COMPLETION_WEIGHTS",
    "DEFAULT_FACE_WEIGHTS",
    "DEFAULT_PIXEL_WEIGHTS",
    "DEFAULT_RECONSTRUCTION_WEIGHTS",
    "DEFAULT_WEIGHTS",
    "CheckpointConfig",
    "Figure",
    "LoadedCheckpoint",
    "ModelCard",
    "Source",
    "bundled",
    "cache_weights",
    "class_labels",
    "load_checkpoint",
    "read_config",
    "resolve_weights",
    "save_checkpoint",
]
