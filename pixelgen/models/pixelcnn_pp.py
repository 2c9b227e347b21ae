"""PixelCNN++: Salimans et al. 2017, "PixelCNN++: Improving the PixelCNN with Discretized Logistic
Mixture Likelihood and Other Modifications" (arXiv 1701.05517).

Two streams of gated residual blocks: `down` sees the rows above a position, `down_right` reads it
and also sees the position's own row to the left. No weight is masked: the first layer's results are
shifted so that they lack the position itself, and no filter reaches down, nor those of `down_right`
to the right. Strided convolutions halve the resolution, transposed ones double it again, and every
block on the way up reads its counterpart on the way down (sections 2.3 and 2.4). The channels of a
position depend on each other through the likelihood alone (section 2.2).

Layers and parameters are those of the authors' code, https://github.com/openai/pixel-cnn, which has
one block more than the paper says at each resolution on the way up but the lowest. As there, all
filters are weight-normalised (Salimans, Kingma 2016). But their first lengths do not come from a
batch of data: they are those for which maps of variance 1 give maps of variance 1 (.01 in the
second convolution of a block), so that a network depends on its seed alone. The mixture starts with
its components spread over the range of values (`Likelihood.initial_bias`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import ClassTable, Condition
from pixelgen.models.config import PixelCNNPPConfig
from pixelgen.models.heads import PointwiseHead
from pixelgen.models.likelihood import build_likelihood
from pixelgen.models.masked_conv import PaddedConv2d, scale_init, shift_down, shift_right

ELU_GAIN = 0.645**-0.5
"""The mean square of `concat_elu` of normal numbers of variance 1 is .645."""

_N = TypeVar("_N", bound=nn.Module)


def concat_elu(x: Tensor) -> Tensor:
    """[B, P, …] → [B, 2P, …]: an exponential linear unit of x and one of -x."""
    return F.elu(torch.cat((x, -x), 1))


def normalised(conv: _N, gain: float = 1.0, out_dim: int = 0) -> _N:
    """The convolution with weight normalisation: every filter is a direction times a length. Maps
    of mean square 1 give maps of mean square gain²."""
    assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
    assert conv.bias is not None
    if isinstance(conv, nn.Conv2d):
        scale_init(conv, gain)
    else:  # of a filter with stride 2, a quarter reaches each position of the output on average
        area = conv.kernel_size[0] * conv.kernel_size[1] / 4
        nn.init.normal_(conv.weight, std=gain * (conv.in_channels * area) ** -0.5)
    nn.init.zeros_(conv.bias)
    weight_norm(conv, dim=out_dim)
    return conv


def down_conv(in_features: int, out_features: int, gain: float, stride: int = 1) -> PaddedConv2d:
    """A 2×3 convolution over this row and the one above."""
    conv = PaddedConv2d(in_features, out_features, (2, 3), (1, 1, 1, 0), stride=stride)
    return normalised(conv, gain)


def down_right_conv(
    in_features: int, out_features: int, gain: float, stride: int = 1
) -> PaddedConv2d:
    """A 2×2 convolution over this position, the ones to the left and above, and the one between."""
    conv = PaddedConv2d(in_features, out_features, (2, 2), (1, 0, 1, 0), stride=stride)
    return normalised(conv, gain)


class Streams(NamedTuple):
    """The maps of both streams, [B, P, H, W] each."""

    down: Tensor
    down_right: Tensor


class GatedResidualBlock(nn.Module):
    """x + a ⊙ sigmoid(b), where a and b are maps of two convolutions of x (the gate is
    that of the authors' code), with dropout between them (section 2.5)."""

    def __init__(
        self,
        config: PixelCNNPPConfig,
        build_conv: Callable[[int, int, float], PaddedConv2d],
        shortcut_features: int,
    ) -> None:
        super().__init__()
        features = config.features
        self.first = build_conv(2 * features, features, ELU_GAIN)
        self.shortcut = (
            normalised(nn.Conv2d(2 * shortcut_features, features, 1), ELU_GAIN)
            if shortcut_features
            else None
        )
        self.dropout = nn.Dropout(config.dropout)
        self.second = build_conv(2 * features, 2 * features, 0.1 * ELU_GAIN)
        self.table = ClassTable(config.classes, 2 * features) if config.classes else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, x: Tensor, shortcut: Tensor | None, classes: Tensor | None) -> Tensor:
        """[B, P, H, W], what the short-cut reads [B, S, H, W] and classes [B] → [B, P, H, W]."""
        y = self.first(concat_elu(x))  # [B, P, H, W]
        if self.shortcut is not None:
            assert shortcut is not None
            y = y + self.shortcut(concat_elu(shortcut))
        y = self.second(self.dropout(concat_elu(y)))  # [B, 2P, H, W]
        if self.table is not None:
            y = y + self.table(classes)[:, :, None, None]
        return x + F.glu(y, dim=1)


class BlockPair(nn.Module):
    """A block of each stream. On the way up both also read what their counterpart on the way down
    computed."""

    def __init__(self, config: PixelCNNPPConfig, up: bool) -> None:
        super().__init__()
        features = config.features
        self.down = GatedResidualBlock(config, down_conv, features if up else 0)
        self.down_right = GatedResidualBlock(
            config, down_right_conv, 2 * features if up else features
        )

    def forward(self, x: Streams, counterpart: Streams | None, classes: Tensor | None) -> Streams:
        """Streams and classes [B] → streams of the same size."""
        if counterpart is None:
            down = shortcut = self.down(x.down, None, classes)
        else:
            down = self.down(x.down, counterpart.down, classes)
            shortcut = torch.cat((down, counterpart.down_right), 1)  # [B, 2P, H, W]
        return Streams(down, self.down_right(x.down_right, shortcut, classes))


class FirstLayer(nn.Module):
    """The picture → both streams, which lack the position itself."""

    def __init__(self, in_features: int, features: int) -> None:
        super().__init__()
        self.down = down_conv(in_features, features, 1.0)
        self.above = normalised(PaddedConv2d(in_features, features, (1, 3), (1, 1, 0, 0)))
        self.left = normalised(PaddedConv2d(in_features, features, (2, 1), (0, 0, 1, 0)))

    def forward(self, x: Tensor) -> Streams:
        """[B, C, H, W] → [B, P, H, W] each."""
        down_right = shift_down(self.above(x)) + shift_right(self.left(x))
        return Streams(shift_down(self.down(x)), down_right)


class Downsample(nn.Module):
    """Half the resolution by strided convolutions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.down = down_conv(features, features, 1.0, stride=2)
        self.down_right = down_right_conv(features, features, 1.0, stride=2)

    def forward(self, x: Streams) -> Streams:
        """[B, P, 2N, 2M] → [B, P, N, M] each."""
        return Streams(self.down(x.down), self.down_right(x.down_right))


class Upsample(nn.Module):
    """Twice the resolution by transposed convolutions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        down = nn.ConvTranspose2d(features, features, (2, 3), stride=2)
        down_right = nn.ConvTranspose2d(features, features, 2, stride=2)
        self.down = normalised(down, out_dim=1)
        self.down_right = normalised(down_right, out_dim=1)

    def forward(self, x: Streams) -> Streams:
        """[B, P, N, M] → [B, P, 2N, 2M] each."""
        return Streams(self.upsample_down(x.down), self.down_right(x.down_right))

    def upsample_down(self, x: Tensor) -> Tensor:
        """[B, P, N, M] → [B, P, 2N, 2M] of the first stream."""
        wide: Tensor = self.down(x)  # [B, P, 2N, 2M + 1]: a filter reaches one column to the left
        return wide[..., 1:]


class Resolution(nn.Module):
    """The blocks of one resolution: on the way down, then what the lower resolutions compute of
    their result, then on the way up."""

    def __init__(self, config: PixelCNNPPConfig, resolutions: int) -> None:
        """`resolutions`: this one and the lower ones."""
        super().__init__()
        lowest = resolutions == 1
        self.way_down = nn.ModuleList(BlockPair(config, up=False) for _ in range(config.layers))
        self.downsample = None if lowest else Downsample(config.features)
        self.lower = None if lowest else Resolution(config, resolutions - 1)
        self.upsample = None if lowest else Upsample(config.features)
        count = config.layers if lowest else config.layers + 1
        self.way_up = nn.ModuleList(BlockPair(config, up=True) for _ in range(count))

    def forward(self, x: Streams, classes: Tensor | None) -> Streams:
        """Streams and classes [B] → streams of the same size."""
        kept = [x]
        for block in self.way_down:
            x = block(x, None, classes)
            kept.append(x)
        if self.downsample is None or self.lower is None or self.upsample is None:
            kept.pop()  # it would be its own counterpart
        else:
            x = self.upsample(self.lower(self.downsample(x), classes))
        for block in self.way_up:
            x = block(x, kept.pop(), classes)
        return x


class PixelCNNPP(GridNetwork):
    """p(x | class) of a picture x [B, C, H, W] with values 0 … levels - 1."""

    config: PixelCNNPPConfig

    def __init__(self, config: PixelCNNPPConfig) -> None:
        super().__init__()
        self.config = config
        self.likelihood = build_likelihood(config, config.channels, coupled=True)
        self.first = FirstLayer(config.channels + 1, config.features)
        self.resolution = Resolution(config, config.resolutions)
        self.head = PointwiseHead(config.features, 1, 1, self.likelihood, relu=False)
        weight_norm(self.head.out)
        self.add_conditions()

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded picture, [B, H, W, 1, P]."""
        x = self.resolution(self.first(with_ones(embedded)), condition.classes)
        out: Tensor = self.head(F.elu(x.down_right), embedded)  # [B, P, H, W]
        return out.permute(0, 2, 3, 1).unsqueeze(-2)


def with_ones(embedded: Tensor) -> Tensor:
    """[B, C, …] → [B, C + 1, …]: one more channel tells the picture from the zeros around it."""
    return torch.cat((embedded, torch.ones_like(embedded[:, :1])), 1)
