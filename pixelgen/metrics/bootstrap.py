"""Statistics over people, with standard errors by the bootstrap.

Efron, "Bootstrap methods: another look at the jackknife", 1979. People are resampled, each with all
their images, since images of one person are not independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

REPLICATES = 1000


@dataclass(frozen=True)
class Estimate:
    """A statistic."""

    value: float
    standard_error: float | None
    """None for a single person, and where the statistic is not finite for most of the resampled
    people."""


def estimate(people: int, figure: Callable[[Tensor], Tensor], seed: int = 0) -> Estimate:
    """The estimate of `figure`, a function from weights of the people float64 [R, P] to R
    values: the value is that of equal weights, the error the standard deviation over resampled
    counts, but for those that give no finite value, such as 0 / 0."""
    value = float(figure(torch.ones(1, people, dtype=torch.float64))[0])
    if people < 2:
        return Estimate(value, None)
    generator = torch.Generator().manual_seed(seed)
    resampled = torch.randint(people, (REPLICATES, people), generator=generator)
    weights = torch.zeros(REPLICATES, people, dtype=torch.float64)
    weights.scatter_add_(1, resampled, torch.ones_like(weights))
    replicates = figure(weights)
    finite = replicates[replicates.isfinite()]
    return Estimate(value, float(finite.std()) if 2 * len(finite) > REPLICATES else None)


def mean(values: Tensor) -> Estimate:
    """The mean over people of their values [P]."""
    x = values.double()
    return estimate(len(x), lambda weights: weights @ x / weights.sum(1))


def ratio(numerators: Tensor, denominators: Tensor) -> Estimate | None:
    """The sum of `numerators` [P] over that of `denominators` [P]; None where that is 0."""
    a, b = numerators.double(), denominators.double()
    if float(b.sum()) == 0:
        return None
    return estimate(len(a), lambda weights: weights @ a / (weights @ b))
