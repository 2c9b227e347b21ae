"""What a picture is conditioned on: a class, a vector h, a map s, be it given or s = m(h).

van den Oord et al. 2016 (Conditional Image Generation with PixelCNN Decoders), section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Condition:
    """Conditions of a batch of B pictures; what is None does not take part."""

    classes: Tensor | None = None
    """[B] integers; the number of classes itself stands for "no class"."""
    vector: Tensor | None = None
    """[B, D] numbers, the h of the paper."""
    map: Tensor | None = None
    """[B, S, H, W] numbers on the grid after space-to-depth: an s that is not made of h alone."""

    @property
    def empty(self) -> bool:
        """Nothing is told."""
        return all(each is None for each in (self.classes, self.vector, self.map))

    def to(self, device: torch.device | str) -> Condition:
        """The same condition on another device."""
        return self._each(lambda t: t.to(device))

    def repeat(self, times: int) -> Condition:
        """Every picture's condition `times` in a row: [B] → [B · times]."""
        return self._each(lambda t: t.repeat_interleave(times, dim=0))

    def __getitem__(self, rows: slice | Tensor) -> Condition:
        return self._each(lambda t: t[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Condition:
        return Condition(
            None if self.classes is None else change(self.classes),
            None if self.vector is None else change(self.vector),
            None if self.map is None else change(self.map),
        )

    @staticmethod
    def cat(*parts: Condition) -> Condition:
        """Batches after one another; all must hold the same kinds of condition."""

        def join(each: list[Tensor | None]) -> Tensor | None:
            given = [t for t in each if t is not None]
            if given and len(given) < len(each):
                raise ValueError("conditions of different kinds cannot be joined")
            return torch.cat(given) if given else None

        return Condition(
            join([p.classes for p in parts]),
            join([p.vector for p in parts]),
            join([p.map for p in parts]),
        )


class LayerCondition(nn.Module):
    """The terms V_f, V_g of one layer for both stacks (equations 4 and 5): 4p maps.

    The first 2p belong to the vertical stack, the last 2p to the horizontal one.
    """

    def __init__(self, features: int, classes: int, vector: int, map_channels: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes + 1, 4 * features) if classes else None
        self.linear = nn.Linear(vector, 4 * features, bias=False) if vector else None
        self.map = nn.Conv2d(map_channels, 4 * features, 1, bias=False) if map_channels else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, condition: Condition, s: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Both stacks' terms, [B, 2p, 1 or H, 1 or W] each, or None where nothing conditions."""
        total: Tensor | None = None
        if self.table is not None:
            total = self.table(condition.classes)[:, :, None, None]
        if self.linear is not None:
            bias = self.linear(condition.vector)[:, :, None, None]
            total = bias if total is None else total + bias
        if self.map is not None:
            placed = self.map(s)
            total = placed if total is None else total + placed
        if total is None:
            return None
        vertical, horizontal = total.chunk(2, dim=1)
        return vertical, horizontal


class MapNetwork(nn.Module):
    """The deconvolutional network m: a vector h [B, D] → a map s [B, S, H, W]."""

    def __init__(self, vector: int, channels: int, height: int, width: int) -> None:
        super().__init__()
        doublings = 0
        while doublings < 3 and min(height, width) >> doublings > 4:
            doublings += 1
        self.size = (height, width)
        step = 2**doublings
        self.base = (-(-height // step), -(-width // step))
        start = max(channels, 64)
        self.project = nn.Linear(vector, start * self.base[0] * self.base[1])
        widths = [max(channels, start >> i) for i in range(doublings + 1)]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        s = self.project(h).unflatten(1, (-1, *self.base))
        for layer in self.up:
            s = layer(torch.relu(s))
        return self.last(torch.relu(s))[:, :, : self.size[0], : self.size[1]]
