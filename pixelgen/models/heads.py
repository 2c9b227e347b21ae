"""Heads: from the context that the layers compute to the parameters of the likelihood.

`PointwiseHead` is a single 1×1 layer. `ChannelHead` is a small network that makes the channels of
one position autoregressive, so that the layers before it need no channel groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.config import GatedPixelCNNConfig
from pixelgen.models.likelihood import Likelihood, set_bias
from pixelgen.models.masked_conv import MaskedConv2d, channel_mask, pointwise, scale_init
from pixelgen.models.precision import full_precision


class OutputHead(nn.Module):
    """The interface of all heads."""

    relu: bool
    """A ReLU comes between the context and `context_layers`."""

    @property
    def context_layers(self) -> Sequence[nn.Conv2d]:
        """The 1×1 convolutions that read the context."""
        raise NotImplementedError

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate, relative to the others."""
        return {}

    def forward(self, context: Tensor, embedded: Tensor) -> Tensor:
        """The context [B, F, H, W] and the embedded grid [B, C·e, H, W] → [B, C·P, H, W], the P
        parameters of every channel, in full precision (bf16 would lose half a level)."""
        raise NotImplementedError


class PointwiseHead(OutputHead):
    """One 1×1 convolution, masked between channel groups where there are several."""

    def __init__(
        self,
        in_features: int,
        channels: int,
        groups: int,
        likelihood: Likelihood,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.relu = relu
        outputs = likelihood.parameters_per_value * (1 if likelihood.coupled else channels)
        self.out = pointwise(in_features, outputs, groups)
        set_bias(self.out, likelihood)

    @property
    def context_layers(self) -> Sequence[nn.Conv2d]:
        return (self.out,)

    def forward(self, context: Tensor, embedded: Tensor) -> Tensor:
        with full_precision(context.device):
            context = context.to(self.out.weight.dtype)
            out: Tensor = self.out(F.relu(context) if self.relu else context)
            return out


class LinearMean(nn.Module):
    """A linear prediction of every channel from the context and the channels before it.

    It starts as the prediction that lossless coders make in a patch: the same colour of the pixel
    before, plus the change of the colour before it.
    """

    def __init__(self, config: GatedPixelCNNConfig, in_features: int) -> None:
        super().__init__()
        channels, colours = config.grid_channels, config.channels
        self.context = nn.Conv2d(config.output_features, channels, 1)
        allowed = channel_mask(in_features, channels, channels, "A")
        self.coupling = MaskedConv2d(
            in_features, channels, (1, 1), allowed[:, :, None, None], bias=False
        )
        nn.init.zeros_(self.context.weight)
        nn.init.zeros_(self.coupling.weight)
        if config.embedding == "table":  # nothing to add up
            return
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


class ChannelHead(OutputHead):
    """Predicts the channels of one position one after the other, given the context.

    Hidden units of channel c read the context and the channels before c; a gated linear unit lets
    the context scale what an earlier channel contributes to a later one.
    """

    relu = False

    def __init__(
        self, config: GatedPixelCNNConfig, in_features: int, likelihood: Likelihood
    ) -> None:
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
        outputs = channels * likelihood.parameters_per_value
        self.out = nn.Conv2d(channels * hidden, outputs, 1, groups=channels)
        scale_init(self.coupling)
        nn.init.normal_(self.context.weight, std=config.output_features**-0.5)
        with torch.no_grad():  # the first distributions are hardly random
            self.out.weight *= 0.1
        self.mixtures = config.mixtures
        self.linear_mean = LinearMean(config, in_features) if config.head_linear_mean else None
        set_bias(self.out, likelihood)
        if self.linear_mean is not None:
            assert self.out.bias is not None
            with torch.no_grad():  # the residuals of a prediction are spread less widely
                bias = self.out.bias.view(channels, 3, -1)  # [C, 3, K]
                bias[:, 1] *= 0.4
                bias[:, 2] -= 1.0

    @property
    def context_layers(self) -> Sequence[nn.Conv2d]:
        if self.linear_mean is None:
            return (self.context,)
        return (self.context, self.linear_mean.context)

    def learning_rates(self) -> dict[str, float]:
        """A step of Adam changes a mean by up to the learning rate times the sum of its inputs, and
        the means of sharp distributions bear only a fraction of what other maps do."""
        rates = {"out.weight": 0.1}
        if self.linear_mean is not None:
            rates["linear_mean.coupling.weight"] = 0.1
            rates["linear_mean.context.weight"] = 0.01
        return rates

    def forward(self, context: Tensor, embedded: Tensor) -> Tensor:
        both = self.context(context) + self.coupling(embedded)  # [B, C·2·hidden, H, W]
        linear, scale = both.unflatten(1, (self.channels, 2, -1)).unbind(2)
        z = (linear * torch.sigmoid(scale)).flatten(1, 2)  # [B, C·hidden, H, W]
        for layer in self.hidden:
            z = z + F.silu(layer(z))
        with full_precision(z.device):
            out: Tensor = self.out(z.to(self.out.weight.dtype))  # [B, C·P, H, W]
            if self.linear_mean is None:
                return out
            k = self.mixtures
            weights, means, scales = out.unflatten(1, (self.channels, -1)).split(k, dim=2)
            shifted = means + self.linear_mean(context.to(out.dtype), embedded)[:, :, None]
            return torch.cat((weights, shifted, scales), 2).flatten(1, 2)  # [B, C·P, H, W]


def build_head(config: GatedPixelCNNConfig, in_features: int, likelihood: Likelihood) -> OutputHead:
    """The head that `config` asks for, over an embedded grid of `in_features` maps."""
    if config.channel_order == "head":
        return ChannelHead(config, in_features, likelihood)
    groups = config.channel_groups
    return PointwiseHead(
        config.output_features,
        config.grid_channels,
        groups,
        likelihood,
        relu=not config.input_skip,
    )
