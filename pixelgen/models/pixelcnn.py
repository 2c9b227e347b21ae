"""PixelCNN, the baseline: van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3.5.

A masked convolution (mask A), residual blocks of masked convolutions (mask B, Figure 5 left), two
1×1 layers, and a softmax per value. One square masked kernel cannot reach pixels above and far to
the right: the receptive field has a blind spot, which the gated model's two stacks remove.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import ClassTable, Condition
from pixelgen.models.config import PixelCNNConfig
from pixelgen.models.heads import PointwiseHead
from pixelgen.models.likelihood import build_likelihood
from pixelgen.models.masked_conv import Mask, MaskedConv2d, channel_mask, pointwise


def raster_conv(
    in_features: int, out_features: int, kernel: int, groups: int, mask: Mask
) -> MaskedConv2d:
    """An n×n convolution over what precedes a position in raster order (the paper's Figure 2)."""
    reach = kernel // 2
    allowed = torch.ones(out_features, in_features, kernel, kernel)
    allowed[:, :, reach, reach] = channel_mask(in_features, out_features, groups, mask)
    allowed[:, :, reach, reach + 1 :] = 0
    allowed[:, :, reach + 1 :] = 0
    return MaskedConv2d(in_features, out_features, (kernel, kernel), allowed, (reach,) * 4)


class MaskedResidualBlock(nn.Module):
    """ReLU–1×1–ReLU–n×n–ReLU–1×1 with half the maps in the middle, added to its input."""

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__()
        features, groups = config.features, config.channels
        middle = max(groups, features // 2 // groups * groups)
        self.reduce = pointwise(features, middle, groups)
        self.conv = raster_conv(middle, middle, config.kernel, groups, "B")
        self.expand = pointwise(middle, features, groups)
        self.table = ClassTable(config.classes, middle) if config.classes else None

    def forward(self, x: Tensor, classes: Tensor | None) -> Tensor:
        """[B, P, H, W] and classes [B] → [B, P, H, W]."""
        y = self.conv(F.relu(self.reduce(F.relu(x))))  # [B, P/2, H, W]
        if self.table is not None:
            y = y + self.table(classes)[:, :, None, None]
        out: Tensor = x + self.expand(F.relu(y))  # [B, P, H, W]
        return out


class PixelCNN(GridNetwork):
    """p(x | class) of a picture x [B, C, H, W] with values 0 … levels - 1."""

    config: PixelCNNConfig

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__()
        self.config = config
        groups = config.channels
        self.likelihood = build_likelihood(config, groups, coupled=False)
        self.first = raster_conv(groups, config.features, config.first_kernel, groups, "A")
        self.layers = nn.ModuleList(MaskedResidualBlock(config) for _ in range(config.layers))
        self.out_1x1 = pointwise(config.features, config.output_features, groups)
        self.head = PointwiseHead(config.output_features, groups, groups, self.likelihood)
        self.add_conditions()

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded picture, [B, H, W, C, P]."""
        x = self.first(embedded)  # [B, F, H, W]
        for layer in self.layers:
            x = layer(x, condition.classes)
        out = self.head(self.out_1x1(F.relu(x)), embedded).permute(0, 2, 3, 1)  # [B, H, W, C·P]
        parameters: Tensor = out.unflatten(-1, (-1, self.likelihood.parameters_per_value))
        return parameters
