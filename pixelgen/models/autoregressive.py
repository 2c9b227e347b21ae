"""What every autoregressive model of a grid has to offer, and defaults for most of it.

The easiest way to write another network is a subclass of `GridNetwork` with a `config`, a
`likelihood` and `parameters_of`, which calls `add_conditions` at the end of `__init__` and is named
in the `network` of its configuration. It can then be trained, scored and sampled (naively, unless
`pixelgen.sampling.SAMPLERS` has a faster sampler for it).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor, nn

from pixelgen.models.conditioning import Condition, ConditionedNetwork
from pixelgen.models.config import GridConfig
from pixelgen.models.hub_methods import HubMethods
from pixelgen.models.likelihood import Likelihood, to_signed


class AutoregressiveModel(Protocol):
    """p(x | condition) of pictures x [B, C, H, W] with integer values 0 … levels - 1.

    The network sees a *grid* [B, C', H', W'], the picture or a rearrangement of it, and predicts
    its values in raster order and channel by channel (section 2, equation 1): the parameters of
    channel c at row i and column j depend on the values before it alone.
    """

    training: bool

    @property
    def config(self) -> GridConfig:
        """Everything needed to build the network again."""

    @property
    def likelihood(self) -> Likelihood:
        """The distribution of one position's channels."""

    # The condition

    def null_condition(self, batch: int) -> Condition:
        """The condition "nothing known" for `batch` pictures."""

    def complete_condition(self, condition: Condition | None, batch: int) -> Condition:
        """`condition` with every missing part taken from the null condition. Raises ValueError for
        parts that the model does not read or whose shapes do not fit."""

    def drop_condition(self, condition: Condition, dropped: Tensor) -> Condition:
        """`condition` with the rows where `dropped` [B] is true replaced by the null condition."""

    # The picture and its grid

    def to_grid(self, x: Tensor) -> Tensor:
        """Pictures [B, C, H, W] → grids [B, C', H', W']."""

    def from_grid(self, grid: Tensor) -> Tensor:
        """Inverse of `to_grid`."""

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C', H', W'] → numbers [B, C'·e, H', W'], what the network reads."""

    # The distribution

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """An embedded grid and its complete condition → parameters of the likelihood,
        [B, H', W', C', P] (C' is 1 for a coupled likelihood)."""

    def log_prob(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """log p of every value given all before it, [B, C, H, W] in nats."""

    # Of nn.Module

    def __call__(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures [B, C, H, W] → parameters of the likelihood, as `parameters_of`."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """See nn.Module."""

    def train(self, mode: bool = True) -> object:
        """See nn.Module."""

    def eval(self) -> object:
        """See nn.Module."""


class GridNetwork(ConditionedNetwork, HubMethods):
    """Defaults for an `AutoregressiveModel` whose grid is the picture itself; a subclass needs
    `config`, `likelihood` and `parameters_of`."""

    config: GridConfig
    likelihood: Likelihood

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate, relative to the others."""
        return {}

    def to_grid(self, x: Tensor) -> Tensor:
        """Pictures [B, C, H, W] → grids, here the pictures themselves."""
        return x

    def from_grid(self, grid: Tensor) -> Tensor:
        """Inverse of `to_grid`."""
        return grid

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C, H, W] → numbers in -1 … 1."""
        return to_signed(grid, self.config.levels)

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """Parameters of the likelihood of an embedded grid, [B, H, W, C or 1, P]."""
        raise NotImplementedError

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures [B, C, H, W] → parameters of the likelihood, [B, H, W, C or 1, P].

        Raises ValueError for a condition that does not fit the model.
        """
        condition = self.complete_condition(condition, len(x))
        return self.parameters_of(self.embed(self.to_grid(x)), condition)

    def log_prob(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """log p of every value given all before it, [B, C, H, W] in nats (equation 1).

        Raises ValueError for a condition that does not fit the model.
        """
        parameters = self(x, condition)
        grid = self.to_grid(x).permute(0, 2, 3, 1)  # [B, H, W, C]
        log_prob = self.likelihood.log_prob(parameters, grid).permute(0, 3, 1, 2)  # [B, C, H, W]
        return self.from_grid(log_prob)
