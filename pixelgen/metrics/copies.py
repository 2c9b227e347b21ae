"""Finding pictures that are copies of the photo that they were made of."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

ORDINARY = 0.01
"""Share of the pairs of photos of one person that are nearer to each other than a copy may be."""
_CELLS = 15
_ROWS = 256


def distances(pictures: Tensor, photos: Tensor) -> Tensor:
    """How differently pictures uint8 [N, 3, S, S] and photos uint8 [M, 3, S, S] look, [N, M] of
    0 … 2.

    A copy stays one if it is darker, paler, less sharp, noisy, mirrored, or moved by a pixel in 32:
    what is compared are means over a coarse grid, less each colour's mean, scaled to length 1, the
    photo mirrored and moved to where it is nearest.
    """
    side = photos.shape[-1]
    step = min(max(side // 32, 1), (side - 1) // 2)
    seen = _look(_window(pictures, step, step, side - 2 * step))
    best = torch.full((len(pictures), len(photos)), -1.0)
    for turned in (photos, photos.flip(3)):
        for top in (0, step, 2 * step):
            for left in (0, step, 2 * step):
                look = _look(_window(turned, top, left, side - 2 * step))
                best = torch.maximum(best, seen @ look.T)
    return (2 - 2 * best).clamp(min=0).sqrt()


def _window(images: Tensor, top: int, left: int, side: int) -> Tensor:
    return images[:, :, top : top + side, left : left + side]


def _look(images: Tensor) -> Tensor:
    """[N, 3 · cells²] of length 1."""
    small = F.adaptive_avg_pool2d(images.float(), min(_CELLS, images.shape[-1])).flatten(2)
    return F.normalize((small - small.mean(2, keepdim=True)).flatten(1), dim=1)


def copy_distance(photos: Tensor, who: Tensor) -> float:
    """What copies are nearer than: the `ORDINARY` quantile of the distances between two photos of
    one person, uint8 [N, 3, S, S] and int64 [N], all pairs."""
    pairs = []
    for person in torch.unique(who).tolist():
        own = photos[who == person]
        first, second = torch.triu_indices(len(own), len(own), 1)
        pairs.append(distances(own, own)[first, second])
    ordered = torch.cat(pairs).sort().values
    return float(ordered[int(ORDINARY * len(ordered))])


def are_copies(
    pictures: Tensor, sources: Tensor, photos: Tensor, limit: float, own: Tensor | None = None
) -> Tensor:
    """bool [N]: whether each of the pictures uint8 [N, 3, S, S] is nearest to its source among all
    photos uint8 [M, 3, S, S], and nearer than `limit`. `sources` int64 [N] are places among the
    photos; `own`, where pictures are photos, their own places, which do not count."""
    found = []
    for rows in _chunks(len(pictures)):
        apart = distances(pictures[rows], photos)
        if own is not None:
            apart[torch.arange(len(apart)), own[rows]] = torch.inf
        nearest, place = apart.min(1)
        found.append((place == sources[rows]) & (nearest < limit))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.bool)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))
