"""The multivariate Gaussian, a baseline in closed form.

Pictures have integer values, a Gaussian has a density q. What counts as the probability of a
picture x is q integrated over the unit cube from x to x + 1: a distribution of integers. Jensen's
inequality bounds it: log P(x) >= E[log q(x + u)] for u uniform in 0 … 1 (Theis, van den Oord,
Bethge, "A note on the evaluation of generative models", 2016, section 3.1). For a Gaussian that
expectation has a closed form, so the bound needs no noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelgen.data import evenly_spread

_BLOCK = 1000
_OFFSET = 127.5
"""Subtracted before sums, so that they lose nothing in float64."""
_NOISE = 1 / 12
"""The variance of the uniform noise."""
SHRINKAGES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3)
_HELD = 10
"""One picture in so many chooses the shrinkage."""
_MOST_HELD = 1000


@dataclass(frozen=True)
class Moments:
    """Sums over pictures from which means and covariances follow."""

    count: int
    total: Tensor
    """float64 [D], of the values less an offset."""
    products: Tensor
    """float64 [D, D], of their products."""

    @staticmethod
    def of(images: Tensor) -> Moments:
        """Of pictures uint8 [N, D]."""
        size = images.shape[1]
        total = torch.zeros(size, dtype=torch.float64)
        products = torch.zeros(size, size, dtype=torch.float64)
        for block in images.split(_BLOCK):
            x = block.double() - _OFFSET
            total += x.sum(0)
            products.addmm_(x.t(), x)
        return Moments(len(images), total, products)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count, self.total + other.total, self.products + other.products
        )

    def mean(self) -> Tensor:
        """float64 [D]."""
        return self.total / self.count + _OFFSET

    def covariance(self) -> Tensor:
        """float64 [D, D], that of the largest likelihood."""
        mean = self.total / self.count
        return (self.products / self.count).addr_(mean, mean, alpha=-1)


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian density of pictures of D values, to which uniform noise in 0 … 1 is added."""

    mean: Tensor
    """float64 [D], of the values without noise."""
    cholesky: Tensor
    """float64 [D, D], lower triangular: the covariance's Cholesky factor."""
    shrinkage: float
    """Share of the covariance that a multiple of the identity has replaced."""

    @staticmethod
    def of(moments: Moments, shrinkage: float) -> Gaussian:
        """(1 - a)·S + a·m·I + I/12, with a the `shrinkage`, S the covariance, m its mean variance,
        and 1/12 the variance of the noise, which makes it positive definite."""
        covariance = moments.covariance()
        variance = float(covariance.diagonal().mean())
        covariance.mul_(1 - shrinkage).diagonal().add_(shrinkage * variance + _NOISE)
        return Gaussian(moments.mean(), torch.linalg.cholesky(covariance), shrinkage)

    def bits_per_dim(self, images: Tensor) -> Tensor:
        """Upper bounds of -log2 P(x) over the number of values of pictures uint8 [N, …], float64
        [N]."""
        size = len(self.mean)
        constant = size * math.log(2 * math.pi) + 2 * float(self.cholesky.diagonal().log().sum())
        # E[(x + u - 1/2 - mean)' P (x + u - 1/2 - mean)] = (x - mean)' P (x - mean) + trace(P) / 12
        constant += float(torch.cholesky_inverse(self.cholesky).trace()) * _NOISE
        parts = []
        for block in images.flatten(1).split(_BLOCK):
            x = (block.double() - self.mean).t()  # [D, B]
            z = torch.linalg.solve_triangular(self.cholesky, x, upper=False)
            parts.append((z.square().sum(0) + constant) / (2 * size * math.log(2)))
        return torch.cat(parts)


def fit_gaussian(images: Tensor) -> Gaussian:
    """The Gaussian of pictures uint8 [N, …]: their mean and full covariance.

    How far the covariance is shrunk to a multiple of the identity is chosen by the likelihood of
    every tenth picture, or 1000 of these, under a fit to the others: hardly where there are many
    more pictures than values. Raises ValueError for fewer than two pictures.
    """
    x = images.flatten(1)
    if len(x) < 2:
        raise ValueError("a covariance needs two pictures")
    aside = torch.arange(len(x)) % _HELD == 0
    tenth = x[aside]
    held, rest = Moments.of(tenth), Moments.of(x[~aside])
    shown = tenth[evenly_spread(len(tenth), _MOST_HELD)]  # data may be sorted by class
    best, lowest = SHRINKAGES[0], math.inf
    for shrinkage in SHRINKAGES:
        bits = float(Gaussian.of(rest, shrinkage).bits_per_dim(shown).mean())
        if bits > lowest:  # it has one minimum
            break
        best, lowest = shrinkage, bits
    return Gaussian.of(held + rest, best)
