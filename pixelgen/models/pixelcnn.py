"""PixelCNN, the baseline: van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3.5.

A masked convolution (mask A), residual blocks of masked convolutions (mask B, Figure 5 left), two
1×1 layers, and a softmax per value. One square masked kernel cannot reach pixels above and far to
the right: the receptive field has a blind spot, which the gated model's two stacks remove.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.conditioning import Condition
from pixelgen.models.config import PixelCNNConfig
from pixelgen.models.likelihood import build_likelihood, set_bias, to_signed
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


class ResidualBlock(nn.Module):
    """ReLU–1×1–ReLU–n×n–ReLU–1×1 with half the maps in the middle, added to its input."""

    def __init__(self, features: int, kernel: int, groups: int, classes: int) -> None:
        super().__init__()
        middle = max(groups, features // 2 // groups * groups)
        self.reduce = pointwise(features, middle, groups)
        self.conv = raster_conv(middle, middle, kernel, groups, "B")
        self.expand = pointwise(middle, features, groups)
        self.table = nn.Embedding(classes + 1, middle) if classes else None

    def forward(self, x: Tensor, classes: Tensor | None) -> Tensor:
        y = self.conv(F.relu(self.reduce(F.relu(x))))
        if self.table is not None:
            y = y + self.table(classes)[:, :, None, None]
        return x + self.expand(F.relu(y))


class PixelCNN(nn.Module):
    """p(x | class) of a picture x [B, C, H, W] with values 0 … levels - 1."""

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__()
        self.config = config
        groups = config.channels
        self.likelihood = build_likelihood(config, groups, coupled=False)
        self.first = raster_conv(groups, config.features, config.first_kernel, groups, "A")
        self.layers = nn.ModuleList(
            ResidualBlock(config.features, config.kernel, groups, config.classes)
            for _ in range(config.layers)
        )
        self.mix = pointwise(config.features, config.output_features, groups)
        self.head = pointwise(
            config.output_features, groups * self.likelihood.parameters_per_value, groups
        )
        set_bias(self.head, self.likelihood)

    def null_condition(self, batch: int) -> Condition:
        """The condition "no class" for `batch` pictures."""
        if not self.config.classes:
            return Condition()
        return Condition(torch.full((batch,), self.config.classes, device=self.mix.weight.device))

    def drop_condition(self, condition: Condition, dropped: Tensor) -> Condition:
        """`condition` with the rows where `dropped` [B] is true replaced by "no class"."""
        if condition.classes is None:
            return condition
        return Condition(condition.classes.masked_fill(dropped, self.config.classes))

    def complete_condition(self, condition: Condition | None, batch: int) -> Condition:
        """`condition` with "no class" where it says nothing. Raises ValueError where it holds
        something that this model does not read."""
        if condition is None or condition.empty:
            return self.null_condition(batch)
        if condition.vector is not None:
            raise ValueError("this model has no condition vector")
        if condition.map is not None:
            raise ValueError("this model has no given map")
        if not self.config.classes:
            raise ValueError("this model has no class condition")
        if condition.classes is None or condition.classes.shape != (batch,):
            raise ValueError(f"classes must have the shape ({batch},)")
        return condition

    def to_grid(self, x: Tensor) -> Tensor:
        """The grid that is modelled: the picture itself."""
        return x

    def from_grid(self, grid: Tensor) -> Tensor:
        """Inverse of `to_grid`."""
        return grid

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C, H, W] → numbers in -1 … 1."""
        return to_signed(grid, self.config.levels)

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded picture, [B, H, W, C, P]."""
        x = self.first(embedded)
        for layer in self.layers:
            x = layer(x, condition.classes)
        mixed = F.relu(self.mix(F.relu(x)))
        with torch.autocast(x.device.type, enabled=False):  # half of a level is lost in bf16
            out = self.head(mixed.to(self.mix.weight.dtype))
        return out.permute(0, 2, 3, 1).unflatten(-1, (-1, self.likelihood.parameters_per_value))

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Pictures [B, C, H, W] → the likelihood's parameters, [B, H, W, C, P]."""
        return self.parameters_of(self.embed(x), self.complete_condition(condition, len(x)))

    def log_prob(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """log p of every value given all before it, [B, C, H, W] in nats."""
        parameters = self(x, condition)
        log_prob = self.likelihood.log_prob(parameters, x.permute(0, 2, 3, 1))
        return log_prob.permute(0, 3, 1, 2)
