"""The incremental sampler of PixelCNN++: the work of one full pass per picture.

- The first stream depends on the rows above alone: at the start of a row all its maps of this row
  are computed at once. Each convolution keeps the last row of its input, since its filters reach
  one row up.
- The second stream is computed position by position. Each of its convolutions keeps a row of its
  input. At the start of a row that is the row above, whose contribution to all positions is
  computed at once, with that of the first stream. Then the inputs of this row take their places one
  by one, so that the position to the left is found there too.
- A lower resolution has a new row for every second row, and there a new position for every second
  column. What it computes is upsampled at once, and kept for the four positions that read it.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.models.masked_conv import PaddedConv2d
from pixelgen.models.pixelcnn_pp import (
    BlockPair,
    FirstLayer,
    GatedResidualBlock,
    PixelCNNPP,
    Resolution,
    concat_elu,
    with_ones,
)
from pixelgen.sampling.fused_weights import bias_of, matrix
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads


def sample_pixelcnn_pp(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, PixelCNNPP)
    height, width, channels = request.size
    classes = request.condition.classes
    first = _FirstLayer(model.first, width, request.rows)
    blocks = _Resolution(model.resolution, classes, width, request.rows)
    out, bias = matrix(model.head.out), bias_of(model.head.out)
    grid = request.grid()  # a view
    with threads(1):
        for i in range(height):
            blocks.start_row(i, first.start_row(i))
            for j in range(width):
                maps = blocks.position(i, j, first.position(j))
                parameters = torch.addmm(bias, F.elu(maps), out).unsqueeze(1)  # [B, 1, P]
                for c in range(channels):
                    request.sample_value(i, j, c, parameters)
                values = request.for_network(grid[:, :, i : i + 1, j : j + 1])
                first.end_position(j, with_ones(model.embed(values))[:, :, 0, 0])
                request.report(i * width + j + 1)


class _RowConvolution:
    """A 2×3 convolution of the first stream, one row at a time."""

    def __init__(self, conv: PaddedConv2d, width: int, batch: int) -> None:
        self.weight, self.bias, self.stride = conv.weight.float(), bias_of(conv), conv.stride
        self.above = self.weight.new_zeros(batch, conv.in_channels, 1, width)

    def keep(self, row: Tensor) -> None:
        """Takes [B, in, 1, W] for the row above of the next one."""
        self.above = row

    def run(self, row: Tensor) -> Tensor:
        """[B, in, 1, W] → [B, out, 1, W / stride]; keeps the row."""
        both = F.pad(torch.cat((self.above, row), 2), (1, 1))  # [B, in, 2, W + 2]
        self.above = row
        return F.conv2d(both, self.weight, self.bias, self.stride)


class _PositionConvolution:
    """A 2×2 convolution of the second stream, one position at a time."""

    def __init__(self, conv: PaddedConv2d, width: int, batch: int) -> None:
        self.maps, self.stride = conv.in_channels, conv.stride[0]
        weight = conv.weight.float().permute(2, 3, 1, 0).flatten(1, 2)  # [2, 2·in, out]
        self.above, self.here = weight[0].contiguous(), weight[1].contiguous()
        self.bias = bias_of(conv)
        self.row = weight.new_zeros(batch, (1 + width) * self.maps)
        """[B, (1 + W) · in]: zeros, then this row until the last kept position, then the row
        above."""
        self.base = weight.new_zeros(0)
        """[B, W / stride, out]: all but this row."""

    def start_row(self, *terms: Tensor) -> None:
        """Computes the contribution of the row above; `terms` [B, 1 or W / stride, out] are added
        to it."""
        windows = self.row.unfold(1, 2 * self.maps, self.stride * self.maps)
        self.base = sum(terms, windows @ self.above + self.bias)

    def keep(self, j: int, x: Tensor) -> None:
        """Takes the input [B, in] of position `j`."""
        self.row[:, (1 + j) * self.maps : (2 + j) * self.maps] = x

    def run(self, j: int, x: Tensor) -> Tensor:
        """The input [B, in] of position `j` → the output [B, out] there; keeps the input."""
        self.keep(j, x)
        window = self.row[:, j * self.maps : (j + 2) * self.maps]
        return torch.addmm(self.base[:, j // self.stride], window, self.here)


class _FirstLayer:
    """The first layer: its first stream row by row, the second one position by position."""

    def __init__(self, layer: FirstLayer, width: int, batch: int) -> None:
        self.down = _RowConvolution(layer.down, width, batch)
        self.above, self.left = layer.above, layer.left
        self.lower = self.left.weight[:, :, 1, 0].float().t()
        """[C + 1, P]: of the position to the left."""
        weight = layer.left.weight
        self.row = weight.new_zeros(batch, layer.down.in_channels, 1, width)
        """The embedded row above, or this row where it is sampled."""
        self.base = weight.new_zeros(0)
        """[B, P, 1, W]: the second stream without this row."""

    def start_row(self, i: int) -> Tensor:
        """The first stream in row `i`, [B, P, 1, W]."""
        above = self.row.clone()
        both = torch.cat((above, torch.zeros_like(above)), 2)
        left = F.conv2d(both, self.left.weight, self.left.bias)  # [B, P, 1, W]
        self.base = F.pad(left, (1, -1))
        if i == 0:  # the results of a row that does not exist are zero too, without a bias
            return torch.zeros_like(left)
        self.base = self.base + self.above(above)
        return self.down.run(above)

    def position(self, j: int) -> Tensor:
        """The second stream at position `j`, [B, P]."""
        base = self.base[:, :, 0, j]
        return torch.addmm(base, self.row[:, :, 0, j - 1], self.lower) if j else base

    def end_position(self, j: int, embedded: Tensor) -> None:
        """Takes the embedded values [B, C + 1] of position `j`."""
        self.row[:, :, 0, j] = embedded


class _BlockPair:
    """A block of each stream."""

    def __init__(self, pair: BlockPair, classes: Tensor | None, width: int, batch: int) -> None:
        down, down_right = pair.down, pair.down_right
        self.down_first = _RowConvolution(down.first, width, batch)
        self.down_shortcut = down.shortcut
        self.down_second = _RowConvolution(down.second, width, batch)
        self.down_class = _class_term(down, classes)
        self.first = _PositionConvolution(down_right.first, width, batch)
        self.second = _PositionConvolution(down_right.second, width, batch)
        self.second_class = _class_term(down_right, classes)
        shortcut = down_right.shortcut
        assert shortcut is not None
        # It reads the unit of every map, then that of its negative: maps of the first stream, and
        # on the way up of the second one.
        features = down_right.first.out_channels
        parts = matrix(shortcut).unflatten(0, (2, -1, features))  # [2, 1 or 2, P, P]
        self.from_down, *rest = (part.flatten(0, 1).contiguous() for part in parts.unbind(1))
        self.from_down_right = rest[0] if rest else None
        self.shortcut_bias = bias_of(shortcut)

    def start_row(self, down: Tensor, counterpart: Tensor | None) -> Tensor:
        """The row of the first stream, and that of its counterpart on the way down, [B, P, 1, W] →
        the result of its block."""
        y = self.down_first.run(concat_elu(down))
        if self.down_shortcut is not None:
            assert counterpart is not None
            y = y + self.down_shortcut(concat_elu(counterpart))
        y = self.down_second.run(concat_elu(y))
        if self.down_class is not None:
            y = y + self.down_class[:, :, None, None]
        down = down + F.glu(y, dim=1)
        shortcut = concat_elu(down)[:, :, 0].transpose(1, 2) @ self.from_down  # [B, W, P]
        self.first.start_row(shortcut, self.shortcut_bias)
        self.second.start_row(*([] if self.second_class is None else [self.second_class[:, None]]))
        return down

    def position(self, j: int, x: Tensor, counterpart: Tensor | None) -> Tensor:
        """The second stream, and its counterpart on the way down, at position `j`, [B, P] → the
        result of its block."""
        y = self.first.run(j, concat_elu(x))
        if self.from_down_right is not None:
            assert counterpart is not None
            y = y.addmm_(concat_elu(counterpart), self.from_down_right)
        return x + F.glu(self.second.run(j, concat_elu(y)), dim=1)


def _class_term(block: GatedResidualBlock, classes: Tensor | None) -> Tensor | None:
    """[B, 2P]: what the class adds before the gate."""
    return None if block.table is None else block.table(classes).float()


class _Resolution:
    """The blocks of one resolution, and the lower ones."""

    def __init__(
        self, resolution: Resolution, classes: Tensor | None, width: int, batch: int
    ) -> None:
        def pairs(blocks: torch.nn.ModuleList) -> list[_BlockPair]:
            return [_BlockPair(cast(BlockPair, pair), classes, width, batch) for pair in blocks]

        self.way_down, self.way_up = pairs(resolution.way_down), pairs(resolution.way_up)
        self.lower: _Lower | None = None
        if resolution.lower is not None:
            self.lower = _Lower(resolution, classes, width, batch)

    def start_row(self, i: int, down: Tensor) -> Tensor:
        """Takes row `i` of the first stream, [B, P, 1, W], through all blocks."""
        kept = [down]
        for pair in self.way_down:
            down = pair.start_row(down, None)
            kept.append(down)
        if self.lower is None:
            kept.pop()
        else:
            down = self.lower.start_row(i, down)
        for pair in self.way_up:
            down = pair.start_row(down, kept.pop())
        return down

    def position(self, i: int, j: int, x: Tensor) -> Tensor:
        """Takes the second stream at row `i` and column `j`, [B, P], through all blocks."""
        kept = [x]
        for pair in self.way_down:
            x = pair.position(j, x, None)
            kept.append(x)
        if self.lower is None:
            kept.pop()
        else:
            x = self.lower.position(i, j, x)
        for pair in self.way_up:
            x = pair.position(j, x, kept.pop())
        return x


class _Lower:
    """The lower resolutions, as the one above them sees them: with its rows and columns."""

    def __init__(
        self, resolution: Resolution, classes: Tensor | None, width: int, batch: int
    ) -> None:
        downsample, upsample = resolution.downsample, resolution.upsample
        lower = resolution.lower
        assert downsample is not None
        assert upsample is not None
        assert lower is not None
        self.downsample_down = _RowConvolution(downsample.down, width, batch)
        self.downsample = _PositionConvolution(downsample.down_right, width, batch)
        self.blocks = _Resolution(lower, classes, width // 2, batch)
        self.upsample_down = upsample.upsample_down
        features = upsample.down_right.in_channels
        self.matrix = upsample.down_right.weight.float().permute(0, 2, 3, 1).flatten(1)
        """[P, 4P]: of the four positions that one becomes."""
        assert upsample.down_right.bias is not None
        self.bias = upsample.down_right.bias.float().repeat(4)
        self.rows = self.matrix.new_zeros(0)
        """[B, P, 2, W]: the first stream in this pair of rows."""
        self.upsampled = self.matrix.new_zeros(width // 2, batch, 4, features)
        """[W / 2, B, 4, P]: the second stream in this pair of rows, four positions each."""

    def start_row(self, i: int, down: Tensor) -> Tensor:
        """Row `i` of the first stream → the same row after the lower resolutions, [B, P, 1, W]."""
        if i % 2:
            self.downsample_down.keep(down)
        else:
            row = self.blocks.start_row(i // 2, self.downsample_down.run(down))
            self.rows = self.upsample_down(row)
            self.downsample.start_row()
        return self.rows[:, :, i % 2 : i % 2 + 1]

    def position(self, i: int, j: int, x: Tensor) -> Tensor:
        """The second stream at row `i` and column `j` → the same after the lower resolutions,
        [B, P]."""
        if i % 2 or j % 2:
            self.downsample.keep(j, x)
        else:
            maps = self.blocks.position(i // 2, j // 2, self.downsample.run(j, x))
            self.upsampled[j // 2] = torch.addmm(self.bias, maps, self.matrix).unflatten(1, (4, -1))
        return self.upsampled[j // 2, :, i % 2 * 2 + j % 2]
