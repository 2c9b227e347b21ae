"""The horizontal stack of a Gated PixelCNN, one position and channel group at a time.

The contribution of the positions to the left to all layers is one batched product per position;
that of earlier groups of the same position is another one per group. Only the group's own pass
through the layers is sequential, with one small product per layer (`LayerStep`). All buffers are
allocated once, and the loop over layers uses views that were created beforehand.

`strips` [L + 1, B, G · (state + q) + q] hold, for every layer and group, [h | y' | g]. A product
writes h, f and g of one group side by side and the gate turns f into y'. The next group's strip
begins at g, which is not read again; so the (h, y') of all finished groups lie side by side,
ready to be one matrix.

With normalisation every h starts with a constant √(q ε), so that its length is √(sum(h²) + q ε).
Dividing by it is the normalisation up to √q (multiplied into the weights), and since that commutes
with a product, the same product still gives h and h C; the latter is divided afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from pixelgen.models.gated_pixelcnn import GatedLayer, GatedPixelCNN
from pixelgen.sampling.fused_weights import (
    GroupedAffine,
    HorizontalConv,
    LayerStep,
    StackShape,
    bias_of,
    fuse_horizontal,
    fuse_result,
    fuse_step,
    matrix,
)
from pixelgen.sampling.output_stage import OutputStage
from pixelgen.sampling.vertical_stack import VerticalStack


class SkipWeights(NamedTuple):
    """From the gated maps of all layers to the sum of their skip outputs."""

    matrices: list[Tensor]
    """Per group c its contribution to the groups from c on, [L + 1, q, p - c · q]."""
    bias: Tensor
    """[p], the sum of all biases."""


@dataclass(frozen=True)
class HorizontalWeights:
    """The matrices of the horizontal stack, for batches of any size."""

    convolutions: list[HorizontalConv]
    """Of every layer."""
    steps: list[LayerStep]
    """From every layer to the next."""
    first: list[Tensor]
    """Per group [visible, 2q]: the first layer's, over the row up to this group."""
    left: Tensor | None
    """[L, reach · p, 2p]: for the positions to the left in all other layers."""
    earlier: list[Tensor | None]
    """Per group [L, c · (state + q), state + 2q]: for the strips of earlier groups."""
    cross: list[Tensor | None]
    """Per group, with normalisation, [L, c · q, 2q]: for their normalised maps."""
    result: GroupedAffine | None
    """From the last layer's strips to the stack's result; None with skip outputs."""
    skips: SkipWeights | None
    """None without skip outputs."""


def fuse_horizontal_stack(model: GatedPixelCNN, shape: StackShape) -> HorizontalWeights:
    """The matrices of the horizontal stack of `model`."""
    groups, q, state = shape.groups, shape.maps, shape.state
    later = cast(list[GatedLayer], list(model.layers))
    layers = [model.first, *later]
    normalised = state > q
    convolutions = [fuse_horizontal(layer, shape) for layer in layers]
    steps = [
        fuse_step(layers[k], convolutions[k + 1], shape, k == 0, normalised)
        for k in range(len(later))
    ]
    if not normalised:
        # Both biases of f and g are added at the same point: the row's base holds their sum.
        convolutions[1:] = [
            replace(conv, bias=conv.bias + step.bias[:, state:].flatten())
            for conv, step in zip(convolutions[1:], steps, strict=True)
        ]
    first, earlier, cross = [], list[Tensor | None](), list[Tensor | None]()
    for c in range(groups):
        gates, visible = slice(2 * q * c, 2 * q * (c + 1)), c * (shape.embedded // groups)
        before = torch.cat((convolutions[0].left, convolutions[0].centre[:visible]))
        first.append(before[:, gates].clone())
        earlier.append(_stacked([s.earlier[c] for s in steps]) if c else None)
        crossing = c and normalised
        cross.append(
            _stacked([conv.centre[: c * q, gates] for conv in convolutions[1:]])
            if crossing
            else None
        )
    skips = [layer.skip for layer in layers if layer.skip is not None]
    return HorizontalWeights(
        convolutions,
        steps,
        first,
        _stacked([conv.left for conv in convolutions[1:]]),
        earlier,
        cross,
        None if skips else fuse_result(layers[-1], shape, not later),
        _fuse_skips(skips, shape) if skips else None,
    )


def _fuse_skips(skips: Sequence[nn.Conv2d], shape: StackShape) -> SkipWeights:
    q = shape.maps
    weights = 0.5 * torch.stack([matrix(conv) for conv in skips])  # [L + 1, p, p]
    parts = [weights[:, c * q : (c + 1) * q, c * q :].contiguous() for c in range(shape.groups)]
    return SkipWeights(parts, torch.stack([bias_of(conv) for conv in skips]).sum(0))


class _Gate(NamedTuple):
    """Views of one group's maps before a gate; the gate is computed in place."""

    both: Tensor
    """f and g side by side, [B, 2q]."""
    f: Tensor
    """[B, q]; afterwards y'."""
    g: Tensor
    """[B, q]."""


class _Step(NamedTuple):
    """The buffers of one group between two layers."""

    addend: Tensor
    """[B, state + 2q], added to the product."""
    strip: Tensor
    """[B, state + q], [h | y'] of the layer before."""
    weight: Tensor
    """[state + q, state + 2q]."""
    out: Tensor
    """[B, state + 2q], [h | f | g] of this layer."""
    gate: _Gate
    """Of this layer."""


class _Normalisation(NamedTuple):
    """With normalisation, what a step needs besides."""

    state: Tensor
    """[B, state], h of this layer with its leading constant."""
    length: Tensor
    """[B, 1], where its length goes."""
    context: Tensor
    """[B, 2q], see `_Group.context`."""


@dataclass(frozen=True)
class _Group:
    """Matrices of one channel group and views of the buffers it works on."""

    visible: int
    """Entries of the row's buffer that the first layer reads, from the window's start."""
    first: Tensor
    """[visible, 2q]."""
    linear: Tensor
    """[B, 2q], where the first layer's maps before the gate go."""
    first_gate: _Gate
    """Of the first layer's strip."""
    finished: Tensor
    """[L, B, c · (state + q)], the strips of earlier groups."""
    earlier: Tensor | None
    """[L, c · (state + q), state + 2q], the matrix for them."""
    known: Tensor
    """[L, B, state + 2q]: the addends of all steps without the part of earlier groups."""
    addend: Tensor
    """[L, B, state + 2q]: the same with that part."""
    cross: Tensor | None
    """With normalisation, [L, c · q, 2q]: the matrix for the earlier groups' normalised maps."""
    context: Tensor
    """[L, B, 2q], the part of the maps before the gate that comes from above and from the left."""
    steps: list[_Step]
    """Per layer after the first."""
    normalisations: list[_Normalisation]
    """Per layer after the first; empty without normalisation."""
    last: Tensor
    """[B, (c + 1) · (state + q)], the last layer's strips."""
    gated: Tensor
    """[L + 1, B, q], y' in all layers."""


class _FirstInput(NamedTuple):
    """Views that the first layer reads, of one position and group."""

    base: Tensor
    """[B, 2q], from the rows above, bias included."""
    window: Tensor
    """[B, visible], the embedded row to the left, and the channels before the group."""


class HorizontalStack:
    """Buffers and views of the horizontal stack for a batch.

    For every position: `start_position`, `run` for every group, `end_position`.
    """

    def __init__(
        self,
        model: GatedPixelCNN,
        weights: HorizontalWeights,
        shape: StackShape,
        output: OutputStage,
        batch: int,
    ) -> None:
        self.shape, self.weights, self.output = shape, weights, output
        groups, q, p, state = shape.groups, shape.maps, shape.features, shape.state
        self.normalised = state > q
        layers = len(weights.steps)
        width, device = model.config.grid_width, model.out_1x1.weight.device

        def buffer(*size: int) -> Tensor:
            return torch.zeros(*size, device=device)

        first_reach = model.first.horizontal.kernel_size[1] - 1
        self.row_buffer = buffer(batch, (width + first_reach) * shape.embedded)
        padded = self.row_buffer.view(batch, width + first_reach, shape.embedded)
        self.row = padded[:, first_reach:].transpose(0, 1)
        """[W, B, embedded]: the embedded row being sampled; the buffer has zeros to its left."""

        self.reach = weights.left.shape[1] // p if weights.left is not None else 0
        self.history = buffer(layers, batch, (width + self.reach) * p)
        """[L, B, (reach + W) · p]: the row's inputs of every layer, normalised if they are."""
        self.strips = buffer(layers + 1, batch, groups * (state + q) + q)
        self.lengths = buffer(layers, batch, 1)
        known, addends = (buffer(groups, layers, batch, state + 2 * q) for _ in range(2))
        for c, k in ((c, k) for c in range(groups) for k in range(layers)):
            known[c, k] = weights.steps[k].bias[c]
        self.context = buffer(layers, batch, 2 * p)
        """[L, B, 2p]: the part of the maps before the gate that comes from above and the left."""
        by_group = self.context.view(layers, batch, groups, 2 * q).permute(2, 0, 1, 3)
        self.scatter_from, self.scatter_to = by_group, known[..., state:]
        self.scatter = not self.normalised
        """Without normalisation the context is copied to where the addends of the steps are."""
        if groups == 1 and not self.normalised:  # it is computed there
            self.context, self.scatter = known[0, :, :, state:], False
            by_group = self.context[None]

        padded = self.history.view(layers, batch, width + self.reach, groups, q)
        self.stored = padded[:, :, self.reach :].unbind(2)
        """Per position [L, B, G, q]: where its state is stored for the positions to the right."""
        visible = shape.embedded // groups if groups > 1 else 0
        step = state + q
        strips = self.strips[1:, :, : groups * step].view(layers, batch, groups, step)
        self.states = strips[..., state - q : state]
        """[L, B, G, q]: the state at this position."""
        self.groups: list[_Group] = []
        for c in range(groups):
            start = c * step
            strip = self.strips[:, :, start : start + state + 2 * q]
            both, f, g = strip[..., state:], strip[..., state : state + q], strip[..., state + q :]
            addend = known[c] if c == 0 else addends[c]
            self.groups.append(
                _Group(
                    visible=first_reach * shape.embedded + c * visible,
                    first=weights.first[c],
                    linear=both[0] if output.linear is None else output.linear[c],
                    first_gate=_Gate(both[0], f[0], g[0]),
                    finished=self.strips[:layers, :, :start],
                    earlier=weights.earlier[c],
                    known=known[c],
                    addend=addend,
                    cross=weights.cross[c],
                    context=by_group[c],
                    steps=[
                        _Step(
                            addend[k],
                            self.strips[k, :, start : start + step],
                            weights.steps[k].own[c],
                            strip[k + 1],
                            _Gate(both[k + 1], f[k + 1], g[k + 1]),
                        )
                        for k in range(layers)
                    ],
                    normalisations=[
                        _Normalisation(strip[k + 1, :, :state], self.lengths[k], by_group[c, k])
                        for k in range(layers if self.normalised else 0)
                    ],
                    last=self.strips[layers, :, : start + step],
                    gated=f,
                )
            )
        self.skip_total: Tensor | None = None
        if weights.skips is not None:
            self.skip_total = weights.skips.bias.repeat(batch, 1)

    def connect(self, vertical: VerticalStack) -> None:
        """Connects the stack with the vertical one, to whose bases it adds: creates the views for
        every position."""
        p, q, embedded = self.shape.features, self.shape.maps, self.shape.embedded
        positions = range(len(self.row))
        self.bases = vertical.bases.unbind(1)
        self.windows = [self.history[:, :, j * p : (j + self.reach) * p] for j in positions]
        self.first_inputs = [
            [
                _FirstInput(
                    vertical.first_base[j, :, 2 * q * c : 2 * q * (c + 1)],
                    self.row_buffer[:, j * embedded : j * embedded + group.visible],
                )
                for c, group in enumerate(self.groups)
            ]
            for j in positions
        ]

    def start_position(self, j: int) -> None:
        """Computes everything that is known before the first channel of position `j`."""
        if self.weights.left is not None:
            torch.baddbmm(self.bases[j], self.windows[j], self.weights.left, out=self.context)
            if self.scatter:
                self.scatter_to.copy_(self.scatter_from)
        if self.skip_total is not None and self.weights.skips is not None:
            self.skip_total.copy_(self.weights.skips.bias.expand_as(self.skip_total))

    def run(self, c: int, j: int) -> None:
        """Takes group `c` of position `j` through all layers and hands on its result."""
        group, q = self.groups[c], self.shape.maps
        both, f, g = group.first_gate
        base, window = self.first_inputs[j][c]
        torch.addmm(base, window, group.first, out=group.linear)
        torch.tanh(group.linear, out=both)
        f.addcmul_(f, g)
        if group.earlier is not None:
            torch.baddbmm(group.known, group.finished, group.earlier, out=group.addend)
        if self.normalised:
            self._run_normalised(c, j)
        else:
            addmm = torch.addmm
            for addend, strip, weight, out, (both, f, g) in group.steps:
                addmm(addend, strip, weight, out=out)
                both.tanh_()
                f.addcmul_(f, g)
        result = self.output.results[c]
        if self.weights.result is not None:
            matrices, biases = self.weights.result
            torch.addmm(biases[c], group.last, matrices[c], out=result)
            result.relu_()
        else:
            assert self.skip_total is not None
            assert self.weights.skips is not None
            contribution = torch.bmm(group.gated, self.weights.skips.matrices[c]).sum(0)
            self.skip_total[:, q * c :] += contribution
            torch.clamp_min(self.skip_total[:, q * c : q * (c + 1)], 0.0, out=result)
        self.output.group_done(c)

    def _run_normalised(self, c: int, j: int) -> None:
        group, stored = self.groups[c], self.stored[j]
        if group.cross is not None:
            group.context.baddbmm_(stored[:, :, :c].flatten(2), group.cross)
        for step, normalisation in zip(group.steps, group.normalisations, strict=True):
            addend, strip, weight, out, (both, f, g) = step
            state, length, context = normalisation
            torch.addmm(addend, strip, weight, out=out)
            torch.linalg.vector_norm(state, dim=1, keepdim=True, out=length)
            torch.addcdiv(context, both, length, out=both)
            both.tanh_()
            f.addcmul_(f, g)
        torch.div(self.states[:, :, c], self.lengths, out=stored[:, :, c])

    def end_position(self, j: int) -> None:
        """Stores the state of position `j` for the positions to the right."""
        if self.reach and not self.normalised:
            self.stored[j].copy_(self.states)


def _stacked(matrices: list[Tensor]) -> Tensor | None:
    return torch.stack(matrices) if matrices else None
