"""The incremental sampler of PixelRNN: about the work of one full pass per picture.

What is cached, for every layer:

- Row LSTM: its inputs in this row, which the masked convolution reads to the left; hidden and cell
  states of the row above. The contribution of the row above to a whole row is computed once per
  row, that of the left once per position.
- Diagonal BiLSTM: of the first direction the hidden states of the row above, and both states of the
  position to the left; of the second direction the hidden states of the row above, whose positions
  all receive them (shifted down). A row of the second direction starts at its right end, and reads
  whole positions: it is computed when the row is complete, from the cached inputs of the row.

These products are for all layers at once, since nothing in them depends on the position that is
being sampled. Only the input at the position itself goes layer by layer and channel group by
channel group.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.masked_conv import effective_weight
from pixelgen.models.pixelrnn import (
    GATES,
    DiagonalBiLSTM,
    LSTMState,
    PixelRNN,
    RecurrentLayer,
    RowLSTM,
    lstm_step,
)
from pixelgen.sampling.fused_weights import Affine, bias_of, group_parts
from pixelgen.sampling.raster_stages import FirstStage, RasterOutput, Views, affine, own, views
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads


def sample_pixelrnn(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, PixelRNN)
    height, width, channels = request.size
    kind = _RowLayers if model.config.layer == "row_lstm" else _DiagonalLayers
    with threads(1):
        first = FirstStage(model.first, channels, width, request.rows)
        layers = kind(model, request.condition, request.rows)
        output = RasterOutput(model, layers.maps[-1])
        for i in range(height):
            first.start_row()
            layers.start_row()
            for j in range(width):
                layers.start_position(j)
                for c in range(channels):
                    first.run(c, j, layers.maps[0])
                    layers.run(c)
                    value = request.sample_value(i, j, c, output.run(c))
                    first.row[j, :, c] = model.embed(value)
                layers.end_position(j)
                request.report(i * width + j + 1)
            if i + 1 < height:
                first.end_row()
                layers.end_row(first.row)


class _LayerStep(NamedTuple):
    """The buffers and matrices of one channel group in one layer."""

    entering: Views
    """The layer's input."""
    context: Tensor
    """[B, 4h / G], the sums of the gates without the position itself."""
    centre: Tensor
    """[(c + 1) · 2h / G, 4h / G], the weight of the position itself."""
    state: LSTMState
    """[B, h / G] each: where the new states go, and the cell states that they follow."""
    second: Tensor | None
    """[B, h / G], the hidden states of the second direction."""
    total: Views
    """The hidden states of both directions, or of the only one."""
    out: Affine
    leaving: Tensor
    """[B, 2h / G], the next layer's input."""


class _Layers:
    """The states of all L layers, and the pass of a position through them.

    Sums of gates of the (first) direction are laid out group by group, [G, (o, f, i, g) of h / G].
    """

    def __init__(self, model: PixelRNN, batch: int) -> None:
        config = model.config
        self.layers = cast(list[RecurrentLayer], list(model.layers))
        self.batch, self.width = batch, config.width
        self.groups, self.units, self.features = config.channels, config.units, config.features
        self.device = model.out_1x1.weight.device
        count = len(self.layers)
        self.maps = self.buffer(count + 1, batch, self.features)
        """[L + 1, B, 2h]: the inputs of all layers at this position, and the last one's result."""
        self.context = self.buffer(count, batch, GATES * self.units)
        """[L, B, 4h]: the sums of the gates at this position without the position itself."""
        self.bases = self.buffer(count, self.width, batch, GATES * self.units)
        """[L, W, B, 4h]: bias, class and row above."""
        self.state = LSTMState(*(self.buffer(count, batch, self.units) for _ in range(2)))
        """[L, B, h] each, of this position."""

    def buffer(self, *size: int) -> Tensor:
        """Zeros of this size."""
        return torch.zeros(*size, device=self.device)

    def by_group(self, columns: Tensor) -> Tensor:
        """[..., 4h] gate by gate → [..., 4h] group by group."""
        parts = columns.unflatten(-1, (GATES, self.groups, -1))  # [..., 4, G, h / G]
        return parts.transpose(-3, -2).flatten(-3)

    def steps(
        self, centres: list[Tensor], second: Tensor | None, total: Tensor
    ) -> list[list[_LayerStep]]:
        """By channel group and layer; `centres` [2h, 4h] per layer, group by group."""
        groups = self.groups
        return [
            [
                _LayerStep(
                    entering=views(self.maps[k], c, groups),
                    context=own(self.context[k], c, groups),
                    centre=group_parts(centres[k], groups)[c],
                    state=LSTMState(*(own(each[k], c, groups) for each in self.state)),
                    second=None if second is None else own(second[k], c, groups),
                    total=views(total[k], c, groups),
                    out=affine(layer.out, c, groups),
                    leaving=own(self.maps[k + 1], c, groups),
                )
                for k, layer in enumerate(self.layers)
            ]
            for c in range(groups)
        ]

    @staticmethod
    def run_steps(steps: list[_LayerStep]) -> None:
        """Takes one channel group of the position through all layers."""
        for step in steps:
            gates = torch.addmm(step.context, step.entering.until, step.centre)
            hidden, cell = lstm_step(gates, step.state.cell, dim=1)
            step.state.hidden.copy_(hidden)
            step.state.cell.copy_(cell)
            if step.second is not None:
                torch.add(hidden, step.second, out=step.total.own)
            torch.addmm(step.out.bias, step.total.until, step.out.matrix, out=step.leaving)
            step.leaving.add_(step.entering.own)


class _RowLayers(_Layers):
    """Layers of Row LSTMs."""

    def __init__(self, model: PixelRNN, condition: Condition, batch: int) -> None:
        super().__init__(model, batch)
        layers = cast(list[RowLSTM], self.layers)
        width, units, count = self.width, self.units, len(layers)
        self.reach = reach = model.config.kernel // 2
        inputs = [
            self.by_group(effective_weight(layer.input_to_state)[:, :, 0].float().permute(2, 1, 0))
            for layer in layers
        ]  # [reach + 1, 2h, 4h] each
        self.left = torch.stack([each[:-1].flatten(0, 1) for each in inputs])
        """[L, reach · 2h, 4h], the farthest position first."""
        states = [
            self.by_group(layer.state_to_state.weight[:, :, 0].float().permute(2, 1, 0))
            for layer in layers
        ]
        self.above = list(torch.stack(states, 1))
        """By column of the kernel [L, h, 4h]."""
        biases = [bias_of(layer.input_to_state).expand(batch, -1) for layer in layers]
        for k, layer in enumerate(layers):
            if layer.table is not None:
                biases[k] = biases[k] + layer.table(condition.classes).float()
        self.bias = self.by_group(torch.stack(biases))[:, None]
        """[L, 1, B, 4h]: with the class."""
        self.history = self.buffer(count, batch, (reach + width) * self.features)
        """[L, B, (reach + W) · 2h]: the inputs of all layers in this row."""
        self.hidden = self.buffer(count, width + 2 * reach, batch, units)
        """[L, W + 2 · reach, B, h]: of the row above, from this position on; zeros at both ends."""
        self.cells = self.buffer(count, width, batch, units)
        """[L, W, B, h]: of the row above, from this position on."""
        self.group_steps = self.steps([each[-1] for each in inputs], None, self.state.hidden)

    def start_row(self) -> None:
        """Computes the contribution of the row above to all positions of the next row."""
        self.bases.copy_(self.bias.expand_as(self.bases))
        flat = self.bases.flatten(1, 2)  # [L, W·B, 4h]
        for t, matrices in enumerate(self.above):
            flat.baddbmm_(self.hidden[:, t : t + self.width].flatten(1, 2), matrices)

    def start_position(self, j: int) -> None:
        """Computes everything that is known before the first channel of position `j`."""
        window = self.history[:, :, j * self.features : (j + self.reach) * self.features]
        torch.baddbmm(self.bases[:, j], window, self.left, out=self.context)
        self.state.cell.copy_(self.cells[:, j])

    def run(self, c: int) -> None:
        """Takes group `c` of the position through all layers."""
        self.run_steps(self.group_steps[c])

    def end_position(self, j: int) -> None:
        """Stores what later positions will read."""
        start = (self.reach + j) * self.features
        self.history[:, :, start : start + self.features] = self.maps[:-1]
        self.hidden[:, self.reach + j] = self.state.hidden
        self.cells[:, j] = self.state.cell

    def end_row(self, row: Tensor) -> None:
        """Nothing: states are stored position by position."""


class _DiagonalLayers(_Layers):
    """Layers of Diagonal BiLSTMs."""

    def __init__(self, model: PixelRNN, condition: Condition, batch: int) -> None:
        super().__init__(model, batch)
        layers = cast(list[DiagonalBiLSTM], self.layers)
        width, units, count = self.width, self.units, len(layers)
        inputs = torch.stack([layer.input_matrices().float() for layer in layers], 1)
        states = torch.stack([layer.state_matrices().float() for layer in layers], 1)
        biases = torch.stack([bias_of(layer.input_to_state) for layer in layers])[:, None]
        biases = biases.expand(-1, batch, -1)  # [L, B, 8h]
        if model.config.classes:
            terms = [layer.table(condition.classes) for layer in layers if layer.table is not None]
            biases = biases + torch.stack(terms).float()
        first_bias, second_bias = biases.chunk(2, dim=-1)  # [L, B, 4h] each

        self.bias = self.by_group(first_bias)[:, None]
        """[L, 1, B, 4h]: of the first direction, with the class."""
        self.above, self.beside = self.by_group(states[0]).split(units, dim=1)
        """[L, h, 4h] each, of the first direction."""
        self.hidden = self.buffer(count, width, batch, units)
        """[L, W, B, h]: of the first direction in the row above, from this position on."""

        self.second_bias = second_bias[:, None]
        self.second_inputs = inputs[1]
        """[L, 2h, 4h]."""
        self.second_above, self.second_beside = states[1].split(units, dim=1)
        picture = layers[0].picture
        assert picture is not None
        self.picture = picture.weight[:, :, 0, 0].float().t()
        """[C, 4h], of the first layer."""
        self.history = self.buffer(count, width, batch, self.features)
        """[L, W, B, 2h]: the inputs of all layers in this row."""
        self.second_hidden = self.buffer(count, width, batch, units)
        """[L, W, B, h]: of the second direction in the row above."""
        self.second = self.buffer(count, batch, units)
        """[L, B, h]: those that this position receives."""
        self.total = self.buffer(count, batch, units)
        self.group_steps = self.steps(list(self.by_group(inputs[0])), self.second, self.total)

    def start_row(self) -> None:
        """Computes the contribution of the row above to all positions of the next row."""
        self.bases.copy_(self.bias.expand_as(self.bases))
        self.bases.flatten(1, 2).baddbmm_(self.hidden.flatten(1, 2), self.above)
        for each in self.state:
            each.zero_()

    def start_position(self, j: int) -> None:
        """Computes everything that is known before the first channel of position `j`."""
        torch.baddbmm(self.bases[:, j], self.state.hidden, self.beside, out=self.context)
        self.second.copy_(self.second_hidden[:, j])

    def run(self, c: int) -> None:
        """Takes group `c` of the position through all layers."""
        self.run_steps(self.group_steps[c])

    def end_position(self, j: int) -> None:
        """Stores what later positions will read."""
        self.history[:, j] = self.maps[:-1]
        self.hidden[:, j] = self.state.hidden

    def end_row(self, row: Tensor) -> None:
        """Takes the second direction through the finished row, from right to left; `row` [W, B, C]
        is that of the picture."""
        gates = torch.matmul(self.history.flatten(1, 2), self.second_inputs)  # [L, W·B, 4h]
        gates.baddbmm_(self.second_hidden.flatten(1, 2), self.second_above)
        gates[0].addmm_(row.reshape(-1, self.groups), self.picture)
        gates = gates.unflatten(1, (self.width, -1)).add_(self.second_bias)  # [L, W, B, 4h]
        zeros = torch.zeros_like(self.second)
        state = LSTMState(zeros, zeros)
        for j in reversed(range(self.width)):
            total = torch.baddbmm(gates[:, j], state.hidden, self.second_beside)
            state = lstm_step(total, state.cell, dim=-1)
            self.second_hidden[:, j] = state.hidden
