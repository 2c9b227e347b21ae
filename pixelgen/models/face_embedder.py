"""Faces → points on a sphere, near to each other if they show the same person.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832): the f of van den Oord et al.
2016, section 3.3.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.models.encoder import VectorEncoder


class FaceEmbedder(VectorEncoder):
    """Aligned faces [B, 3, S, S] of -1 … 1 → embeddings [B, D] of length 1."""

    def __init__(self, config: FaceEmbedderConfig) -> None:
        super().__init__(config, config.place_features, config.embedding, config.dropout)
        self.config = config

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(super().forward(images), dim=1)
