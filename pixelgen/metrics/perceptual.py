"""A perceptual distance between images: that of the features of a classifier.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", 2018 (section 3, equation 1, with all channel weights equal). The classifier is
EfficientNet-lite0, small enough for a processor; its weights come from a package.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.metrics.classifiers import fused, fused_block, load_efficientnet
from pixelgen.models.efficientnet import feature_distance
from pixelgen.models.face_embedder import FaceEmbedder

DEPTHS = (0, 2, 4, 10)
"""Blocks whose output is compared: 1/2, 1/4, 1/8 and 1/16 of the resolution."""


class PerceptualDistance(nn.Module):
    """Mean squared difference of normalised features, averaged over places and depths."""

    def __init__(self, network: Any, scale: int = 1, logits: bool = False) -> None:
        """`network`: an `EfficientNet`, which is taken apart and frozen. It is given images
        enlarged by `scale`. With `logits`, its last features are compared too, and `see` returns
        logits."""
        super().__init__()
        self.scale = scale
        self.stem = nn.Sequential(fused(network, "_conv_stem", "_bn0"), nn.ReLU6())
        self.blocks = nn.ModuleList(map(fused_block, network._blocks[: DEPTHS[-1] + 1]))
        self.widths = [network._blocks[d]._block_args.output_filters for d in DEPTHS]
        self.rest: nn.Module | None = None
        self.head: nn.Module | None = None
        if logits:
            self.rest = nn.Sequential(
                *map(fused_block, network._blocks[DEPTHS[-1] + 1 :]),
                fused(network, "_conv_head", "_bn1"),
                nn.ReLU6(),
            )
            self.head = network._fc
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PerceptualDistance:
        """Always in evaluation mode."""
        return super().train(False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Images [B, 3, S, S] of -1 … 1 → features [B, F, s, s] of length 1 at every depth."""
        return self.see(images)[0]

    def see(self, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """The `features`, and the logits [B, K] of all classes; None without `logits`."""
        if self.scale > 1:
            images = F.interpolate(images, scale_factor=self.scale, mode="bilinear")
        # The network was trained on (value - 127) / 128.
        x = self.stem(images * (127.5 / 128) + 0.5 / 128)
        features = []
        for depth, block in enumerate(self.blocks):
            x = block(x)
            if depth in DEPTHS:
                features.append(F.normalize(x.float(), dim=1, eps=1e-6))
        if self.rest is None or self.head is None:
            return features, None
        x = self.rest(x)
        features.append(F.normalize(x.float(), dim=1, eps=1e-6))
        return features, self.head(x.mean((2, 3))).float()

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Two batches [B, 3, S, S] of -1 … 1 → distances [B] of 0 … 4, with gradients for the
        first."""
        with torch.no_grad():
            target = self.features(others)
        return feature_distance(self.features(images), target)


class FaceDistance(nn.Module):
    """How different two faces are to a face embedder: the mean squared difference of its features
    of length 1, averaged over places and two depths, and the squared distance of embeddings."""

    def __init__(self, embedder: FaceEmbedder) -> None:
        """`embedder` is frozen."""
        super().__init__()
        self.embedder = embedder.float()
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FaceDistance:
        """Always in evaluation mode."""
        return super().train(False)

    def _see(self, faces: Tensor) -> tuple[list[Tensor], Tensor]:
        features = self.embedder.features(faces)
        normalised = [F.normalize(x.float(), dim=1, eps=1e-6) for x in features]
        return normalised, self.embedder.vector(features[1])

    def forward(self, faces: Tensor, others: Tensor) -> Tensor:
        """Two batches of aligned faces [B, 3, S, S] of -1 … 1 → distances [B] of 0 … 8, with
        gradients for the first."""
        with torch.no_grad():
            target, target_embedding = self._see(others)
        features, embedding = self._see(faces)
        apart = (embedding - target_embedding).square().sum(1)
        return feature_distance(features, target) + apart


def class_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """The mean Kullback-Leibler divergence, in nats, of the probabilities of `others` from those of
    `logits` [B, K], KL(others ‖ logits)."""
    log_probabilities = F.log_softmax(logits, 1)
    return F.kl_div(
        log_probabilities, F.log_softmax(others, 1), reduction="batchmean", log_target=True
    )


def load_perceptual(scale: int = 1, logits: bool = False) -> PerceptualDistance:
    """The distance with the weights of the package. Raises PixelgenError if that is missing."""
    network = load_efficientnet("lite0", "the perceptual loss", ", or set losses.perceptual = 0")
    return PerceptualDistance(network, scale, logits)
