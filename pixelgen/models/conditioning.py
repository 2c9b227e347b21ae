"""Conditions of a picture: a class, a vector h, a map s, given or computed as s = m(h).

van den Oord et al. 2016 (Conditional Image Generation with PixelCNN Decoders), section 2.3. A
network that reads conditions is a `ConditionedNetwork`; the terms of one layer are a
`LayerCondition`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.config import GridConfig


@dataclass(frozen=True)
class Condition:
    """The conditions of a batch of B pictures; parts that are None are absent."""

    classes: Tensor | None = None
    """[B] integers; the number of classes itself stands for "no class"."""
    vector: Tensor | None = None
    """[B, D] numbers, the h of the paper."""
    map: Tensor | None = None
    """[B, S, H, W] numbers on the grid after space-to-depth: an s that is not computed from h."""

    @property
    def empty(self) -> bool:
        """Whether all parts are absent."""
        return all(part is None for part in self._parts())

    def to(self, device: torch.device | str) -> Condition:
        """The same condition on another device."""
        return self._apply(lambda t: t.to(device))

    def repeat(self, times: int) -> Condition:
        """The condition of every picture `times` times in a row: [B] → [B · times]."""
        return self._apply(lambda t: t.repeat_interleave(times, dim=0))

    def __getitem__(self, rows: slice | Tensor) -> Condition:
        return self._apply(lambda t: t[rows])

    def _parts(self) -> tuple[Tensor | None, ...]:
        return tuple(getattr(self, part.name) for part in fields(self))

    def _apply(self, function: Callable[[Tensor], Tensor]) -> Condition:
        return Condition(*(None if part is None else function(part) for part in self._parts()))

    @staticmethod
    def cat(*conditions: Condition) -> Condition:
        """The batches one after the other. Raises ValueError unless all have the same parts."""

        def join(parts: Sequence[Tensor | None]) -> Tensor | None:
            present = [t for t in parts if t is not None]
            if present and len(present) < len(parts):
                raise ValueError("conditions of different kinds cannot be joined")
            return torch.cat(present) if present else None

        return Condition(*map(join, zip(*(c._parts() for c in conditions), strict=True)))


class ClassTable(nn.Embedding):
    """A row for every class, and a last one for "no class"."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__(classes + 1, features)

    def interpolate(self, shares: Tensor) -> None:
        """Replaces the classes: row i becomes the mean of the old rows weighted by `shares[i]`,
        [N, classes]; the row of "no class" stays."""
        rows, null = self.weight.data.split((self.num_embeddings - 1, 1))
        mixed = torch.cat((shares.to(rows) @ rows, null))
        self.weight = nn.Parameter(mixed, requires_grad=False)
        self.num_embeddings = len(mixed)


class ConditionTerms(NamedTuple):
    """What a condition adds to the maps of one layer before their gates."""

    vertical: Tensor
    """[B, 2P, 1 or H, 1 or W]."""
    horizontal: Tensor
    """[B, 2P, 1 or H, 1 or W]."""


class LayerCondition(nn.Module):
    """The terms V_f, V_g of one layer for both stacks (equations 4 and 5): 4P maps.

    The first 2P belong to the vertical stack, the last 2P to the horizontal one.
    """

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        maps, channels = 4 * config.features, config.map_channels + config.given_channels
        vector = config.vector if config.vector_bias else 0
        self.table = ClassTable(config.classes, maps) if config.classes else None
        self.linear = nn.Linear(vector, maps, bias=False) if vector else None
        self.map = nn.Conv2d(channels, maps, 1, bias=False) if channels else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, condition: Condition, s: Tensor | None) -> ConditionTerms | None:
        """The terms of a complete condition and its map; None for a model without conditions."""
        total: Tensor | None = None
        if self.table is not None:
            total = self.table(condition.classes)[:, :, None, None]  # [B, 4P, 1, 1]
        if self.linear is not None:
            term = self.linear(condition.vector)[:, :, None, None]  # [B, 4P, 1, 1]
            total = term if total is None else total + term
        if self.map is not None:
            term = self.map(s)  # [B, 4P, H, W]
            total = term if total is None else total + term
        if total is None:
            return None
        return ConditionTerms(*total.chunk(2, dim=1))  # [B, 2P, …] each


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
        s = self.project(h).unflatten(1, (-1, *self.base))  # [B, 64 or S, base rows, base columns]
        for layer in self.up:
            s = layer(torch.relu(s))  # twice the rows and columns
        return self.last(torch.relu(s))[:, :, : self.size[0], : self.size[1]]  # [B, S, H, W]


class ConditionedNetwork(nn.Module):
    """A network of a grid that owns its null condition, the network m, and p(h | class).

    Which conditions it reads follows from the fields of its configuration.
    """

    config: GridConfig

    def add_conditions(self) -> None:
        """Adds the parameters of the conditions; to be called at the end of `__init__`."""
        config = self.config
        self.map_network = (
            MapNetwork(config.vector, config.map_channels, config.grid_height, config.grid_width)
            if config.map_channels
            else None
        )
        self.null_vector = nn.Parameter(torch.zeros(config.vector)) if config.vector else None
        self.null_map = (
            nn.Parameter(torch.zeros(config.given_channels)) if config.given_channels else None
        )
        self.class_prior = (
            ClassPrior(
                config.classes, config.vector_components, config.vector, config.vector_features
            )
            if config.vector_components
            else None
        )

    def null_condition(self, batch: int) -> Condition:
        """The condition "nothing known" for `batch` pictures: the null class, vector and map."""
        classes = vector = s = None
        if self.config.classes:
            device = next(self.parameters()).device
            classes = torch.full((batch,), self.config.classes, device=device)
        if self.null_vector is not None:
            vector = self.null_vector.expand(batch, -1)
        if self.null_map is not None:
            size = (self.config.grid_height, self.config.grid_width)
            s = self.null_map[:, None, None].expand(batch, -1, *size)
        return Condition(classes, vector, s)

    def drop_condition(self, condition: Condition, dropped: Tensor) -> Condition:
        """`condition` with the rows where `dropped` [B] is true replaced by the null condition."""
        null = self.null_condition(len(dropped))
        classes, vector, s = condition.classes, condition.vector, condition.map
        if classes is not None and null.classes is not None:
            classes = torch.where(dropped, null.classes, classes)
        if vector is not None and null.vector is not None:
            vector = torch.where(dropped[:, None], null.vector, vector)
        if s is not None and null.map is not None:
            s = torch.where(dropped[:, None, None, None], null.map, s)
        return Condition(classes, vector, s)

    def complete_condition(self, condition: Condition | None, batch: int) -> Condition:
        """`condition` with every missing part taken from the null condition.

        Raises ValueError for parts that the model does not read or whose shapes do not fit.
        """
        null = self.null_condition(batch)
        if condition is None:
            return null
        if condition.classes is not None:
            if null.classes is None:
                raise ValueError("this model has no class condition")
            if condition.classes.shape != (batch,):
                raise ValueError(f"classes must have the shape ({batch},)")
        if condition.vector is not None:
            if null.vector is None:
                raise ValueError("this model has no condition vector")
            if condition.vector.shape != null.vector.shape:
                raise ValueError(f"the vector must have the shape {tuple(null.vector.shape)}")
        if condition.map is not None:
            if null.map is None:
                raise ValueError("this model has no given map")
            if condition.map.shape != null.map.shape:
                raise ValueError(f"the map must have the shape {tuple(null.map.shape)}")
        return Condition(
            null.classes if condition.classes is None else condition.classes,
            null.vector if condition.vector is None else condition.vector,
            null.map if condition.map is None else condition.map,
        )

    def condition_map(self, condition: Condition) -> Tensor | None:
        """The map s [B, S, H, W] on the grid after space-to-depth: m(h), then the given map; None
        without either."""
        given = condition.map if self.config.given_channels else None
        if self.map_network is None:
            return given
        computed: Tensor = self.map_network(condition.vector)  # [B, map_channels, H, W]
        return computed if given is None else torch.cat((computed, given.to(computed.dtype)), 1)
