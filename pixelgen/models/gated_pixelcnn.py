"""Gated PixelCNN over any grid of discrete values.

van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu, "Conditional Image Generation
with PixelCNN Decoders", 2016 (arXiv 1606.05328). The network with `channel_order="groups"` and no
option switched on is the paper's (Figure 2). Deviations, each behind a switch of the configuration:

- `patch`: the picture is rearranged to a coarser grid with more channels (space-to-depth). The
  factorisation stays exact, only its order changes: patches in raster order, and row by row inside
  a patch.
- `channel_order="head"`: the stacks see whole positions, and a small network (`ChannelHead`) makes
  the channels of one position autoregressive; `"likelihood"`: PixelCNN++'s coupled mixture does.
- `vertical_residual`, `skip_outputs`, `input_skip`, `normalisation`, `dropout`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import Condition, LayerCondition
from pixelgen.models.config import GatedPixelCNNConfig
from pixelgen.models.heads import build_head
from pixelgen.models.layers import ChannelNorm, gate
from pixelgen.models.likelihood import build_likelihood
from pixelgen.models.masked_conv import (
    MaskedConv2d,
    horizontal_conv,
    pointwise,
    pointwise_halves,
    scale_init,
    shift_down,
    vertical_conv,
)


class LayerOutput(NamedTuple):
    """The results of one layer."""

    vertical: Tensor
    """[B, P, H, W]: v of the next layer."""
    horizontal: Tensor
    """[B, P, H, W]: h of the next layer."""
    before_gate: Tensor
    """[B, 2P, H, W]: the horizontal maps before the gate."""
    skip: Tensor | None
    """[B, P, H, W]: the skip output, if the network has any."""


class GatedLayer(nn.Module):
    """One layer of both stacks (Figure 2 of the paper)."""

    def __init__(self, config: GatedPixelCNNConfig, index: int) -> None:
        super().__init__()
        p, first, last = config.features, index == 0, index == config.layers
        in_features, kernel = p, config.kernel
        if first:
            table = config.embedding_features if config.embedding == "table" else 1
            in_features, kernel = config.grid_channels * table, config.first_kernel
        groups = config.channel_groups
        if first and groups == 1:
            # Without channel groups mask A hides the whole current position.
            empty = torch.ones(2 * p, in_features, 1, kernel // 2 + 1)
            empty[..., -1] = 0
            self.horizontal: nn.Conv2d = MaskedConv2d(
                in_features, 2 * p, (1, kernel // 2 + 1), empty, (kernel // 2, 0, 0, 0)
            )
        else:
            self.horizontal = horizontal_conv(
                in_features, 2 * p, kernel, groups, "A" if first else "B"
            )
        self.vertical = vertical_conv(in_features, 2 * p, kernel)
        self.vertical_to_horizontal = pointwise(2 * p, 2 * p, 1)
        self.residual = not first
        # The last layer's vertical maps are not used, nor with skip outputs its horizontal ones.
        vertical_residual = config.vertical_residual and not first and not last
        self.vertical_out = pointwise(p, p, 1) if vertical_residual else None
        self.out = None if config.skip_outputs and last else pointwise(p, p, groups)
        self.skip = pointwise(p, p, groups) if config.skip_outputs else None
        normalise = config.normalisation == "channel" and not first
        self.vertical_norm = ChannelNorm(in_features, 1) if normalise else None
        self.horizontal_norm = ChannelNorm(in_features, groups) if normalise else None
        self.condition = LayerCondition(config)
        self.dropout = nn.Dropout(config.dropout)
        self._initialise(config)

    def _initialise(self, config: GatedPixelCNNConfig) -> None:
        """Gates start in their curved part, and all layers contribute about equally."""
        # A gate of two standard normal numbers has a standard deviation of about a third.
        weak = self.vertical_norm is None and not config.vertical_residual and self.residual
        scale_init(self.vertical, 3.0 if weak else 1.0)
        for conv in (self.horizontal, self.vertical_to_horizontal):
            scale_init(conv, math.sqrt(0.5))
        for out in (self.vertical_out, self.out):
            if out is not None:
                scale_init(out)
        if self.skip is not None:
            scale_init(self.skip, 3.0 / math.sqrt(config.layers + 1))

    def forward(self, v: Tensor, h: Tensor, condition: Condition, s: Tensor | None) -> LayerOutput:
        """v, h [B, in, H, W], the complete condition and its map → the layer's results."""
        terms = self.condition(condition, s)
        vertical = self.vertical(v if self.vertical_norm is None else self.vertical_norm(v))
        if terms is not None:
            vertical = vertical + terms.vertical  # [B, 2P, H, W]
        # The vertical maps enter before their gate, shifted down so that only rows above are seen.
        before = self.horizontal(h if self.horizontal_norm is None else self.horizontal_norm(h))
        before = before + shift_down(self.vertical_to_horizontal(vertical))
        if terms is not None:
            before = before + terms.horizontal  # [B, 2P, H, W]
        next_v = gate(vertical)  # [B, P, H, W]
        if self.vertical_out is not None:
            next_v = v + self.vertical_out(next_v)
        gated = self.dropout(gate(before))  # [B, P, H, W]
        next_h = gated if self.out is None else self.out(gated)
        if self.residual and self.out is not None:
            next_h = h + next_h
        skip = None if self.skip is None else self.skip(gated)
        return LayerOutput(next_v, next_h, before, skip)


class GatedPixelCNN(GridNetwork):
    """p(x | condition) of a grid x [B, C, H, W] with values 0 … levels - 1."""

    config: GatedPixelCNNConfig

    def __init__(self, config: GatedPixelCNNConfig) -> None:
        super().__init__()
        self.config = config
        channels, p, groups = config.grid_channels, config.features, config.channel_groups
        self.tables = (
            nn.Parameter(torch.randn(channels, config.levels, config.embedding_features))
            if config.embedding == "table"
            else None
        )
        in_features = channels * (config.embedding_features if self.tables is not None else 1)
        self.embedded_channels = in_features
        """C·e, the channels of an embedded grid."""
        self.likelihood = build_likelihood(
            config, channels, coupled=config.channel_order == "likelihood"
        )
        self.first = GatedLayer(config, 0)
        self.layers = nn.ModuleList(
            GatedLayer(config, index) for index in range(1, config.layers + 1)
        )
        self.out_1x1 = pointwise(p, config.output_features, groups)
        self.input_skip = (
            pointwise_halves(2 * p, config.output_features, groups) if config.input_skip else None
        )
        self.head = build_head(config, in_features, self.likelihood)
        # A ReLU leaves half of the variance.
        both = 1.0 if self.input_skip is None else math.sqrt(0.5)
        scale_init(self.out_1x1, both * math.sqrt(2.0))
        if self.input_skip is not None:
            scale_init(self.input_skip, both)
        self.add_conditions()

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate, relative to the others."""
        return {f"head.{name}": rate for name, rate in self.head.learning_rates().items()}

    def to_grid(self, x: Tensor) -> Tensor:
        """A picture [B, C, H, W] → its grid [B, C·r², H/r, W/r].

        Channels of the grid are ordered row, column, channel of the patch: (0,0)R (0,0)G (0,0)B …
        """
        r = self.config.patch
        if r == 1:
            return x
        b, c, height, width = x.shape
        x = x.view(b, c, height // r, r, width // r, r)  # [B, C, H/r, r, W/r, r]
        x = x.permute(0, 3, 5, 1, 2, 4)  # [B, r, r, C, H/r, W/r]
        return x.reshape(b, r * r * c, height // r, width // r)  # [B, C·r², H/r, W/r]

    def from_grid(self, grid: Tensor) -> Tensor:
        """Inverse of `to_grid`."""
        r = self.config.patch
        if r == 1:
            return grid
        b, c, height, width = grid.shape
        grid = grid.view(b, r, r, c // (r * r), height, width)  # [B, r, r, C, H/r, W/r]
        grid = grid.permute(0, 3, 4, 1, 5, 2)  # [B, C, H/r, r, W/r, r]
        return grid.reshape(b, c // (r * r), height * r, width * r)  # [B, C, H, W]

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C, H, W] → numbers [B, C·e, H, W]."""
        if self.tables is None:
            return super().embed(grid)
        channel = torch.arange(grid.shape[1], device=grid.device)[:, None, None]  # [C, 1, 1]
        rows = self.tables[channel, grid]  # [B, C, H, W, e]
        return rows.permute(0, 1, 4, 2, 3).flatten(1, 2)  # [B, C·e, H, W]

    def context(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The features from which the head predicts: [B, C·e, H, W] → [B, F, H, W]."""
        s = self.condition_map(condition)
        v, h, linear, total = self.first(embedded, embedded, condition, s)
        for layer in self.layers:
            v, h, _, skip = layer(v, h, condition, s)
            if skip is not None:
                total = total + skip
        context: Tensor = self.out_1x1(F.relu(h if total is None else total))  # [B, F, H, W]
        if self.input_skip is not None:
            context = context + self.input_skip(linear)
        return context

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded grid, [B, H, W, C or 1, P]."""
        out = self.head(self.context(embedded, condition), embedded)  # [B, C·P, H, W]
        out = out.permute(0, 2, 3, 1)  # [B, H, W, C·P]
        parameters: Tensor = out.unflatten(-1, (-1, self.likelihood.parameters_per_value))
        return parameters
