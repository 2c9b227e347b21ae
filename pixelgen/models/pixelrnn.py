"""PixelRNN: van den Oord et al. 2016, "Pixel Recurrent Neural Networks" (arXiv 1601.06759).

A masked convolution (mask A), layers of two-dimensional LSTMs with residual connections, two 1×1
layers, and a likelihood per value (Table 1 of the paper). In every layer the contribution of the
input is computed for the whole picture at once; the recurrence then takes one product for a whole
row (`RowLSTM`, section 3.1) or for a whole diagonal of both directions (`DiagonalBiLSTM`, section
3.2). States outside the picture are zero.

One deviation: the second direction of the first `DiagonalBiLSTM` also reads the picture itself. All
maps of a row are computed before its last value is known (mask A), so that with the paper's inputs
alone no state of that row, and nothing far to the left in the next row, would ever see that value.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import ClassTable, Condition
from pixelgen.models.config import PixelRNNConfig
from pixelgen.models.heads import PointwiseHead
from pixelgen.models.likelihood import build_likelihood
from pixelgen.models.masked_conv import (
    PaddedConv2d,
    effective_weight,
    horizontal_conv,
    pointwise,
    scale_init,
)
from pixelgen.models.pixelcnn import raster_conv

GATES = 4
"""Gates of an LSTM: output, forget, input, content (o, f, i, g in equation 3)."""


class LSTMState(NamedTuple):
    """The states of some positions."""

    hidden: Tensor
    cell: Tensor


def lstm_step(gates: Tensor, cell: Tensor, dim: int) -> LSTMState:
    """Equation 3: the sums of both contributions to the gates, 4h long in dimension `dim`, and the
    cell states of the positions before, h long → the new states, h long."""
    out, forget, write, content = gates.chunk(GATES, dim)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(content)
    return LSTMState(torch.sigmoid(out) * torch.tanh(cell), cell)


class RecurrentLayer(nn.Module):
    """x + a 1×1 convolution of the hidden states that an LSTM computes of x (Figure 5, right)."""

    input_to_state: nn.Conv2d
    """Its outputs are those of each direction, in these of each gate, in these of each channel
    group."""
    state_to_state: nn.Conv2d
    """Without a mask: it reads positions before the current one."""

    def __init__(self, config: PixelRNNConfig, directions: int) -> None:
        super().__init__()
        self.units = config.units
        gates = directions * GATES * config.units
        self.table = ClassTable(config.classes, gates) if config.classes else None
        self.out = pointwise(config.units, config.features, config.channels)

    def _initialise(self) -> None:
        for conv in (self.input_to_state, self.state_to_state, self.out):
            scale_init(conv)
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.02)
        bias = self.input_to_state.bias
        assert bias is not None
        with torch.no_grad():  # cells begin by remembering (Jozefowicz et al. 2015)
            bias.view(-1, GATES, self.units)[:, 1] = 1.0

    def hidden(self, x: Tensor, embedded: Tensor, classes: Tensor | None) -> Tensor:
        """[B, 2h, H, W], the picture [B, C, H, W] and classes [B] → hidden states [B, h, H, W]."""
        raise NotImplementedError

    def forward(self, x: Tensor, embedded: Tensor, classes: Tensor | None) -> Tensor:
        """[B, 2h, H, W], the picture [B, C, H, W] and classes [B] → [B, 2h, H, W]."""
        out: Tensor = x + self.out(self.hidden(x, embedded, classes))
        return out


class RowLSTM(RecurrentLayer):
    """A layer that goes from row to row: a position sees a triangle above it.

    Its input enters by a masked k×1 convolution along the row, the states of the row above by an
    unmasked one.
    """

    def __init__(self, config: PixelRNNConfig) -> None:
        super().__init__(config, directions=1)
        gates, kernel, reach = GATES * self.units, config.kernel, config.kernel // 2
        self.input_to_state = horizontal_conv(
            config.features, gates, kernel, config.channels, "B", out_parts=GATES
        )
        self.state_to_state = PaddedConv2d(
            self.units, gates, (1, kernel), (reach, reach, 0, 0), bias=False
        )
        self._initialise()

    def hidden(self, x: Tensor, embedded: Tensor, classes: Tensor | None) -> Tensor:
        gates = self.input_to_state(x)  # [B, 4h, H, W]
        if self.table is not None:
            gates = gates + self.table(classes)[:, :, None, None]
        # Cells add up over all rows: in full precision.
        zeros = self.state_to_state.weight.new_zeros(len(x), self.units, 1, x.shape[3])
        state = LSTMState(zeros, zeros)
        rows = []
        for row in gates.split(1, dim=2):  # [B, 4h, 1, W]
            state = lstm_step(row + self.state_to_state(state.hidden), state.cell, dim=1)
            rows.append(state.hidden)
        return torch.cat(rows, 2)  # [B, h, H, W]


class DiagonalBiLSTM(RecurrentLayer):
    """A layer whose two directions go from the upper corners to the opposite lower ones: together
    they see everything before a position.

    A state depends on those of the position above and of the one beside, left in one direction and
    right in the other. Positions whose column (counted from that side) and row add up to the same
    number are a diagonal, and depend only on the diagonal before. The paper skews the picture so
    that diagonals are columns; here positions are sorted by diagonal, which needs no padding. The
    states of the second direction are shifted down by one row before they are added to those of
    the first, since they know their own row to the right.
    """

    orders: Tensor
    """[2, H·W]: for each direction, the positions sorted by diagonal, then by row."""
    sources: Tensor
    """[2, H·W]: where the states that a position reads are after sorting; H·W for none."""

    def __init__(self, config: PixelRNNConfig, reads_picture: bool) -> None:
        super().__init__(config, directions=2)
        gates = GATES * self.units
        self.input_to_state = pointwise(
            config.features, 2 * gates, config.channels, out_parts=2 * GATES
        )
        # 2×1: the position above, then the one beside; a group for each direction.
        self.state_to_state = nn.Conv2d(2 * self.units, 2 * gates, (2, 1), groups=2, bias=False)
        # Of the second direction, which may read whole positions.
        self.picture = nn.Conv2d(config.channels, gates, 1, bias=False) if reads_picture else None
        self.size = (config.height, config.width)
        orders, sources = _diagonal_orders(*self.size)
        self.register_buffer("orders", orders, persistent=False)
        self.register_buffer("sources", sources, persistent=False)
        self._initialise()

    def input_matrices(self) -> Tensor:
        """The masked weights of `input_to_state`, [2, 2h, 4h] for products x @ M."""
        weight = effective_weight(self.input_to_state)[:, :, 0, 0]  # [2·4h, 2h]
        return weight.unflatten(0, (2, -1)).transpose(1, 2)

    def state_matrices(self) -> Tensor:
        """The weights of `state_to_state`, [2, 2h, 4h]: h rows for the position above, then h for
        the one beside."""
        weight = self.state_to_state.weight[..., 0].unflatten(0, (2, -1))  # [2, 4h, h, 2]
        return weight.permute(0, 3, 2, 1).flatten(1, 2)

    def hidden(self, x: Tensor, embedded: Tensor, classes: Tensor | None) -> Tensor:
        batch, (height, width) = len(x), self.size
        positions = _positions(x)  # [H·W, B, 2h]
        ordered = torch.stack([positions.index_select(0, order) for order in self.orders])
        bias = cast(Tensor, self.input_to_state.bias).view(2, 1, -1)  # [2, 1, 4h]
        gates = torch.baddbmm(bias, ordered.flatten(1, 2), self.input_matrices())
        gates = gates.unflatten(1, (-1, batch))  # [2, H·W, B, 4h]
        if self.table is not None:
            terms = self.table(classes).unflatten(1, (2, -1)).transpose(0, 1)  # [2, B, 4h]
            gates = gates + terms[:, None]
        if self.picture is not None:
            seen = _positions(self.picture(embedded)).index_select(0, self.orders[1])
            gates = torch.stack((gates[0], gates[1] + seen))
        weight = self.state_matrices()
        zeros = weight.new_zeros(2, 0, batch, self.units)
        state, first = LSTMState(zeros, zeros), 0
        diagonals = []
        firsts, lengths = _diagonals(height, width)
        for start, diagonal in zip(firsts, gates.split(lengths, dim=1), strict=True):
            # Of the diagonal before, with a zero state above its first row and one below its last.
            hidden, cell = (F.pad(each, (0, 0, 0, 0, 1, 1)) for each in state)
            above = slice(start - first, start - first + diagonal.shape[1])
            beside = slice(above.start + 1, above.stop + 1)
            both = torch.cat((hidden[:, above], hidden[:, beside]), -1)  # [2, n, B, 2h]
            total = torch.baddbmm(diagonal.flatten(1, 2), both.flatten(1, 2), weight)
            state = lstm_step(total.view_as(diagonal), cell[:, beside], dim=-1)
            first = start
            diagonals.append(state.hidden)
        ends = F.pad(torch.cat(diagonals, 1), (0, 0, 0, 0, 0, 1))  # [2, H·W + 1, B, h]
        left, right = (
            end.index_select(0, source) for end, source in zip(ends, self.sources, strict=True)
        )
        return (left + right).permute(1, 2, 0).unflatten(2, (height, width))  # [B, h, H, W]


def _positions(x: Tensor) -> Tensor:
    """[B, F, H, W] → [H·W, B, F]."""
    return x.flatten(2).permute(2, 0, 1)


def _diagonals(height: int, width: int) -> tuple[list[int], list[int]]:
    """The first row and the number of positions of every diagonal."""
    count = height + width - 1
    firsts = [max(0, t - width + 1) for t in range(count)]
    return firsts, [min(t, height - 1) - first + 1 for t, first in enumerate(firsts)]


def _diagonal_orders(height: int, width: int) -> tuple[Tensor, Tensor]:
    """`orders` and `sources` of a `DiagonalBiLSTM`."""
    ones = torch.ones(height, width, dtype=torch.long)
    rows, columns = ones.cumsum(0) - 1, ones.cumsum(1) - 1
    left = ((rows + columns) * height + rows).flatten().argsort()  # [H·W]
    right = (left // width + 1) * width - 1 - left % width  # the mirror images
    none = torch.full((width,), height * width)
    shifted = torch.cat((none, right.argsort()[:-width]))
    return torch.stack((left, right)), torch.stack((left.argsort(), shifted))


class PixelRNN(GridNetwork):
    """p(x | class) of a picture x [B, C, H, W] with values 0 … levels - 1."""

    config: PixelRNNConfig

    def __init__(self, config: PixelRNNConfig) -> None:
        super().__init__()
        self.config = config
        groups = config.channels
        self.likelihood = build_likelihood(config, groups, coupled=False)
        self.first = raster_conv(groups, config.features, config.first_kernel, groups, "A")
        self.layers = nn.ModuleList(
            RowLSTM(config)
            if config.layer == "row_lstm"
            else DiagonalBiLSTM(config, reads_picture=index == 0)
            for index in range(config.layers)
        )
        self.out_1x1 = pointwise(config.features, config.output_features, groups)
        self.head = PointwiseHead(config.output_features, groups, groups, self.likelihood)
        scale_init(self.first)
        scale_init(self.out_1x1, 2.0**0.5)  # a ReLU leaves half of the variance
        self.add_conditions()

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded picture, [B, H, W, C, P]."""
        x = self.first(embedded)  # [B, 2h, H, W]
        for layer in self.layers:
            x = layer(x, embedded, condition.classes)
        out = self.head(self.out_1x1(F.relu(x)), embedded).permute(0, 2, 3, 1)  # [B, H, W, C·P]
        parameters: Tensor = out.unflatten(-1, (-1, self.likelihood.parameters_per_value))
        return parameters
