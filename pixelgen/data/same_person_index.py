"""Other pictures of the same person: what a portrait is conditioned on (section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor


class SamePersonIndex:
    """Finds other images of the same person."""

    def __init__(self, people: Tensor, rows: Tensor | None = None) -> None:
        """`people` int64 [N]: the person in each image. Only `rows` (None: all) are found."""
        rows = torch.arange(len(people)) if rows is None else rows
        self._order = rows[people[rows].argsort(stable=True)]
        _, counts = people[self._order].unique_consecutive(return_counts=True)
        first = (counts.cumsum(0) - counts).repeat_interleave(counts)
        self._first, self._count, self._place = (torch.zeros_like(people) for _ in range(3))
        self._first[self._order] = first
        self._count[self._order] = counts.repeat_interleave(counts)
        self._place[self._order] = torch.arange(len(rows)) - first

    def other(self, index: Tensor, chance: Tensor) -> Tensor:
        """For images `index` int64 [B], another image of the same person, chosen by `chance` [B] of
        0 … 1; the image itself where there is no other."""
        count = self._count[index]
        step = 1 + (chance * (count - 1)).long().clamp(max=(count - 2).clamp(min=0))
        place = (self._place[index] + step) % count
        return self._order[self._first[index] + place]


def other_photos(people: Tensor, rows: Tensor) -> Tensor:
    """For each of the images `rows`, another one among them of the same person, always the same;
    the image itself where there is no other."""
    return SamePersonIndex(people, rows).other(rows, torch.zeros(len(rows)))
