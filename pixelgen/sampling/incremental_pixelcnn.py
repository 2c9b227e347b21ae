"""The incremental sampler of the baseline PixelCNN.

A masked n×n kernel reads rows above, positions to the left, and the position itself. In every block
the maps that it reads are kept: what the rows above say to all positions of a row is computed once
per row, what the left says to all blocks in one batched product per position, and only the position
itself is walked block by block and channel group by channel group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.masked_conv import MaskedConv2d
from pixelgen.models.pixelcnn import PixelCNN, ResidualBlock
from pixelgen.sampling.fused_weights import bias_of, group_parts, matrix
from pixelgen.sampling.row_convolution import RowConvolution, RowKernel
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads


def sample_pixelcnn(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, PixelCNN)
    height, width, channels = request.size
    network = _Network(model, request.condition, request.rows)
    with threads(1):
        for i in range(height):
            network.start_row()
            for j in range(width):
                network.enter(j)
                for c in range(channels):
                    value = request.draw(i, j, c, network.run(c, j))
                    network.row[j, :, c] = model.embed(value)
                network.leave(j)
                request.report(i * width + j + 1)
            network.end_row()


@dataclass(frozen=True)
class _Raster:
    """A raster convolution: its part over the rows above, and its own row as matrices."""

    above: RowConvolution
    left: Tensor
    """[reach · in, out], the farthest position first."""
    centre: Tensor
    """[in, out]."""

    @staticmethod
    def of(conv: MaskedConv2d, width: int, batch: int) -> _Raster:
        weight, reach = conv.masked_weight().float(), conv.kernel_size[0] // 2
        row = weight[:, :, reach].permute(2, 1, 0)  # [columns, in, out]
        return _Raster(
            RowConvolution(RowKernel(weight[:, :, :reach]), width, batch),
            row[:reach].flatten(0, 1).contiguous(),
            row[reach].contiguous(),
        )


class _Network:
    """Weights, features of the last rows, and the walk through the position at hand."""

    def __init__(self, model: PixelCNN, condition: Condition, batch: int) -> None:
        config = model.config
        blocks = cast(list[ResidualBlock], list(model.layers))
        self.groups, width, layers = config.channels, config.width, len(blocks)
        self.middle = middle = blocks[0].conv.in_channels if blocks else 0
        self.first = _Raster.of(model.first, width, batch)
        self.convs = [_Raster.of(block.conv, width, batch) for block in blocks]
        self.first_reach = config.first_kernel // 2
        self.reach = config.kernel // 2

        def buffer(*size: int) -> Tensor:
            return torch.zeros(*size, device=model.mix.weight.device)

        self.row_buffer = buffer(batch, (width + self.first_reach) * self.groups)
        placed = self.row_buffer.view(batch, width + self.first_reach, self.groups)
        self.row = placed[:, self.first_reach :].transpose(0, 1)
        """[W, B, C]: the embedded row that is being drawn, a view of its buffer."""
        self.history = buffer(layers, batch, (width + self.reach) * middle)
        """[L, B, (reach + W) · m]: what the convolutions of all blocks read in this row."""
        self.first_base = buffer(width, batch, config.features)
        self.bases = buffer(layers, width, batch, middle)
        """[L, W, B, m]: bias, class and rows above of every block's convolution."""
        self.given = buffer(layers, batch, middle)
        """[L, B, m]: the same with the left, at this position."""
        self.left = torch.stack([conv.left for conv in self.convs]) if layers else None

        self.first_bias = bias_of(model.first)
        self.biases = [bias_of(block.conv).expand(batch, -1) for block in blocks]
        for k, block in enumerate(blocks):
            if block.table is not None:
                self.biases[k] = self.biases[k] + block.table(condition.classes).float()

        self.maps = buffer(layers + 1, batch, config.features)
        """[L + 1, B, p]: the inputs of all blocks and the last one's result."""
        self.now = buffer(layers, batch, middle)
        """[L, B, m]: what the convolutions read at this position."""
        self.active = buffer(batch, config.features)
        self.convolved = buffer(layers, batch, middle)
        self.rectified = buffer(layers + 1, batch, config.features)
        self.mixed = buffer(batch, config.output_features)
        self.parameters = buffer(batch, self.groups, model.likelihood.parameters_per_value)
        self.steps = [self._bind(model, c) for c in range(self.groups)]

    def _bind(self, model: PixelCNN, c: int) -> list[tuple[Tensor, ...]]:
        """Views and matrices of group `c`: one entry per block, then one of the outputs."""
        groups = self.groups

        def own(x: Tensor) -> Tensor:
            return x.chunk(groups, dim=-1)[c]

        def until(x: Tensor) -> Tensor:
            return x[..., : (c + 1) * (x.shape[-1] // groups)]

        def part(weight: Tensor) -> Tensor:
            return group_parts(weight, groups)[c]

        steps: list[tuple[Tensor, ...]] = []
        for k, block in enumerate(cast(list[ResidualBlock], list(model.layers))):
            steps.append(
                (
                    own(self.maps[k]), own(self.rectified[k]), until(self.rectified[k]),
                    own(bias_of(block.reduce)), part(matrix(block.reduce)),
                    own(self.now[k]), until(self.now[k]),
                    own(self.given[k]), part(self.convs[k].centre),
                    own(self.convolved[k]), until(self.convolved[k]),
                    own(bias_of(block.expand)), part(matrix(block.expand)),
                    own(self.maps[k + 1]),
                )
            )  # fmt: skip
        steps.append(
            (
                own(self.maps[-1]), own(self.rectified[-1]), until(self.rectified[-1]),
                own(bias_of(model.mix)), part(matrix(model.mix)),
                own(self.mixed), until(self.mixed),
                own(bias_of(model.head)), part(matrix(model.head)),
                self.parameters[:, c],
            )
        )  # fmt: skip
        return steps

    def start_row(self) -> None:
        """What the rows above say to all positions of the row that begins."""
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

    def enter(self, j: int) -> None:
        """What is known before the first channel of position `j`."""
        if self.left is not None:
            window = self.history[:, :, j * self.middle : (j + self.reach) * self.middle]
            torch.baddbmm(self.bases[:, j], window, self.left, out=self.given)

    def run(self, c: int, j: int) -> Tensor:
        """Group `c` of position `j` through all blocks → parameters [B, C, P], valid up to c."""
        groups, addmm = self.groups, torch.addmm
        start, seen = j * groups, self.first_reach * groups + c
        q = self.first_base.shape[-1] // groups
        own = slice(c * q, (c + 1) * q)
        weight = torch.cat((self.first.left, self.first.centre[:c]))[:, own]
        entering = self.row_buffer[:, start : start + seen]
        addmm(self.first_base[j, :, own], entering, weight, out=self.maps[0, :, own])
        *blocks, last = self.steps[c]
        for (
            x, active, actives, reduce_bias, reduce, now, nows, given, centre, convolved,
            all_convolved, expand_bias, expand, out,
        ) in blocks:  # fmt: skip
            torch.clamp_min(x, 0.0, out=active)
            addmm(reduce_bias, actives, reduce, out=now)
            now.relu_()
            addmm(given, nows, centre, out=convolved)
            convolved.relu_()
            addmm(expand_bias, all_convolved, expand, out=out)
            out.add_(x)
        x, active, actives, mix_bias, mix, mixed, all_mixed, head_bias, head, out = last
        torch.clamp_min(x, 0.0, out=active)
        addmm(mix_bias, actives, mix, out=mixed)
        mixed.relu_()
        addmm(head_bias, all_mixed, head, out=out)
        return self.parameters

    def leave(self, j: int) -> None:
        """Keeps of position `j` what later positions will read."""
        start = (self.reach + j) * self.middle
        self.history[:, :, start : start + self.middle] = self.now
