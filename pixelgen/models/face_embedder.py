"""Faces → points on a sphere, near to each other if they show the same person.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832): the f of van den Oord et al.
2016, section 3.3.
"""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.models.encoder import VectorEncoder
from pixelgen.models.hub_methods import HubMethods


class FaceEmbedder(VectorEncoder, HubMethods):
    """Aligned faces [B, 3, S, S] of -1 … 1 → embeddings [B, D] of length 1.

    With `config.mirror` a face and its mirror image have the same embedding in evaluation mode: the
    mean of both. With `config.ensemble` the embedding is the mean over several networks, of
    length 1; features are those of the first.
    """

    def __init__(self, config: FaceEmbedderConfig) -> None:
        super().__init__(config, config.place_features, config.embedding, config.dropout)
        self.config = config
        self.ensemble = nn.ModuleList(FaceEmbedder(other) for other in config.ensemble)

    def forward(self, images: Tensor) -> Tensor:
        embeddings = self._embed(images)
        if not self.ensemble:
            return embeddings
        for other in self.ensemble:
            embeddings = embeddings + other(images)
        return F.normalize(embeddings, dim=1)

    def _embed(self, images: Tensor) -> Tensor:
        """By this network alone."""
        embeddings = super().forward(images)
        if self.training or not self.config.mirror:
            return embeddings
        return F.normalize(embeddings + super().forward(images.flip(-1)), dim=1)

    def first(self) -> FaceEmbedder:
        """The first network of an ensemble by itself, with the same parameters. Models are
        conditioned on its embeddings: those that they were trained with."""
        if not self.ensemble:
            return self
        alone = FaceEmbedder(replace(self.config, ensemble=()))
        own = self.state_dict().items()
        state = {name: x for name, x in own if not name.startswith("ensemble.")}
        alone.load_state_dict(state, assign=True)
        return alone.train(self.training)

    def vector(self, deep: Tensor) -> Tensor:
        """See `VectorEncoder`; of length 1."""
        return F.normalize(super().vector(deep), dim=1)
