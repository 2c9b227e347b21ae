"""p(h | class), from which the condition vector h is drawn where only a class is given.

Li, Katabi, He, "Return of Unconditional Generation: A Self-supervised Representation Generation
Method", 2023: sample a representation of the picture first, then the picture. Their representations
come from a diffusion model; a few hundred pictures per class suffice for a mixture of Gaussians
only.
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
    """[F], the mean of the classifier's features."""
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

    def project(self, features: Tensor) -> Tensor:
        """Features that a classifier computes from pictures, [B, F] → h [B, D]."""
        return (features - self.centre) @ self.directions

    def draw(self, classes: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Draws a vector for each of `classes` [B] → [B, D]; `temperature` scales the covariance
        inside each Gaussian.

        The k-th vector after the generator (on the CPU) was seeded is the same whatever B is.
        """
        size = self.means.shape[-1]
        uniforms, noise = [], []
        for _ in range(len(classes)):
            uniforms.append(torch.rand((), generator=generator))
            noise.append(torch.randn(size, generator=generator))
        uniform, z = torch.stack(uniforms).double(), torch.stack(noise)  # [B], [B, D]
        rows = classes.cpu()
        cumulative = self.log_shares.cpu().double().softmax(1)[rows].cumsum(1)  # [B, M]
        # Rounding may leave the last entry below 1.
        component = (cumulative <= uniform[:, None]).sum(1).clamp(max=cumulative.shape[1] - 1)
        means = self.means.cpu()[rows, component]  # [B, D]
        return means + math.sqrt(temperature) * z @ self.scale.cpu().t()

    def log_prob(self, h: Tensor, classes: Tensor) -> Tensor:
        """log p(h | class) in nats, [B], of h [B, D] given `classes` [B]."""
        means = self.means[classes]  # [B, M, D]
        centred = (h[:, None] - means).transpose(1, 2)  # [B, D, M]
        z = torch.linalg.solve_triangular(self.scale.expand(len(h), -1, -1), centred, upper=False)
        constant = self.scale.diagonal().log().sum() + h.shape[1] * 0.5 * math.log(2 * math.pi)
        joint = self.log_shares.log_softmax(1)[classes] - z.square().sum(1) / 2 - constant  # [B, M]
        return joint.logsumexp(1)
