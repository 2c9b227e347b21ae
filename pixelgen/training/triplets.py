"""What a face embedder minimises, and how well it tells people apart.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832), section 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.metrics.verification import squared_distances
from pixelgen.models.likelihood import to_signed
from pixelgen.training.recipe import Mining, TripletsRecipe


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
