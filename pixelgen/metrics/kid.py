"""Kernel distance between two sets of feature vectors, with its standard error.

Bińkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", 2018 (section 4): the squared
maximum mean discrepancy with the kernel k(x, y) = (x·y / F + 1)³, without bias, so it may fall
below 0. The paper's features are Inception's; figures of other features are not comparable.
`torchmetrics` draws subsets that overlap, so that their spread does not give the error of their
mean, and needs two sets of one size; hence this implementation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Kid:
    """A distance, 0 for sets of one distribution."""

    mean: float
    """Over the subsets."""
    standard_error: float | None
    """Of that mean; None for a single subset."""


def kernel_distance(
    real: Tensor, generated: Tensor, subsets: int = 10, seed: int = 0
) -> Kid | None:
    """The distance between features [N, F] and [M, F], the mean over `subsets` (fewer for few
    images), into which `seed` divides both sets at random.

    For N = M, `generated[i]` may be made from `real[i]`: the two are never compared, as they would
    be alike for that reason alone. None for too few images: fewer than two, or four for N = M.
    """
    fewest = min(len(real), len(generated))
    if fewest < (4 if len(real) == len(generated) else 2):
        return None
    subsets = min(subsets, fewest // 2)
    ours, theirs = (_subsets(features, subsets, seed) for features in (real, generated))
    pairs = zip(ours[1:] + ours[:1], theirs, strict=True)
    values = torch.stack([squared_mmd(a, b) for a, b in pairs])
    error = float(values.std()) / math.sqrt(subsets) if subsets > 1 else None
    return Kid(float(values.mean()), error)


def _subsets(features: Tensor, count: int, seed: int) -> tuple[Tensor, ...]:
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    return features[order].double().tensor_split(count)


def squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased estimate (equation 4) for [N, F] and [M, F], two vectors or more each."""
    return _within(x) + _within(y) - 2 * _kernel(x, y).mean()


def _within(x: Tensor) -> Tensor:
    k = _kernel(x, x)
    return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
