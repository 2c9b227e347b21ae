"""Masked convolutions: weights whose forbidden entries are zero by construction.

Masks follow van den Oord et al. 2016 (Pixel Recurrent Neural Networks, section 3.4). Feature maps
are split in as many groups as the grid has channels. At the current position a map of group g may
read maps of earlier groups and, under mask B, of its own; earlier positions may be read whole.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Mask = Literal["A", "B"]


def group_ids(features: int, groups: int, parts: int = 1) -> Tensor:
    """The group of every feature map, [features]; `parts` repeats the pattern (gate halves)."""
    if features % (groups * parts):
        raise ValueError(f"{features} feature maps do not split into {parts} × {groups} groups")
    # By `ones`, whose size `checkpoints.instantiate` bounds, since a configuration may claim any.
    index = torch.ones(features, dtype=torch.long).cumsum(0) - 1
    return index // (features // (groups * parts)) % groups


def channel_mask(
    in_features: int, out_features: int, groups: int, mask: Mask, out_parts: int = 1
) -> Tensor:
    """[out, in] of 0 and 1: which maps of the *current* position an output map may read."""
    source, target = group_ids(in_features, groups), group_ids(out_features, groups, out_parts)
    allowed = source[None, :] < target[:, None] if mask == "A" else source[None] <= target[:, None]
    return allowed.float()


class PaddedConv2d(nn.Conv2d):
    """A convolution with its own zero padding on each side: (left, right, top, bottom)."""

    padding: tuple[int, int, int, int]

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int],
        padding: tuple[int, int, int, int],
        bias: bool = True,
        stride: int = 1,
    ) -> None:
        super().__init__(in_features, out_features, kernel_size, stride, bias=bias)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        if any(self.padding):  # a padding of nothing would copy x
            x = F.pad(x, self.padding)
        return F.conv2d(x, effective_weight(self), self.bias, self.stride)


class MaskedConv2d(PaddedConv2d):
    """A convolution whose weight is multiplied by a fixed mask when it is used.

    The parameter itself is never changed, so that an optimiser sees plain gradients.
    """

    mask: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int],
        mask: Tensor,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        bias: bool = True,
    ) -> None:
        super().__init__(in_features, out_features, kernel_size, padding, bias)
        self.register_buffer("mask", mask.expand_as(self.weight).clone(), persistent=False)

    def masked_weight(self) -> Tensor:
        """The weight that the convolution applies, [out, in, rows, columns]."""
        return self.weight * self.mask


def effective_weight(conv: nn.Conv2d) -> Tensor:
    """The weight that `conv` applies, masked or not, [out, in, rows, columns]."""
    return conv.masked_weight() if isinstance(conv, MaskedConv2d) else conv.weight


@torch.no_grad()
def scale_init(conv: nn.Conv2d, gain: float = 1.0) -> None:
    """Initialises the weight so that inputs of variance 1 give outputs of variance gain² (LeCun et
    al. 1998, section 4.6); the fan-in of an output counts only the weights that its mask keeps."""
    mask = conv.mask if isinstance(conv, MaskedConv2d) else torch.ones_like(conv.weight)
    fan_in = mask.sum((1, 2, 3), keepdim=True).clamp(min=1)
    conv.weight.normal_().mul_(gain * fan_in.rsqrt())


def pointwise(
    in_features: int, out_features: int, groups: int, mask: Mask = "B", out_parts: int = 1
) -> nn.Conv2d:
    """A 1×1 convolution, masked between channel groups where `groups` > 1 or the mask is A."""
    if groups == 1 and mask == "B":
        return PaddedConv2d(in_features, out_features, (1, 1), (0, 0, 0, 0))
    allowed = channel_mask(in_features, out_features, groups, mask, out_parts)
    return MaskedConv2d(in_features, out_features, (1, 1), allowed[:, :, None, None])


def pointwise_halves(in_features: int, out_features: int, groups: int) -> nn.Conv2d:
    """A 1×1 convolution that reads maps before their gate: two halves, each in channel groups."""
    if groups == 1:
        return pointwise(in_features, out_features, 1)
    half = channel_mask(in_features // 2, out_features, groups, "B")  # [out, in / 2]
    return MaskedConv2d(
        in_features, out_features, (1, 1), torch.cat((half, half), 1)[:, :, None, None]
    )


def vertical_conv(in_features: int, out_features: int, kernel: int) -> PaddedConv2d:
    """A ceil(n/2)×n convolution over this row and the rows above, as wide as the input.

    Its output at row i holds rows ≤ i, and must be shifted down by one row (`shift_down`) before it
    enters the horizontal stack. Channels need no mask: rows above are known completely.
    """
    reach = kernel // 2
    return PaddedConv2d(in_features, out_features, (reach + 1, kernel), (reach, reach, reach, 0))


def horizontal_conv(
    in_features: int, out_features: int, kernel: int, groups: int, mask: Mask, out_parts: int = 2
) -> nn.Conv2d:
    """A 1×ceil(n/2) causal convolution: the pixels to the left and, as the mask allows, this one.

    `out_features` are two gate halves (`out_parts`), each split into the channel groups.
    """
    reach = kernel // 2
    if groups == 1 and mask == "B":
        return PaddedConv2d(in_features, out_features, (1, reach + 1), (reach, 0, 0, 0))
    allowed = torch.ones(out_features, in_features, 1, reach + 1)
    centre = channel_mask(in_features, out_features, groups, mask, out_parts)
    allowed[..., -1] = centre[..., None]  # [out, in, 1]
    return MaskedConv2d(
        in_features, out_features, (1, reach + 1), allowed, padding=(reach, 0, 0, 0)
    )


def shift_down(x: Tensor) -> Tensor:
    """[B, C, H, W] shifted down by one row, zeros on top: row i then holds only rows < i."""
    return F.pad(x, (0, 0, 1, -1))


def shift_right(x: Tensor) -> Tensor:
    """[B, C, H, W] shifted right by one column, zeros on the left: column j then holds only columns
    < j."""
    return F.pad(x, (1, -1))
