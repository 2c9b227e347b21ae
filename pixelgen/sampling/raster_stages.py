"""What the incremental samplers of PixelCNN and PixelRNN share: the first convolution of the
picture, and the 1×1 layers after the last block, one channel group of a position at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.models.masked_conv import MaskedConv2d
from pixelgen.models.pixelcnn import PixelCNN
from pixelgen.models.pixelrnn import PixelRNN
from pixelgen.sampling.fused_weights import Affine, bias_of, group_parts, matrix
from pixelgen.sampling.row_convolution import RowConvolution, RowKernel


@dataclass(frozen=True)
class RasterConv:
    """A raster convolution: its part over the rows above, and its own row as matrices."""

    above: RowConvolution
    left: Tensor
    """[reach · in, out], the farthest position first."""
    centre: Tensor
    """[in, out]."""

    @staticmethod
    def from_conv(conv: MaskedConv2d, width: int, batch: int) -> RasterConv:
        """`conv` over rows of `width` positions."""
        weight, reach = conv.masked_weight().float(), conv.kernel_size[0] // 2
        row = weight[:, :, reach].permute(2, 1, 0)  # [columns, in, out]
        return RasterConv(
            RowConvolution(RowKernel(weight[:, :, :reach]), width, batch),
            row[:reach].flatten(0, 1).contiguous(),
            row[reach].contiguous(),
        )


class Views(NamedTuple):
    """A buffer as one channel group writes and reads it."""

    own: Tensor
    """[B, maps / G], the maps of this group."""
    until: Tensor
    """[B, (c + 1) · maps / G], those of this group and the groups before it."""


def own(x: Tensor, c: int, groups: int) -> Tensor:
    """The maps of group `c`, [..., maps] → [..., maps / G]."""
    return x.chunk(groups, dim=-1)[c]


def views(x: Tensor, c: int, groups: int) -> Views:
    """The maps of group `c`, and those of it and the groups before it."""
    return Views(own(x, c, groups), x[..., : (c + 1) * (x.shape[-1] // groups)])


def affine(conv: torch.nn.Conv2d, c: int, groups: int) -> Affine:
    """A masked 1×1 convolution from groups ≤ c to group `c`."""
    return Affine(group_parts(matrix(conv), groups)[c], own(bias_of(conv), c, groups))


class FirstStage:
    """The first convolution, of mask A, and the embedded row that is being sampled."""

    def __init__(self, conv: MaskedConv2d, groups: int, width: int, batch: int) -> None:
        self.groups = groups
        self.reach = reach = conv.kernel_size[0] // 2
        self.conv = RasterConv.from_conv(conv, width, batch)
        self.bias = bias_of(conv)
        self.row_buffer = self.bias.new_zeros(batch, (width + reach) * groups)
        padded = self.row_buffer.view(batch, width + reach, groups)
        self.row = padded[:, reach:].transpose(0, 1)
        """[W, B, C]: the embedded row being sampled, a view of its buffer."""
        self.base = self.bias.new_zeros(width, batch, conv.out_channels)
        """[W, B, p]: bias and rows above."""

    def start_row(self) -> None:
        """Computes the contribution of the rows above to all positions of the next row."""
        self.base.copy_(self.bias.expand_as(self.base))
        self.conv.above.add_to(self.base.flatten(0, 1))

    def end_row(self) -> None:
        """Hands the finished row to the rows below."""
        self.conv.above.push(self.row)

    def run(self, c: int, j: int, out: Tensor) -> None:
        """Writes the maps of group `c` at position `j` into `out` [B, p]."""
        start, seen = j * self.groups, self.reach * self.groups + c
        weight = own(torch.cat((self.conv.left, self.conv.centre[:c])), c, self.groups)
        window = self.row_buffer[:, start : start + seen]
        base = own(self.base[j], c, self.groups)
        torch.addmm(base, window, weight, out=own(out, c, self.groups))


class _OutputStep(NamedTuple):
    """The buffers and matrices of one channel group after the last block."""

    entering: Tensor
    """[B, p / G]."""
    active: Views
    """The input after its ReLU."""
    out_1x1: Affine
    hidden: Views
    """Its result, after a ReLU."""
    head: Affine
    parameters: Tensor
    """[B, P], of the group's channel."""


class RasterOutput:
    """The two 1×1 layers after the last block, each behind a ReLU."""

    def __init__(self, model: PixelCNN | PixelRNN, entering: Tensor) -> None:
        groups, batch = model.config.channels, len(entering)
        active = torch.zeros_like(entering)
        hidden = entering.new_zeros(batch, model.config.output_features)
        self.parameters = entering.new_zeros(batch, groups, model.likelihood.parameters_per_value)
        self.steps = [
            _OutputStep(
                entering=own(entering, c, groups),
                active=views(active, c, groups),
                out_1x1=affine(model.out_1x1, c, groups),
                hidden=views(hidden, c, groups),
                head=affine(model.head.out, c, groups),
                parameters=self.parameters[:, c],
            )
            for c in range(groups)
        ]

    def run(self, c: int) -> Tensor:
        """The likelihood's parameters [B, C, P], valid up to channel c."""
        step = self.steps[c]
        torch.clamp_min(step.entering, 0.0, out=step.active.own)
        hidden = step.hidden.own
        torch.addmm(step.out_1x1.bias, step.active.until, step.out_1x1.matrix, out=hidden)
        hidden.relu_()
        torch.addmm(step.head.bias, step.hidden.until, step.head.matrix, out=step.parameters)
        return self.parameters
