"""A variational auto-encoder whose decoder is a PixelCNN.

Gulrajani et al., "PixelVAE: A Latent Variable Model for Natural Images", 2016 (arXiv 1611.05013):
p(x) is the integral of p(x | h) p(h) over h, with a standard normal prior p(h), a PixelCNN
p(x | h), and an encoder q(h | x). There is one level of latents; the deconvolutional network that
computes maps of h for the PixelCNN is that of `pixels.map_channels`, the layers are gated ones.

The integral is unknown. What is computed are lower bounds of log p(x), none of which is exact: the
ELBO (Kingma, Welling 2013), and the importance-weighted bound of k draws (Burda, Grosse,
Salakhutdinov, "Importance Weighted Autoencoders", 2015, arXiv 1509.00519, equation 8), which is the
ELBO for k = 1 and approaches log p(x) as k grows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.models.autoencoder import Autoencoder

_LOG_VARIANCE = 12.0
"""Log-variances are kept within this distance of 0: far beyond those of trained encoders, and
within the range in which float32 can differentiate."""


class DiagonalGaussian(NamedTuple):
    """Normal distributions of B vectors h with independent dimensions."""

    mean: Tensor
    """[B, D]."""
    log_variance: Tensor
    """[B, D]."""

    def at(self, noise: Tensor) -> Tensor:
        """The h [B, D] that standard normal `noise` [B, D] stands for."""
        return self.mean + (self.log_variance / 2).exp() * noise

    def kl(self) -> Tensor:
        """The Kullback-Leibler divergence from the standard normal in nats, by dimension, [B, D]
        (Kingma, Welling 2013, appendix B)."""
        return (self.mean.square() + self.log_variance.exp() - self.log_variance - 1) / 2

    def log_prior_ratio(self, noise: Tensor) -> Tensor:
        """log p(h) - log q(h) in nats of the h that `noise` [B, D] stands for, [B]: p is the
        standard normal, q this distribution."""
        h = self.at(noise)
        return (noise.square() - h.square() + self.log_variance).sum(1) / 2


class Draws(NamedTuple):
    """Pictures and an h drawn for each."""

    log_prob: Tensor
    """log p(x | h) of every value given all before it, [B, C, H, W] in nats."""
    log_weight: Tensor
    """log p(x | h) + log p(h) - log q(h | x), [B] in nats."""


class PixelVAE(Autoencoder):
    """Pictures → q(h | x); h, from there or from the prior → pictures."""

    def posterior(self, images: Tensor) -> DiagonalGaussian:
        """Pictures [B, 3, S, S] of -1 … 1 → q(h | x)."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)  # [B, D] each
        return DiagonalGaussian(mean, log_variance.clamp(-_LOG_VARIANCE, _LOG_VARIANCE))

    def encode(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] of -1 … 1 → the mean of q(h | x), [B, D]."""
        return self.posterior(images).mean

    def weigh(self, x: Tensor, q: DiagonalGaussian, noise: Tensor) -> Draws:
        """The terms of the bounds for pictures int64 [B, 3, S, S] of 0 … 255, with q(h | x) and the
        standard normal `noise` [B, D] from which h is drawn."""
        log_prob = self.log_prob(x, q.at(noise))
        return Draws(log_prob, log_prob.flatten(1).sum(1) + q.log_prior_ratio(noise))


def importance_bound(log_weights: Tensor) -> Tensor:
    """Log-weights [..., k] of k draws of h → the importance-weighted lower bound of log p(x),
    [...], in nats: the log of the mean weight."""
    return torch.logsumexp(log_weights.double(), -1) - math.log(log_weights.shape[-1])
