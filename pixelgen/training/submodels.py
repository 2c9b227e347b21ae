"""Finished networks that a run builds on: copies of their own in the run's folder."""

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
from pixelgen.models.config import GridConfig
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.models.tokenizer import Tokenizer

TOKENIZER, EMBEDDER = "tokenizer", "embedder"


def run_tokenizer(folder: Path, ref: str = "") -> Tokenizer:
    """The tokenizer of the run in `folder`: its own copy, which is made of the weights `ref` first
    where there is none. Raises PixelgenError for weights without a tokenizer."""
    return _part(folder / TOKENIZER, ref, TOKENIZER).codec


def run_embedder(folder: Path, ref: str = "") -> FaceEmbedder:
    """The face embedder of the run in `folder`, in the same way."""
    return _part(folder / EMBEDDER, ref, EMBEDDER).embedder


def submodel_histories(folder: Path) -> dict[str, dict[str, Any]]:
    """How the finished networks of the run in `folder` were trained, by what they are."""
    copies = (copy for copy in (folder / TOKENIZER, folder / EMBEDDER) if copy.is_dir())
    return {copy.name: read_config(copy, str(copy)).training for copy in copies}


def submodel_history(config: CheckpointConfig, kind: str) -> dict[str, Any]:
    """How the part `kind` of weights was trained, as far as they tell: it may be all of them."""
    told = config.training
    if isinstance(config.model, GridConfig):
        parts = told.get("parts")
        part = parts.get(kind) if isinstance(parts, dict) else None
        told = part if isinstance(part, dict) else {}
    return {name: value for name, value in told.items() if name != "evaluation"}


def _part(copy: Path, ref: str, kind: str) -> LoadedCheckpoint:
    if not copy.is_dir():
        given = load_checkpoint(ref)
        network = given.codec if kind == TOKENIZER else given.embedder
        save_checkpoint(
            copy,
            network,
            dtype="float32",
            training=submodel_history(given.config, kind),
            card_text=f"# {kind} of {ref}\n",
        )
    return load_checkpoint(copy)
