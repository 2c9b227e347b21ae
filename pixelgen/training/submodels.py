"""Trained networks that a run uses: their copies in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixelgen.checkpoints import (
    CheckpointConfig,
    LoadedCheckpoint,
    load_checkpoint,
    read_config,
    save_checkpoint,
)
from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.checkpoints.replacement import current_folder
from pixelgen.models.config import GridConfig
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.models.tokenizer import Tokenizer

TOKENIZER, EMBEDDER = "tokenizer", "embedder"
LOSS_EMBEDDER = "loss-embedder"
SUBMODELS = (TOKENIZER, EMBEDDER, LOSS_EMBEDDER)
"""The folders of all copies."""


def run_tokenizer(folder: Path, ref: str = "") -> Tokenizer:
    """The tokenizer of the run in `folder`, from its copy, which is first made from the weights
    `ref` if there is none. Raises PixelgenError for weights without a tokenizer."""
    return _submodel(folder / TOKENIZER, ref, TOKENIZER).codec


def run_embedder(folder: Path, ref: str = "") -> FaceEmbedder:
    """The face embedder of the run in `folder`, in the same way."""
    return _submodel(folder / EMBEDDER, ref, EMBEDDER).embedder


def loss_embedder(folder: Path, ref: str) -> FaceEmbedder:
    """The face embedder that the loss of the run in `folder` uses, in the same way; it is no part
    of what the run exports."""
    return _submodel(folder / LOSS_EMBEDDER, ref, EMBEDDER).embedder


def submodel_histories(folder: Path) -> dict[str, dict[str, Any]]:
    """How the submodels of the run in `folder` were trained, by kind."""
    copies = (copy for copy in (folder / TOKENIZER, folder / EMBEDDER) if copy.is_dir())
    return {copy.name: read_config(current_folder(copy), str(copy)).training for copy in copies}


def submodel_history(config: CheckpointConfig, kind: str) -> dict[str, Any]:
    """How the submodel `kind` of weights, or the weights if they are of that kind, were trained;
    empty where that is unknown."""
    history = config.training
    if isinstance(config.model, GridConfig):
        parts = history.get("parts")
        part = parts.get(kind) if isinstance(parts, dict) else None
        history = part if isinstance(part, dict) else {}
    return {name: value for name, value in history.items() if name != "evaluation"}


def _submodel(copy: Path, ref: str, kind: str) -> LoadedCheckpoint:
    if not (current_folder(copy) / CONFIG_FILE).is_file():  # or a kill left a part of it
        checkpoint = load_checkpoint(ref)
        network = checkpoint.codec if kind == TOKENIZER else checkpoint.embedder
        save_checkpoint(
            copy,
            network,
            dtype="float32",
            training=submodel_history(checkpoint.config, kind),
            card_text=f"# {kind} of {ref}\n",
        )
    return load_checkpoint(copy)
