"""Gated PixelCNN over any grid of discrete values.

van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu, "Conditional Image Generation
with PixelCNN Decoders", 2016 (arXiv 1606.05328). The network with `channel_order="groups"` and no
option switched on is the paper's (Figure 2). Deviations, each behind a switch of the configuration:

- `patch`: the picture is rearranged to a coarser grid with more channels (space-to-depth). The
  factorisation stays exact, only its order changes: patches in raster order, inside one row by row.
- `channel_order="head"`: the stacks see whole positions, and a small network of its own makes the
  channels of one position autoregressive; `"likelihood"`: PixelCNN++'s coupled mixture does.
- `vertical_residual`, `skip_outputs`, `input_skip`, `normalisation`, `dropout`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition, LayerCondition, MapNetwork
from pixelgen.models.config import GatedPixelCNNConfig
from pixelgen.models.likelihood import build_likelihood, set_bias, to_signed
from pixelgen.models.masked_conv import (
    AnyConv,
    MaskedConv2d,
    channel_mask,
    horizontal_conv,
    pointwise,
    scale_init,
    shift_down,
    vertical_conv,
)


def gate(x: Tensor) -> Tensor:
    """tanh(W_f * x) ⊙ sigmoid(W_g * x), equation 2: [B, 2p, H, W] → [B, p, H, W]."""
    f, g = x.chunk(2, dim=1)
    return torch.tanh(f) * torch.sigmoid(g)


class ChannelNorm(nn.Module):
    """Root-mean-square normalisation over the maps of one position, within each channel group.

    Looking at one position and one group only, it cannot break causality.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.float().unflatten(1, (self.groups, -1))
        scale = torch.rsqrt(grouped.square().mean(2, keepdim=True) + 1e-6)
        return (grouped * scale).flatten(1, 2) * self.weight[:, None, None]


class GatedLayer(nn.Module):
    """One layer of both stacks (Figure 2 of the paper)."""

    def __init__(self, config: GatedPixelCNNConfig, index: int) -> None:
        super().__init__()
        p, first, last = config.features, index == 0, index == config.layers
        in_features, kernel = p, config.kernel
        if first:
            table = config.embedding_features if config.embedding == "table" else 1
            in_features, kernel = config.grid_channels * table, config.first_kernel
        groups = config.grid_channels if config.channel_order == "groups" else 1
        if first and groups == 1:
            # Without channel groups mask A hides the whole current position.
            empty = torch.ones(2 * p, in_features, 1, kernel // 2 + 1)
            empty[..., -1] = 0
            self.horizontal: AnyConv = MaskedConv2d(
                in_features, 2 * p, (1, kernel // 2 + 1), empty, (kernel // 2, 0, 0, 0)
            )
        else:
            self.horizontal = horizontal_conv(
                in_features, 2 * p, kernel, groups, "A" if first else "B"
            )
        self.vertical = vertical_conv(in_features, 2 * p, kernel)
        self.link = pointwise(2 * p, 2 * p, 1)
        self.residual = not first
        # Nobody reads the last layer's vertical maps, nor with skip outputs its horizontal ones.
        vertical_residual = config.vertical_residual and not first and not last
        self.vertical_out = pointwise(p, p, 1) if vertical_residual else None
        self.out = None if config.skip_outputs and last else pointwise(p, p, groups)
        self.skip = pointwise(p, p, groups) if config.skip_outputs else None
        normalise = config.normalisation == "channel" and not first
        self.vertical_norm = ChannelNorm(in_features, 1) if normalise else None
        self.horizontal_norm = ChannelNorm(in_features, groups) if normalise else None
        self.condition = LayerCondition(
            p,
            config.classes,
            config.vector if config.vector_bias else 0,
            config.map_channels + config.given_channels,
        )
        self.dropout = nn.Dropout(config.dropout)
        self._initialise(config)

    def _initialise(self, config: GatedPixelCNNConfig) -> None:
        """Gates start in their curved part, and all layers speak about equally loud."""
        # A gate of two standard normal numbers has a standard deviation of about a third.
        quiet = self.vertical_norm is None and not config.vertical_residual and self.residual
        scale_init(self.vertical, 3.0 if quiet else 1.0)
        for conv in (self.horizontal, self.link):
            scale_init(conv, math.sqrt(0.5))
        for out in (self.vertical_out, self.out):
            if out is not None:
                scale_init(out)
        if self.skip is not None:
            scale_init(self.skip, 3.0 / math.sqrt(config.layers + 1))

    def forward(
        self, v: Tensor, h: Tensor, condition: Condition, s: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """v, h [B, in, H, W] → vertical and horizontal maps [B, p, H, W], the horizontal maps
        before the gate [B, 2p, H, W], and the layer's skip output [B, p, H, W] or None."""
        terms = self.condition(condition, s)
        vertical = self.vertical(v if self.vertical_norm is None else self.vertical_norm(v))
        if terms is not None:
            vertical = vertical + terms[0]
        # The link sees the vertical maps before their gate and, moved down, only rows above.
        before = self.horizontal(h if self.horizontal_norm is None else self.horizontal_norm(h))
        before = before + shift_down(self.link(vertical))
        if terms is not None:
            before = before + terms[1]
        next_v = gate(vertical)
        if self.vertical_out is not None:
            next_v = v + self.vertical_out(next_v)
        gated = self.dropout(gate(before))
        next_h = gated if self.out is None else self.out(gated)
        if self.residual and self.out is not None:
            next_h = h + next_h
        return next_v, next_h, before, None if self.skip is None else self.skip(gated)


class LinearMean(nn.Module):
    """A linear prediction of every channel from the context and the channels before it.

    It starts as the prediction that lossless coders make in a patch: the same colour of the pixel
    before, moved as the colour before it has moved.
    """

    def __init__(self, config: GatedPixelCNNConfig, in_features: int, channels: int) -> None:
        super().__init__()
        self.context = nn.Conv2d(config.output_features, channels, 1)
        allowed = channel_mask(in_features, channels, channels, "A")
        self.coupling = MaskedConv2d(
            in_features, channels, (1, 1), allowed[:, :, None, None], bias=False
        )
        nn.init.zeros_(self.context.weight)
        nn.init.zeros_(self.coupling.weight)
        if in_features == channels:
            colours = config.channels
            with torch.no_grad():
                for c in range(channels):
                    if c >= colours:
                        self.coupling.weight[c, c - colours] = 1.0
                    if c % colours:
                        self.coupling.weight[c, c - 1] = 1.0
                    if c >= colours and c % colours:
                        self.coupling.weight[c, c - colours - 1] = -1.0

    def forward(self, context: Tensor, embedded: Tensor) -> Tensor:
        """[B, F, H, W] and the embedded grid [B, C·e, H, W] → [B, C, H, W]."""
        total: Tensor = self.context(context) + self.coupling(embedded)
        return total


class ChannelHead(nn.Module):
    """The channels of one position, one after the other, given the stacks' context.

    Hidden units of channel c read the context and the channels before c; a gated linear unit lets
    the context scale what an earlier channel says about a later one.
    """

    def __init__(self, config: GatedPixelCNNConfig, in_features: int, parameters: int) -> None:
        super().__init__()
        channels, hidden = config.grid_channels, config.head_features
        self.channels = channels
        self.context = nn.Conv2d(config.output_features, channels * 2 * hidden, 1)
        allowed = channel_mask(in_features, channels * 2 * hidden, channels, "A")
        self.coupling = MaskedConv2d(
            in_features, channels * 2 * hidden, (1, 1), allowed[:, :, None, None], bias=False
        )
        self.hidden = nn.ModuleList(
            nn.Conv2d(channels * hidden, channels * hidden, 1, groups=channels)
            for _ in range(config.head_layers)
        )
        self.out = nn.Conv2d(channels * hidden, channels * parameters, 1, groups=channels)
        scale_init(self.coupling)
        nn.init.normal_(self.context.weight, std=config.output_features**-0.5)
        with torch.no_grad():  # what is random about the first distributions stays small
            self.out.weight *= 0.1
        self.mixtures = config.mixtures
        self.linear_mean = (
            LinearMean(config, in_features, channels) if config.head_linear_mean else None
        )

    def forward(self, context: Tensor, embedded: Tensor) -> Tensor:
        """[B, F, H, W] and the embedded grid [B, C·e, H, W] → [B, C·P, H, W]."""
        both = self.context(context) + self.coupling(embedded)
        linear, scale = both.unflatten(1, (self.channels, 2, -1)).unbind(2)
        z = (linear * torch.sigmoid(scale)).flatten(1, 2)  # [B, C·hidden, H, W]
        for layer in self.hidden:
            z = z + F.silu(layer(z))
        # Half of a level is lost in bf16: the last layer is exact under autocast too.
        with torch.autocast(z.device.type, enabled=False):
            out: Tensor = self.out(z.to(self.out.weight.dtype))
            if self.linear_mean is None:
                return out
            k = self.mixtures
            weights, means, scales = out.unflatten(1, (self.channels, -1)).split(k, dim=2)
            moved = means + self.linear_mean(context.to(out.dtype), embedded)[:, :, None]
            return torch.cat((weights, moved, scales), 2).flatten(1, 2)


class GatedPixelCNN(nn.Module):
    """p(x | condition) of a grid x [B, C, H, W] with values 0 … levels - 1."""

    def __init__(self, config: GatedPixelCNNConfig) -> None:
        super().__init__()
        self.config = config
        channels, p = config.grid_channels, config.features
        groups = channels if config.channel_order == "groups" else 1
        self.tables = (
            nn.Parameter(torch.randn(channels, config.levels, config.embedding_features))
            if config.embedding == "table"
            else None
        )
        in_features = channels * (config.embedding_features if self.tables is not None else 1)
        self.likelihood = build_likelihood(
            config, channels, coupled=config.channel_order == "likelihood"
        )
        parameters = self.likelihood.parameters_per_value
        outputs = parameters * (1 if self.likelihood.coupled else channels)

        self.first = GatedLayer(config, 0)
        self.layers = nn.ModuleList(
            GatedLayer(config, index) for index in range(1, config.layers + 1)
        )
        self.mix = pointwise(p, config.output_features, groups)
        self.input_skip = (
            pointwise_halves(2 * p, config.output_features, groups) if config.input_skip else None
        )
        if config.channel_order == "head":
            self.head: nn.Module = ChannelHead(config, in_features, parameters)
        else:
            self.head = pointwise(config.output_features, outputs, groups)
        # What has passed a ReLU has half of the variance left.
        both = 1.0 if self.input_skip is None else math.sqrt(0.5)
        scale_init(self.mix, both * math.sqrt(2.0))
        if self.input_skip is not None:
            scale_init(self.input_skip, both)
        set_bias(
            self.head.out if isinstance(self.head, ChannelHead) else self.head, self.likelihood
        )
        if config.head_linear_mean and isinstance(self.head, ChannelHead):
            with torch.no_grad():  # what a prediction leaves over is spread less widely
                bias = self.head.out.bias.view(channels, 3, -1)  # type: ignore[union-attr]
                bias[:, 1] *= 0.4
                bias[:, 2] -= 1.0
        self.map_network = (
            MapNetwork(config.vector, config.map_channels, config.grid_height, config.grid_width)
            if config.map_channels
            else None
        )
        self.null_vector = nn.Parameter(torch.zeros(config.vector)) if config.vector else None
        self.null_map = (
            nn.Parameter(torch.zeros(config.given_channels)) if config.given_channels else None
        )
        self.class_vectors = (
            ClassPrior(
                config.classes, config.vector_components, config.vector, config.vector_features
            )
            if config.vector_components
            else None
        )

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate, relative to the others.

        A step of Adam changes a mean by up to the learning rate times the sum of what it is made
        of. The means of sharp distributions bear only a fraction of what other maps do.
        """
        if not isinstance(self.head, ChannelHead):
            return {}
        rates = {"head.out.weight": 0.1}
        if self.head.linear_mean is not None:
            rates["head.linear_mean.coupling.weight"] = 0.1
            rates["head.linear_mean.context.weight"] = 0.01
        return rates

    # Conditions

    def null_condition(self, batch: int) -> Condition:
        """The condition "nothing known" for `batch` pictures: the null class, vector and map."""
        classes = vector = s = None
        device = self.mix.weight.device
        if self.config.classes:
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
        """`condition` with what it leaves open filled by the null condition.

        Raises ValueError where it holds something that this model does not read, or whose shape
        does not fit.
        """
        null = self.null_condition(batch)
        if condition is None:
            return null
        if condition.classes is not None:
            if not self.config.classes:
                raise ValueError("this model has no class condition")
            if condition.classes.shape != (batch,):
                raise ValueError(f"classes must have the shape ({batch},)")
        if condition.vector is not None:
            if not self.config.vector:
                raise ValueError("this model has no condition vector")
            if condition.vector.shape != (batch, self.config.vector):
                raise ValueError(f"the vector must have the shape ({batch}, {self.config.vector})")
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
        """s: m(h) and after it what is given, [B, S, H, W] on the grid after space-to-depth, or
        None."""
        given = condition.map if self.config.given_channels else None
        if self.map_network is None:
            return given
        made: Tensor = self.map_network(condition.vector)
        return made if given is None else torch.cat((made, given.to(made.dtype)), 1)

    # Grids and pictures

    def to_grid(self, x: Tensor) -> Tensor:
        """A picture [B, C, H, W] → its grid [B, C·r², H/r, W/r].

        Channels of the grid are ordered row, column, channel of the patch: (0,0)R (0,0)G (0,0)B …
        """
        r = self.config.patch
        if r == 1:
            return x
        b, c, height, width = x.shape
        x = x.view(b, c, height // r, r, width // r, r).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(b, r * r * c, height // r, width // r)

    def from_grid(self, grid: Tensor) -> Tensor:
        """Inverse of `to_grid`."""
        r = self.config.patch
        if r == 1:
            return grid
        b, c, height, width = grid.shape
        grid = grid.view(b, r, r, c // (r * r), height, width).permute(0, 3, 4, 1, 5, 2)
        return grid.reshape(b, c // (r * r), height * r, width * r)

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C, H, W] → numbers [B, C·e, H, W]."""
        if self.tables is None:
            return to_signed(grid, self.config.levels)
        channel = torch.arange(grid.shape[1], device=grid.device)[:, None, None]
        return self.tables[channel, grid].permute(0, 1, 4, 2, 3).flatten(1, 2)

    # The network

    def context(self, embedded: Tensor, condition: Condition) -> Tensor:
        """What both stacks know at every position: [B, C·e, H, W] → [B, F, H, W]."""
        s = self.condition_map(condition)
        v, h, linear, total = self.first(embedded, embedded, condition, s)
        for layer in self.layers:
            v, h, _, skip = layer(v, h, condition, s)
            if skip is not None:
                total = total + skip
        context = self.mix(F.relu(h if total is None else total))
        if self.input_skip is not None:
            context = context + self.input_skip(linear)
        return context

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded grid, [B, H, W, C or 1, P]."""
        context = self.context(embedded, condition)
        if isinstance(self.head, ChannelHead):
            out = self.head(context, embedded)
        else:
            # As in `ChannelHead`: half of a level is lost in bf16.
            with torch.autocast(context.device.type, enabled=False):
                context = context.to(self.mix.weight.dtype)
                out = self.head(F.relu(context) if self.input_skip is None else context)
        return out.permute(0, 2, 3, 1).unflatten(-1, (-1, self.likelihood.parameters_per_value))

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures [B, C, H, W] → the likelihood's parameters on the grid, [B, H, W, C or 1, P]."""
        condition = self.complete_condition(condition, len(x))
        return self.parameters_of(self.embed(self.to_grid(x)), condition)

    def log_prob(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """log p of every value given all before it, [B, C, H, W] in nats (equation 1)."""
        parameters = self(x, condition)
        grid = self.to_grid(x).permute(0, 2, 3, 1)
        return self.from_grid(self.likelihood.log_prob(parameters, grid).permute(0, 3, 1, 2))


def pointwise_halves(in_features: int, out_features: int, groups: int) -> AnyConv:
    """A 1×1 convolution that reads maps before their gate: two halves, each in channel groups."""
    if groups == 1:
        return pointwise(in_features, out_features, 1)
    half = channel_mask(in_features // 2, out_features, groups, "B")
    return MaskedConv2d(
        in_features, out_features, (1, 1), torch.cat((half, half), 1)[:, :, None, None]
    )
