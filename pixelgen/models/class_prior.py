"""Condition vectors of classes: p(h | class), from which h is drawn where only a class is given.

Li, Katabi, He, "Return of Unconditional Generation: A Self-supervised Representation Generation
Method", 2023: first draw what a picture is about, then the picture. Their vectors come from a
diffusion model; a few hundred pictures of a class allow no more than a mixture of Gaussians.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ClassPrior(nn.Module):
    """A mixture of Gaussians for each class, all of one covariance."""

    log_shares: Tensor
    """[K, M]: log-probability of every Gaussian in its class."""
    means: Tensor
    """[K, M, D]."""
    scale: Tensor
    """[D, D], lower triangular: the covariance is scale · scaleᵀ."""
    centre: Tensor
    """[F], the mean of the features that h is made of."""
    directions: Tensor
    """[F, D]: h = (features - centre) · directions."""

    def __init__(self, classes: int, components: int, vector: int, features: int = 0) -> None:
        super().__init__()
        self.register_buffer("log_shares", torch.zeros(classes, components))
        self.register_buffer("means", torch.zeros(classes, components, vector))
        self.register_buffer("scale", torch.zeros(vector, vector))
        if features:
            self.register_buffer("centre", torch.zeros(features))
            self.register_buffer("directions", torch.zeros(features, vector))

    def of_features(self, features: Tensor) -> Tensor:
        """What a classifier sees in pictures, [B, F] → h [B, D]."""
        return (features - self.centre) @ self.directions

    def draw(self, classes: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """A vector for each of `classes` [B] → [B, D]. The variance is multiplied by `temperature`.

        The k-th vector after the generator (on the CPU) was seeded is the same whatever B is.
        """
        size = self.means.shape[-1]
        chosen, noise = [], []
        for _ in range(len(classes)):
            chosen.append(torch.rand((), generator=generator))
            noise.append(torch.randn(size, generator=generator))
        chance, z = torch.stack(chosen).double(), torch.stack(noise)
        rows = classes.cpu()
        edges = self.log_shares.cpu().double().softmax(1)[rows].cumsum(1)
        # Rounding may leave the last edge below 1.
        part = (edges <= chance[:, None]).sum(1).clamp(max=edges.shape[1] - 1)
        means = self.means.cpu()[rows, part]
        return means + math.sqrt(temperature) * z @ self.scale.cpu().t()

    def log_prob(self, h: Tensor, classes: Tensor) -> Tensor:
        """log p(h | class) in nats, [B], of h [B, D] given `classes` [B]."""
        means = self.means[classes]  # [B, M, D]
        apart = (h[:, None] - means).transpose(1, 2)
        z = torch.linalg.solve_triangular(self.scale.expand(len(h), -1, -1), apart, upper=False)
        constant = self.scale.diagonal().log().sum() + h.shape[1] * 0.5 * math.log(2 * math.pi)
        each = self.log_shares.log_softmax(1)[classes] - z.square().sum(1) / 2 - constant
        return each.logsumexp(1)
