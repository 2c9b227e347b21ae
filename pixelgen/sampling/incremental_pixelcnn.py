"""The incremental sampler of the baseline PixelCNN.

A masked n×n kernel reads rows above, positions to the left, and the position itself. Every block
stores the maps that it reads: the contribution of the rows above to a whole row is computed once
per row, that of the left to all blocks in one batched product per position, and only the position
itself goes block by block and channel group by channel group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.masked_conv import MaskedConv2d
from pixelgen.models.pixelcnn import MaskedResidualBlock, PixelCNN
from pixelgen.sampling.fused_weights import Affine, bias_of, group_parts, matrix
from pixelgen.sampling.row_convolution import RowConvolution, RowKernel
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads


def sample_pixelcnn(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, PixelCNN)
    height, width, channels = request.size
    sampler = _PixelCNNSampler(model, request.condition, request.rows)
    with threads(1):
        for i in range(height):
            sampler.start_row()
            for j in range(width):
                sampler.start_position(j)
                for c in range(channels):
                    value = request.sample_value(i, j, c, sampler.run(c, j))
                    sampler.row[j, :, c] = model.embed(value)
                sampler.end_position(j)
                request.report(i * width + j + 1)
            sampler.end_row()


@dataclass(frozen=True)
class _RasterConv:
    """A raster convolution: its part over the rows above, and its own row as matrices."""

    above: RowConvolution
    left: Tensor
    """[reach · in, out], the farthest position first."""
    centre: Tensor
    """[in, out]."""

    @staticmethod
    def from_conv(conv: MaskedConv2d, width: int, batch: int) -> _RasterConv:
        """`conv` over rows of `width` positions."""
        weight, reach = conv.masked_weight().float(), conv.kernel_size[0] // 2
        row = weight[:, :, reach].permute(2, 1, 0)  # [columns, in, out]
        return _RasterConv(
            RowConvolution(RowKernel(weight[:, :, :reach]), width, batch),
            row[:reach].flatten(0, 1).contiguous(),
            row[reach].contiguous(),
        )


class _Views(NamedTuple):
    """A buffer as one channel group writes and reads it."""

    own: Tensor
    """[B, maps / G], the maps of this group."""
    until: Tensor
    """[B, (c + 1) · maps / G], those of this group and the groups before it."""


class _BlockStep(NamedTuple):
    """The buffers and matrices of one channel group in one block."""

    entering: Tensor
    """[B, p / G], the block's input."""
    active: _Views
    """The input after its ReLU."""
    reduce: Affine
    reduced: _Views
    """The convolution's input, after its ReLU."""
    context: Tensor
    """[B, m / G], the convolution without the position itself."""
    centre: Tensor
    """[(c + 1) · m / G, m / G], the convolution's weight at the position itself."""
    convolved: _Views
    """The convolution's result, after a ReLU."""
    expand: Affine
    leaving: Tensor
    """[B, p / G], the next block's input."""


class _OutputStep(NamedTuple):
    """The buffers and matrices of one channel group after the last block."""

    entering: Tensor
    """[B, p / G]."""
    active: _Views
    """The input after its ReLU."""
    out_1x1: Affine
    hidden: _Views
    """Its result, after a ReLU."""
    head: Affine
    parameters: Tensor
    """[B, P], of the group's channel."""


class _PixelCNNSampler:
    """Weights, features of the last rows, and the pass through the current position."""

    def __init__(self, model: PixelCNN, condition: Condition, batch: int) -> None:
        config = model.config
        blocks = cast(list[MaskedResidualBlock], list(model.layers))
        self.groups, width, layers = config.channels, config.width, len(blocks)
        self.middle = middle = blocks[0].conv.in_channels if blocks else 0
        self.first = _RasterConv.from_conv(model.first, width, batch)
        self.convs = [_RasterConv.from_conv(block.conv, width, batch) for block in blocks]
        self.first_reach = config.first_kernel // 2
        self.reach = config.kernel // 2

        def buffer(*size: int) -> Tensor:
            return torch.zeros(*size, device=model.out_1x1.weight.device)

        self.row_buffer = buffer(batch, (width + self.first_reach) * self.groups)
        padded = self.row_buffer.view(batch, width + self.first_reach, self.groups)
        self.row = padded[:, self.first_reach :].transpose(0, 1)
        """[W, B, C]: the embedded row being sampled, a view of its buffer."""
        self.history = buffer(layers, batch, (width + self.reach) * middle)
        """[L, B, (reach + W) · m]: the inputs of the convolutions of all blocks in this row."""
        self.first_base = buffer(width, batch, config.features)
        self.bases = buffer(layers, width, batch, middle)
        """[L, W, B, m]: bias, class and rows above of every block's convolution."""
        self.context = buffer(layers, batch, middle)
        """[L, B, m]: the same with the positions to the left, at this position."""
        self.left = torch.stack([conv.left for conv in self.convs]) if layers else None

        self.first_bias = bias_of(model.first)
        self.biases = [bias_of(block.conv).expand(batch, -1) for block in blocks]
        for k, block in enumerate(blocks):
            if block.table is not None:
                self.biases[k] = self.biases[k] + block.table(condition.classes).float()

        self.maps = buffer(layers + 1, batch, config.features)
        """[L + 1, B, p]: the inputs of all blocks and the last one's result."""
        self.active = buffer(layers + 1, batch, config.features)
        """[L + 1, B, p]: these after a ReLU."""
        self.reduced = buffer(layers, batch, middle)
        """[L, B, m]: the inputs of the convolutions at this position."""
        self.convolved = buffer(layers, batch, middle)
        self.hidden = buffer(batch, config.output_features)
        self.parameters = buffer(batch, self.groups, model.likelihood.parameters_per_value)
        self.block_steps = [
            [self._block_step(block, k, c) for k, block in enumerate(blocks)]
            for c in range(self.groups)
        ]
        self.output_steps = [self._output_step(model, c) for c in range(self.groups)]

    def _own(self, x: Tensor, c: int) -> Tensor:
        return x.chunk(self.groups, dim=-1)[c]

    def _views(self, x: Tensor, c: int) -> _Views:
        return _Views(self._own(x, c), x[..., : (c + 1) * (x.shape[-1] // self.groups)])

    def _affine(self, conv: torch.nn.Conv2d, c: int) -> Affine:
        return Affine(group_parts(matrix(conv), self.groups)[c], self._own(bias_of(conv), c))

    def _block_step(self, block: MaskedResidualBlock, k: int, c: int) -> _BlockStep:
        return _BlockStep(
            entering=self._own(self.maps[k], c),
            active=self._views(self.active[k], c),
            reduce=self._affine(block.reduce, c),
            reduced=self._views(self.reduced[k], c),
            context=self._own(self.context[k], c),
            centre=group_parts(self.convs[k].centre, self.groups)[c],
            convolved=self._views(self.convolved[k], c),
            expand=self._affine(block.expand, c),
            leaving=self._own(self.maps[k + 1], c),
        )

    def _output_step(self, model: PixelCNN, c: int) -> _OutputStep:
        return _OutputStep(
            entering=self._own(self.maps[-1], c),
            active=self._views(self.active[-1], c),
            out_1x1=self._affine(model.out_1x1, c),
            hidden=self._views(self.hidden, c),
            head=self._affine(model.head.out, c),
            parameters=self.parameters[:, c],
        )

    def start_row(self) -> None:
        """Computes the contribution of the rows above to all positions of the next row."""
        self.first_base.copy_(self.first_bias.expand_as(self.first_base))
        self.first.above.add_to(self.first_base.flatten(0, 1))
        for base, bias, conv in zip(self.bases, self.biases, self.convs, strict=True):
            base.copy_(bias.expand_as(base))
            conv.above.add_to(base.flatten(0, 1))

    def end_row(self) -> None:
        """Hands the finished row to the convolutions that will read it from below."""
        self.first.above.push(self.row)
        for history, conv in zip(self.history, self.convs, strict=True):
            row = history.unflatten(1, (-1, self.middle))[:, self.reach :]
            conv.above.push(row.transpose(0, 1))

    def start_position(self, j: int) -> None:
        """Computes everything that is known before the first channel of position `j`."""
        if self.left is not None:
            window = self.history[:, :, j * self.middle : (j + self.reach) * self.middle]
            torch.baddbmm(self.bases[:, j], window, self.left, out=self.context)

    def run(self, c: int, j: int) -> Tensor:
        """Takes group `c` of position `j` through all blocks → parameters [B, C, P], valid up to
        channel c."""
        groups, addmm = self.groups, torch.addmm
        start, seen = j * groups, self.first_reach * groups + c
        q = self.first_base.shape[-1] // groups
        own = slice(c * q, (c + 1) * q)
        weight = torch.cat((self.first.left, self.first.centre[:c]))[:, own]
        window = self.row_buffer[:, start : start + seen]
        addmm(self.first_base[j, :, own], window, weight, out=self.maps[0, :, own])
        for step in self.block_steps[c]:
            torch.clamp_min(step.entering, 0.0, out=step.active.own)
            reduced, convolved = step.reduced.own, step.convolved.own
            addmm(step.reduce.bias, step.active.until, step.reduce.matrix, out=reduced)
            reduced.relu_()
            addmm(step.context, step.reduced.until, step.centre, out=convolved)
            convolved.relu_()
            addmm(step.expand.bias, step.convolved.until, step.expand.matrix, out=step.leaving)
            step.leaving.add_(step.entering)
        last = self.output_steps[c]
        torch.clamp_min(last.entering, 0.0, out=last.active.own)
        hidden = last.hidden.own
        addmm(last.out_1x1.bias, last.active.until, last.out_1x1.matrix, out=hidden)
        hidden.relu_()
        addmm(last.head.bias, last.hidden.until, last.head.matrix, out=last.parameters)
        return self.parameters

    def end_position(self, j: int) -> None:
        """Stores the features of position `j` that later positions will read."""
        start = (self.reach + j) * self.middle
        self.history[:, :, start : start + self.middle] = self.reduced
