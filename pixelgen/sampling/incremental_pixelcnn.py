"""The incremental sampler of the baseline PixelCNN.

A masked n×n kernel reads rows above, positions to the left, and the position itself. Every block
stores the maps that it reads: the contribution of the rows above to a whole row is computed once
per row, that of the left to all blocks in one batched product per position, and only the position
itself goes block by block and channel group by channel group.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.pixelcnn import MaskedResidualBlock, PixelCNN
from pixelgen.sampling.fused_weights import Affine, bias_of, group_parts
from pixelgen.sampling.raster_stages import (
    FirstStage,
    RasterConv,
    RasterOutput,
    Views,
    affine,
    own,
    views,
)
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads


def sample_pixelcnn(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, PixelCNN)
    height, width, channels = request.size
    with threads(1):
        sampler = _PixelCNNSampler(model, request.condition, request.rows)
        for i in range(height):
            sampler.start_row()
            for j in range(width):
                sampler.start_position(j)
                for c in range(channels):
                    value = request.sample_value(i, j, c, sampler.run(c, j))
                    sampler.first.row[j, :, c] = model.embed(value)
                sampler.end_position(j)
                request.report(i * width + j + 1)
            sampler.end_row()


class _BlockStep(NamedTuple):
    """The buffers and matrices of one channel group in one block."""

    entering: Tensor
    """[B, p / G], the block's input."""
    active: Views
    """The input after its ReLU."""
    reduce: Affine
    reduced: Views
    """The convolution's input, after its ReLU."""
    context: Tensor
    """[B, m / G], the convolution without the position itself."""
    centre: Tensor
    """[(c + 1) · m / G, m / G], the convolution's weight at the position itself."""
    convolved: Views
    """The convolution's result, after a ReLU."""
    expand: Affine
    leaving: Tensor
    """[B, p / G], the next block's input."""


class _PixelCNNSampler:
    """Weights, features of the last rows, and the pass through the current position."""

    def __init__(self, model: PixelCNN, condition: Condition, batch: int) -> None:
        config = model.config
        blocks = cast(list[MaskedResidualBlock], list(model.layers))
        self.groups, width, layers = config.channels, config.width, len(blocks)
        self.middle = middle = blocks[0].conv.in_channels if blocks else 0
        self.first = FirstStage(model.first, self.groups, width, batch)
        self.convs = [RasterConv.from_conv(block.conv, width, batch) for block in blocks]
        self.reach = config.kernel // 2

        def buffer(*size: int) -> Tensor:
            return torch.zeros(*size, device=model.out_1x1.weight.device)

        self.history = buffer(layers, batch, (width + self.reach) * middle)
        """[L, B, (reach + W) · m]: the inputs of the convolutions of all blocks in this row."""
        self.bases = buffer(layers, width, batch, middle)
        """[L, W, B, m]: bias, class and rows above of every block's convolution."""
        self.context = buffer(layers, batch, middle)
        """[L, B, m]: the same with the positions to the left, at this position."""
        self.left = torch.stack([conv.left for conv in self.convs]) if layers else None

        self.biases = [bias_of(block.conv).expand(batch, -1) for block in blocks]
        for k, block in enumerate(blocks):
            if block.table is not None:
                self.biases[k] = self.biases[k] + block.table(condition.classes).float()

        self.maps = buffer(layers + 1, batch, config.features)
        """[L + 1, B, p]: the inputs of all blocks and the last one's result."""
        self.active = buffer(layers, batch, config.features)
        """[L, B, p]: the inputs after a ReLU."""
        self.reduced = buffer(layers, batch, middle)
        """[L, B, m]: the inputs of the convolutions at this position."""
        self.convolved = buffer(layers, batch, middle)
        self.block_steps = [
            [self._block_step(block, k, c) for k, block in enumerate(blocks)]
            for c in range(self.groups)
        ]
        self.output = RasterOutput(model, self.maps[-1])

    def _block_step(self, block: MaskedResidualBlock, k: int, c: int) -> _BlockStep:
        groups = self.groups
        return _BlockStep(
            entering=own(self.maps[k], c, groups),
            active=views(self.active[k], c, groups),
            reduce=affine(block.reduce, c, groups),
            reduced=views(self.reduced[k], c, groups),
            context=own(self.context[k], c, groups),
            centre=group_parts(self.convs[k].centre, groups)[c],
            convolved=views(self.convolved[k], c, groups),
            expand=affine(block.expand, c, groups),
            leaving=own(self.maps[k + 1], c, groups),
        )

    def start_row(self) -> None:
        """Computes the contribution of the rows above to all positions of the next row."""
        self.first.start_row()
        for base, bias, conv in zip(self.bases, self.biases, self.convs, strict=True):
            base.copy_(bias.expand_as(base))
            conv.above.add_to(base.flatten(0, 1))

    def end_row(self) -> None:
        """Hands the finished row to the convolutions that will read it from below."""
        self.first.end_row()
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
        addmm = torch.addmm
        self.first.run(c, j, self.maps[0])
        for step in self.block_steps[c]:
            torch.clamp_min(step.entering, 0.0, out=step.active.own)
            reduced, convolved = step.reduced.own, step.convolved.own
            addmm(step.reduce.bias, step.active.until, step.reduce.matrix, out=reduced)
            reduced.relu_()
            addmm(step.context, step.reduced.until, step.centre, out=convolved)
            convolved.relu_()
            addmm(step.expand.bias, step.convolved.until, step.expand.matrix, out=step.leaving)
            step.leaving.add_(step.entering)
        return self.output.run(c)

    def end_position(self, j: int) -> None:
        """Stores the features of position `j` that later positions will read."""
        start = (self.reach + j) * self.middle
        self.history[:, :, start : start + self.middle] = self.reduced
