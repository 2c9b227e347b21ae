"""p(class | picture) of a model that gives p(picture | class), by Bayes' rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from pixelgen.models.conditioning import Condition
from pixelgen.sampling.threads import pass_flops, threads_for

if TYPE_CHECKING:
    from torch import Tensor

    from pixelgen.checkpoints import LoadedCheckpoint

_LIMITS = (1e-2, 1e6)  # of temperatures


def surprise(
    weights: LoadedCheckpoint, grids: Tensor, rows: Tensor | None, device: torch.device | str
) -> Tensor:
    """Bits of every position of grids [B, C, H, W] given the rows [B] of the class table, or no
    class: float64 [B, H, W], on the processor. Raises WeightsError where they are no numbers."""
    condition = None if rows is None else Condition(rows.to(device))
    flops = pass_flops(weights.model, len(grids))
    with torch.inference_mode(), threads_for(flops):
        log_prob = weights.model.log_prob(grids.to(device), condition)
        if log_prob.isnan().any():
            raise weights.not_finite_error()
        return log_prob.cpu().double().sum(1) / -math.log(2.0)


def bits_of_classes(
    weights: LoadedCheckpoint,
    grid: Tensor,
    batch: int,
    device: torch.device | str,
    count: Callable[[int], None] = lambda passes: None,
) -> Tensor:
    """-log2 p(grid [C, H, W] | class) of each row of the class table, float64 [K]. `count` is
    called with the number of classes of each batch of them."""
    parts: list[Tensor] = []
    for rows in _batches(weights.model.config.classes, batch):
        repeated = grid.expand(len(rows), *grid.shape)  # [B, C, H, W]
        parts.append(surprise(weights, repeated, rows, device).sum((1, 2)))
        count(len(rows))
    return torch.cat(parts)


def class_probabilities(bits: Tensor, temperature: float = 1.0) -> Tensor:
    """p(class | picture) of bits [..., K], with equal priors: Bayes' rule at temperature 1."""
    return torch.softmax(bits * (-math.log(2.0) / temperature), -1)


def class_bits(bits: Tensor, temperature: float = 1.0) -> Tensor:
    """-log2 of `class_probabilities`, finite also for probabilities that are too small for a
    number."""
    return torch.log_softmax(bits * (-math.log(2.0) / temperature), -1) / -math.log(2.0)


def fit_temperature(bits: Tensor, rows: Tensor) -> float:
    """The temperature at which the right classes, rows [N] of bits [N, K], are likeliest.

    The log-likelihood is concave in 1 / temperature, so that its only maximum is where the expected
    bits equal those of the right classes. Between .01 and a million.
    """
    right = bits.gather(1, rows[:, None])[:, 0].mean()
    low, high = map(math.log, _LIMITS)
    for _ in range(60):
        middle = (low + high) / 2
        expected = (class_probabilities(bits, math.exp(middle)) * bits).sum(1).mean()
        if expected > right:  # too flat
            high = middle
        else:
            low = middle
    return math.exp((low + high) / 2)


def _batches(count: int, size: int) -> Iterator[Tensor]:
    for first in range(0, count, size):
        yield torch.arange(first, min(first + size, count))
