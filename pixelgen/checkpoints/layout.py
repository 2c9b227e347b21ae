"""The files of a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

from pixelgen.checkpoints.config import CONFIG_FILE, CheckpointConfig
from pixelgen.errors import PixelgenError
from pixelgen.models.config import AnyConfig

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.safetensors"
"""Of a model that samples grids of codes."""
EMBEDDER_FILE = "embedder.safetensors"
"""Of a model that samples portraits of a face."""
AUTOENCODER_FILES = "autoencoder-*.safetensors"
"""Auto-encoders of larger bottlenecks beside the first: see `autoencoder_file`."""
CARD_FILE = "README.md"


def autoencoder_file(bottleneck: int) -> str:
    """The file of a further auto-encoder."""
    return AUTOENCODER_FILES.replace("*", str(bottleneck))


def network_configs(config: CheckpointConfig) -> dict[str, AnyConfig]:
    """The configuration of every network of a checkpoint, by its file."""
    configs: dict[str, AnyConfig] = {WEIGHTS_FILE: config.model}
    if config.tokenizer is not None:
        configs[TOKENIZER_FILE] = config.tokenizer
    if config.embedder is not None:
        configs[EMBEDDER_FILE] = config.embedder
    return configs | {autoencoder_file(other.bottleneck): other for other in config.others}


def tensor_files(config: CheckpointConfig) -> tuple[str, ...]:
    """The tensor files that a checkpoint of this configuration has."""
    return tuple(network_configs(config))


def present_tensor_files(folder: Path) -> list[Path]:
    """The tensor files in a folder; the first, `WEIGHTS_FILE`, is listed even if it is missing."""
    optional = [folder / TOKENIZER_FILE, folder / EMBEDDER_FILE]
    optional += sorted(folder.glob(AUTOENCODER_FILES))
    return [folder / WEIGHTS_FILE, *filter(Path.is_file, optional)]


def unreadable_file_error(
    name: str, folder: Path, error: OSError, file: str = WEIGHTS_FILE
) -> PixelgenError:
    """The error for a tensor file of the weights `name` that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return PixelgenError(
            f"weights {name}: no {file} in {folder}",
            f"a checkpoint folder holds {CONFIG_FILE} and {file}",
        )
    return PixelgenError(f"weights {name}: {file}: {error.strerror or error}")
