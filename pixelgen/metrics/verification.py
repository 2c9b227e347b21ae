"""Embeddings of many faces, and how well their distances tell people apart.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832), section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.evaluation_mode import evaluating
from pixelgen.models.likelihood import to_signed
from pixelgen.models.precision import full_precision

_BINS = 2**20
"""Bins of the histogram of squared distances, 0 … 4."""


_AT_ONCE = 2**22
"""Pairs of images whose distances are computed at a time."""


def squared_distances(embeddings: Tensor, rows: slice = slice(None)) -> Tensor:
    """Embeddings [N, D] of length 1 → squared distances [N, N] of 0 … 4, or some `rows` of them;
    never in bf16, which rounds small differences away."""
    with full_precision(embeddings.device):
        embeddings = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        return (2 - 2 * embeddings[rows] @ embeddings.t()).clamp(min=0)


@torch.inference_mode()
def embed(model: nn.Module, images: Tensor, batch: int) -> Tensor:
    """Embeddings [N, D] of faces uint8 [N, 3, S, S], on the CPU."""
    device = next(model.parameters()).device
    with evaluating(model):
        parts = in_batches(
            len(images),
            batch,
            lambda rows: model(to_signed(images[rows].to(device), 256)).float().cpu(),
        )
    return torch.cat(parts)


@dataclass(frozen=True)
class Verification:
    """How well distances tell whether two images show the same person."""

    auc: float
    """Area under the ROC curve: the probability that a pair of one person is nearer than a pair of
    two."""
    accepted: float
    """True accept rate at a false accept rate of 1 %."""
    pairs: int
    """Pairs of one person."""
    others: int
    """Pairs of two people."""


def verify(embeddings: Tensor, people: Tensor) -> Verification:
    """Over all pairs of images, `embeddings` [N, D] of length 1, `people` int64 [N]. Squared
    distances that differ by less than 4e-6 count as equal.

    The rates are NaN for embeddings that are not finite. Raises ValueError without a pair of one
    person, or of two.
    """
    if not bool(embeddings.isfinite().all()):
        return Verification(math.nan, math.nan, 0, 0)
    counts = torch.zeros(2, _BINS, dtype=torch.float64)  # of two people, of one
    rows = max(1, _AT_ONCE // len(people))
    for start in range(0, len(people), rows):
        part = slice(start, start + rows)
        apart = squared_distances(embeddings, part)
        same = people[part, None] == people[None]
        place = (apart * (_BINS / 4)).long().clamp(max=_BINS - 1) + _BINS * same
        # Each pair once, none of a picture and itself.
        later = torch.ones_like(same).triu(start + 1)
        counts += torch.bincount(place[later], minlength=2 * _BINS).view(2, _BINS)
    others, pairs = counts
    if not pairs.any() or not others.any():
        raise ValueError("there must be pairs of one person and pairs of two")
    nearer = others.cumsum(0)
    farther = others.sum() - nearer + others / 2
    auc = float((pairs @ farther) / (pairs.sum() * others.sum()))
    allowed = max(1, round(0.01 * int(others.sum())))
    threshold = int((nearer >= allowed).nonzero()[0])
    accepted = float(pairs[:threshold].sum() / pairs.sum())
    return Verification(auc, accepted, int(pairs.sum()), int(others.sum()))
