"""Face embedders that were trained independently: rotated onto each other, and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from pixelgen.metrics.verification import embed
from pixelgen.models.face_embedder import FaceEmbedder

ALIGNMENT_FACES = 2000
"""Faces that align the embeddings of one embedder to those of another."""

_BATCH = 250


def rotation_between(new: Tensor, old: Tensor) -> Tensor:
    """The orthogonal matrix [D, D] that rotates the vectors `new` [N, D] as near to `old` [N, D] as
    possible: old ≈ new @ rotationᵀ (Schönemann, "A generalized solution of the orthogonal
    Procrustes problem", 1966)."""
    u, _, v = torch.linalg.svd(old.double().T @ new.double())
    rotation: Tensor = (u @ v).float()
    return rotation


def average_embedders(embedders: Sequence[FaceEmbedder], faces: Tensor) -> FaceEmbedder:
    """An ensemble of all networks of `embedders`, which may be ensembles: its embedding of a face
    is the mean of theirs, of length 1. All but the first are rotated onto the first, as their
    embeddings of `faces` uint8 [N, 3, S, S] say.

    Raises ValueError for embedders of different sizes, and for fewer faces than an embedding has
    dimensions.
    """
    networks: list[FaceEmbedder] = []
    for embedder in embedders:
        networks += [embedder.first(), *(cast("FaceEmbedder", n) for n in embedder.ensemble)]
    first, *others = networks
    config = replace(first.config, ensemble=tuple(other.config for other in others))
    if len(faces) < config.embedding:
        raise ValueError(f"{config.embedding} faces or more are needed, not {len(faces)}")
    target = embed(first, faces, _BATCH)
    state = dict(first.state_dict())
    for number, other in enumerate(others):
        rotation = rotation_between(embed(other, faces, _BATCH), target)
        for name, tensor in other.state_dict().items():
            turned = rotation @ tensor if name in ("out.weight", "out.bias") else tensor
            state[f"ensemble.{number}.{name}"] = turned
    average = FaceEmbedder(config)
    average.load_state_dict(state)
    return average.eval()
