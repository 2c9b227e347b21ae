"""Figures over people, with standard errors by the bootstrap.

Efron, "Bootstrap methods: another look at the jackknife", 1979. It is people that are drawn again,
each with all their pictures: pictures of one person are no independent witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

REPLICATES = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure."""

    value: float
    standard_error: float | None
    """None for a single person."""


def estimate(people: int, figure: Callable[[Tensor], Tensor], seed: int = 0) -> Estimate:
    """`figure` turns weights of the people float64 [R, P] into R values; equal weights give the
    value, as often as each is drawn gives its error."""
    value = float(figure(torch.ones(1, people, dtype=torch.float64))[0])
    if people < 2:
        return Estimate(value, None)
    draw = torch.Generator().manual_seed(seed)
    drawn = torch.randint(people, (REPLICATES, people), generator=draw)
    weights = torch.zeros(REPLICATES, people, dtype=torch.float64)
    weights.scatter_add_(1, drawn, torch.ones_like(weights))
    return Estimate(value, float(figure(weights).std()))


def mean(values: Tensor) -> Estimate:
    """Over people, of their values [P]."""
    of = values.double()
    return estimate(len(of), lambda weights: weights @ of / weights.sum(1))


def ratio(over: Tensor, under: Tensor) -> Estimate | None:
    """The sum of `over` [P] through that of `under` [P]; None where that is 0."""
    a, b = over.double(), under.double()
    if float(b.sum()) == 0:
        return None
    return estimate(len(a), lambda weights: weights @ a / (weights @ b))
