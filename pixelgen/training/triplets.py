"""What a face embedder minimises, and how well it tells people apart.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832), section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.likelihood import to_signed
from pixelgen.training.recipe import Mining, TripletsRecipe

_BINS = 2**20
"""Of squared distances, 0 … 4."""
_AT_ONCE = 2**22
"""Pairs of pictures that are looked at together."""


def squared_distances(embeddings: Tensor, rows: slice = slice(None)) -> Tensor:
    """[N, D] of length 1 → [N, N], 0 … 4, of which `rows` are computed; not in bf16, which knows no
    small differences."""
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        return (2 - 2 * embeddings[rows] @ embeddings.t()).clamp(min=0)


@torch.compiler.disable  # how many pairs there are is not known before: nothing to compile
def triplet_loss(
    embeddings: Tensor, people: Tensor, margin: float, mining: Mining = "semi-hard"
) -> Tensor:
    """The mean over all pairs of one person of how far the pair is from being nearer, by `margin`,
    than another person. `mining` says which.

    "semi-hard": the nearest other who is farther than the pair, or where nobody is, the farthest
    other (equation 4). "hard": the nearest other. "all": everybody, the nearer the more: in place
    of the largest excess the logarithm of the sum of all, exponentiated, 0 among them (Sohn,
    "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", 2016, equation 7), on
    the scale of `margin` / 2.

    `embeddings` [B, D] of length 1, `people` int64 [B] → a number; 0 without such pairs.
    """
    distance = squared_distances(embeddings.float())
    same = people[:, None] == people[None]
    pairs = (same & ~torch.eye(len(people), dtype=torch.bool, device=people.device)).nonzero()
    if not len(pairs) or bool(same.all()):
        return embeddings.sum() * 0.0
    anchor, positive = pairs.unbind(1)
    apart = distance[anchor, positive]  # [pairs]
    if mining == "all":
        scale = margin / 2
        others = distance[anchor].masked_fill(same[anchor], torch.inf)
        excess = (apart[:, None] - others + margin) / scale  # [pairs, B]
        return scale * torch.cat((excess, torch.zeros_like(excess[:, :1])), 1).logsumexp(1).mean()
    with torch.no_grad():
        others = distance[anchor].masked_fill(same[anchor], -torch.inf)  # [pairs, B]
        beyond = apart[:, None] if mining == "semi-hard" else others.new_tensor(-1.0)
        farther = others.masked_fill(others <= beyond, torch.inf)
        chosen = torch.where(farther.isfinite().any(1), farther.argmin(1), others.argmax(1))
    return F.relu(apart - distance[anchor, chosen] + margin).mean()


class TripletLoss(nn.Module):
    """The triplet loss of a batch.

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(self, model: nn.Module, recipe: TripletsRecipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255, `classes` int64 [B]: who is on it → a number."""
        assert classes is not None  # batches by identity have them
        images = recoloured(to_signed(x, 256), self.recipe.colour)
        embeddings = self.model(images)
        return triplet_loss(embeddings, classes, self.recipe.margin, self.recipe.mining)


def recoloured(images: Tensor, amount: float) -> Tensor:
    """Pictures [B, 3, S, S] of -1 … 1 with contrast, brightness and each colour's share changed by
    up to `amount` at random: light is not what makes a person."""
    if not amount:
        return images
    change = torch.rand(3, len(images), 3, 1, 1, device=images.device) * 2 - 1
    contrast = 1 + amount * change[0, :, :1]
    brightness = amount * (change[1, :, :1] + 0.5 * change[2])
    return (images * contrast + brightness).clamp(-1, 1)


@torch.inference_mode()
def embed(model: nn.Module, images: Tensor, batch: int) -> Tensor:
    """Embeddings [N, D] of faces uint8 [N, 3, S, S], on the CPU."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    parts = [
        model(to_signed(images[start : start + batch].to(device), 256)).float().cpu()
        for start in range(0, len(images), batch)
    ]
    model.train(training)
    return torch.cat(parts)


@dataclass(frozen=True)
class Verification:
    """How well distances tell whether two pictures show one person."""

    auc: float
    """Area under the ROC curve: the chance that a pair of one person is nearer than a pair of
    two."""
    accepted: float
    """Share of the pairs of one person that are accepted where 1 % of the others are."""
    pairs: int
    """Pairs of one person."""
    others: int
    """Pairs of two people."""


def verify(embeddings: Tensor, people: Tensor) -> Verification:
    """Over all pairs of pictures, `embeddings` [N, D] of length 1, `people` int64 [N]. Squared
    distances that differ by less than 4e-6 count as equal.

    Nothing is told of vectors that are not finite. Raises ValueError where there are no pairs of
    either kind.
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
