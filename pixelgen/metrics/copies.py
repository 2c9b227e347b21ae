"""Detection of images that copy the photo that they were made from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

ORDINARY = 0.01
"""Share of the pairs of photos of one person that are nearer than the threshold for copies."""
SAME = 5e-3
"""Distance up to which two photos are the same one: 0, and rounding."""
_CELLS = 15
_ROWS = 256


def distances(pictures: Tensor, photos: Tensor) -> Tensor:
    """Distances between images uint8 [N, 3, S, S] and photos uint8 [M, 3, S, S], [N, M] of 0 … 2.

    Robust to brightness, contrast, blur, noise, mirroring and shifts by a pixel in 32: means over a
    coarse grid are compared, less each colour's mean and scaled to length 1, at the best mirroring
    and shift of the photo.
    """
    side = photos.shape[-1]
    step = min(max(side // 32, 1), (side - 1) // 2)
    looks = _look(_window(pictures, step, step, side - 2 * step))
    best = torch.full((len(pictures), len(photos)), -1.0)
    for turned in (photos, photos.flip(3)):
        for top in (0, step, 2 * step):
            for left in (0, step, 2 * step):
                look = _look(_window(turned, top, left, side - 2 * step))
                best = torch.maximum(best, looks @ look.T)
    return (2 - 2 * best).clamp(min=0).sqrt()


def _window(images: Tensor, top: int, left: int, side: int) -> Tensor:
    return images[:, :, top : top + side, left : left + side]


def _look(images: Tensor) -> Tensor:
    """[N, 3 · cells²] of length 1."""
    small = F.adaptive_avg_pool2d(images.float(), min(_CELLS, images.shape[-1])).flatten(2)
    return F.normalize((small - small.mean(2, keepdim=True)).flatten(1), dim=1)


def copy_distance(photos: Tensor, who: Tensor) -> float:
    """The threshold for copies: the `ORDINARY` quantile of the distances between two photos of one
    person, over all pairs of photos uint8 [N, 3, S, S] of people `who` int64 [N], but for pairs of
    the same photo twice: these are copies. `SAME` where there are no others."""
    pairs = []
    for person in torch.unique(who).tolist():
        own = photos[who == person]
        first, second = torch.triu_indices(len(own), len(own), 1)
        pairs.append(distances(own, own)[first, second])
    ordered = torch.cat(pairs).sort().values
    ordered = ordered[ordered > SAME]
    return float(ordered[int(ORDINARY * len(ordered))]) if len(ordered) else SAME


def are_copies(
    pictures: Tensor, sources: Tensor, photos: Tensor, limit: float, own: Tensor | None = None
) -> Tensor:
    """bool [N]: whether each of the images uint8 [N, 3, S, S] is nearest to its source among all
    photos uint8 [M, 3, S, S], and nearer than `limit`. `sources` int64 [N] are rows of the photos;
    so are `own`, for images that are photos themselves, which are not compared to themselves."""
    copied = []
    for rows in _chunks(len(pictures)):
        apart = distances(pictures[rows], photos)
        if own is not None:
            apart[torch.arange(len(apart)), own[rows]] = torch.inf
        nearest, place = apart.min(1)
        copied.append((place == sources[rows]) & (nearest < limit))
    return torch.cat(copied) if copied else torch.zeros(0, dtype=torch.bool)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))
