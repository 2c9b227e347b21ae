"""Finished networks that a run builds on: copies of their own in the run's folder."""

from __future__ import annotations

from pathlib import Path

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
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


def _part(copy: Path, ref: str, kind: str) -> LoadedCheckpoint:
    if not copy.is_dir():
        given = load_checkpoint(ref)
        network = given.codec if kind == TOKENIZER else given.embedder
        save_checkpoint(copy, network, dtype="float32", card_text=f"# {kind} of {ref}\n")
    return load_checkpoint(copy)
