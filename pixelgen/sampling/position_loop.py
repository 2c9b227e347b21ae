"""The horizontal stack of a Gated PixelCNN, one position and channel group at a time.

What the positions to the left say to all layers is one batched product per position; what earlier
groups of the same position say is another one per group; only a group's own way through the layers
is sequential, with one small product per layer (folding.Step). All buffers are allocated once, and
the loop over layers runs over views that were made beforehand.

`strips` [L + 1, B, G · (state + q) + q] hold, of every layer and group, [h | y' | g]. A product
writes h, f and g of one group side by side and the gate turns f into y'. The next group's strip
begins where g was, which nobody reads any more; so the (h, y') of all finished groups lie side by
side, ready to be one matrix.

With normalisation every h starts with a constant √(q ε), so that its length is √(sum(h²) + q ε).
Dividing by it is the normalisation up to √q (folded into the weights), and since that commutes with
a product, the same product still gives h and h C; the latter is divided afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from pixelgen.models.gated_pixelcnn import GatedLayer, GatedPixelCNN
from pixelgen.models.masked_conv import AnyConv
from pixelgen.sampling.fused_weights import (
    Horizontal,
    Shape,
    Step,
    bias_of,
    fold_horizontal,
    fold_result,
    fold_step,
    matrix,
)
from pixelgen.sampling.output_stage import OutputStage
from pixelgen.sampling.vertical_stack import VerticalStack


@dataclass(frozen=True)
class WalkWeights:
    """The matrices of the horizontal stack, for batches of any size."""

    horizontals: list[Horizontal]
    """Of every layer."""
    steps: list[Step]
    """From every layer to the next."""
    first: list[Tensor]
    """Per group [visible, 2q]: the first layer's, over the row up to this group."""
    left: Tensor | None
    """[L, reach · p, 2p]: what reads the positions to the left in all other layers."""
    earlier: list[Tensor | None]
    """Per group [L, c · (state + q), state + 2q]: what reads the strips of earlier groups."""
    cross: list[Tensor | None]
    """Per group, with normalisation, [L, c · q, 2q]: what reads their normalised maps."""
    result: tuple[list[Tensor], Tensor] | None
    """From the last layer's strips to the stack's result; None with skip outputs."""
    skips: tuple[list[Tensor], Tensor] | None
    """Per group c what it says to the groups from c on, [L + 1, q, p - c · q], and the sum of all
    biases [p]."""


def fold_walk(model: GatedPixelCNN, shape: Shape) -> WalkWeights:
    """The matrices of the horizontal stack of `model`."""
    groups, q, state = shape.groups, shape.maps, shape.state
    later = cast(list[GatedLayer], list(model.layers))
    sources = [model.first, *later]
    normalised = state > q
    horizontals = [fold_horizontal(layer, shape) for layer in sources]
    steps = [
        fold_step(sources[k], horizontals[k + 1], shape, k == 0, normalised)
        for k in range(len(later))
    ]
    if not normalised:
        # Both biases of f and g are added at the same place: let the row's base hold them.
        horizontals[1:] = [
            replace(h, bias=h.bias + step.bias[:, state:].flatten())
            for h, step in zip(horizontals[1:], steps, strict=True)
        ]
    first, earlier, cross = [], list[Tensor | None](), list[Tensor | None]()
    for c in range(groups):
        gates, visible = slice(2 * q * c, 2 * q * (c + 1)), c * (shape.embedded // groups)
        before = torch.cat((horizontals[0].left, horizontals[0].centre[:visible]))
        first.append(before[:, gates].clone())
        earlier.append(_stacked([s.earlier[c] for s in steps]) if c else None)
        crossing = c and normalised
        cross.append(
            _stacked([h.centre[: c * q, gates] for h in horizontals[1:]]) if crossing else None
        )
    skips = [layer.skip for layer in sources if layer.skip is not None]
    return WalkWeights(
        horizontals,
        steps,
        first,
        _stacked([h.left for h in horizontals[1:]]),
        earlier,
        cross,
        None if skips else fold_result(sources[-1], shape, not later),
        _fold_skips(skips, shape) if skips else None,
    )


def _fold_skips(skips: Sequence[AnyConv], shape: Shape) -> tuple[list[Tensor], Tensor]:
    q = shape.maps
    weights = 0.5 * torch.stack([matrix(conv) for conv in skips])
    parts = [weights[:, c * q : (c + 1) * q, c * q :].contiguous() for c in range(shape.groups)]
    return parts, torch.stack([bias_of(conv) for conv in skips]).sum(0)


@dataclass(frozen=True)
class _Group:
    """Matrices of one channel group and views of the buffers it works on."""

    visible: int
    """Entries of the row's buffer that the first layer reads, from the window's start."""
    first: Tensor
    """[visible, 2q]."""
    linear: Tensor
    """[B, 2q], where the first layer's maps before the gate go."""
    first_gate: tuple[Tensor, Tensor, Tensor]
    """(f and g, f, g) of the first layer's strip."""
    finished: Tensor
    """[L, B, c · (state + q)], the strips of earlier groups."""
    earlier: Tensor | None
    """[L, c · (state + q), state + 2q], what reads them."""
    addends: tuple[Tensor, Tensor]
    """[L, B, state + 2q]: what is known beforehand, and the same with the earlier groups' part."""
    cross: Tensor | None
    """With normalisation, [L, c · q, 2q]: what reads the earlier groups' normalised maps."""
    given: Tensor
    """[L, B, 2q], the group's part of what is given from above and the left."""
    steps: list[tuple[Tensor, ...]]
    """Per layer (addend, input, matrix, out, f and g, f, g) and for normalisation (h, its length,
    given)."""
    last: Tensor
    """[B, (c + 1) · (state + q)], the last layer's strips."""
    gated: Tensor
    """[L + 1, B, q], y' in all layers."""


class Walk:
    """Buffers and views of the horizontal stack for a batch."""

    def __init__(
        self,
        model: GatedPixelCNN,
        weights: WalkWeights,
        shape: Shape,
        output: OutputStage,
        batch: int,
    ) -> None:
        self.shape, self.weights, self.output = shape, weights, output
        groups, q, p, state = shape.groups, shape.maps, shape.features, shape.state
        self.normalised = state > q
        self.layers = layers = len(weights.steps)
        width, device = model.config.grid_width, model.mix.weight.device

        def buffer(*size: int) -> Tensor:
            return torch.zeros(*size, device=device)

        first_reach = model.first.horizontal.kernel_size[1] - 1
        self.row_buffer = buffer(batch, (width + first_reach) * shape.embedded)
        placed = self.row_buffer.view(batch, width + first_reach, shape.embedded)
        self.row = placed[:, first_reach:].transpose(0, 1)
        """[W, B, embedded]: the row that is being drawn (in the buffer, zeros lie to its left)."""

        self.reach = weights.left.shape[1] // p if weights.left is not None else 0
        self.history = buffer(layers, batch, (width + self.reach) * p)
        """[L, B, (reach + W) · p]: the row's inputs of every layer, normalised if they are."""
        self.strips = buffer(layers + 1, batch, groups * (state + q) + q)
        self.lengths = buffer(layers, batch, 1)
        known, addends = (buffer(groups, layers, batch, state + 2 * q) for _ in range(2))
        for c, k in ((c, k) for c in range(groups) for k in range(layers)):
            known[c, k] = weights.steps[k].bias[c]
        # Without normalisation what is given is gathered where the products' addends are.
        self.given = buffer(layers, batch, 2 * p)
        by_group = self.given.view(layers, batch, groups, 2 * q).permute(2, 0, 1, 3)
        self.scatter = None if self.normalised else (known[..., state:], by_group)
        if groups == 1 and not self.normalised:
            self.given, self.scatter = known[0, :, :, state:], None
            by_group = self.given[None]

        visible = shape.embedded // groups if groups > 1 else 0
        self.groups: list[_Group] = []
        step = state + q
        placed = self.history.view(layers, batch, width + self.reach, groups, q)
        self.kept = placed[:, :, self.reach :].unbind(2)
        """Per position [L, B, G, q]: where its state is kept for the positions to the right."""
        strips = self.strips[1:, :, : groups * step].view(layers, batch, groups, step)
        self.states = strips[..., state - q : state]
        """[L, B, G, q]: the state at this position."""
        for c in range(groups):
            start = c * step
            strip = self.strips[:, :, start : start + state + 2 * q]
            f_g, f, g = strip[..., state:], strip[..., state : state + q], strip[..., state + q :]
            addend = known[c] if c == 0 else addends[c]
            self.groups.append(
                _Group(
                    visible=first_reach * shape.embedded + c * visible,
                    first=weights.first[c],
                    linear=f_g[0] if output.linear is None else output.linear[c],
                    first_gate=(f_g[0], f[0], g[0]),
                    finished=self.strips[:layers, :, :start],
                    earlier=weights.earlier[c],
                    addends=(known[c], addend),
                    cross=weights.cross[c],
                    given=by_group[c],
                    steps=[
                        (
                            addend[k],
                            self.strips[k, :, start : start + step],
                            weights.steps[k].own[c],
                            strip[k + 1],
                            f_g[k + 1],
                            f[k + 1],
                            g[k + 1],
                            *(
                                (strip[k + 1, :, :state], self.lengths[k], by_group[c, k])
                                if self.normalised
                                else ()
                            ),
                        )
                        for k in range(layers)
                    ],
                    last=self.strips[layers, :, : start + step],
                    gated=f,
                )
            )
        self.skip_total: Tensor | None = None
        if weights.skips is not None:
            self.skips, self.skip_bias = weights.skips
            self.skip_total = self.skip_bias.repeat(batch, 1)

    def follow(self, vertical: VerticalStack) -> None:
        """Connects the walk with the stack whose bases it adds to: views for every position."""
        p, q, embedded = self.shape.features, self.shape.maps, self.shape.embedded
        positions = range(len(self.row))
        self.bases = vertical.bases.unbind(1)
        self.windows = [self.history[:, :, j * p : (j + self.reach) * p] for j in positions]
        self.first_inputs = [
            [
                (
                    vertical.first_base[j, :, 2 * q * c : 2 * q * (c + 1)],
                    self.row_buffer[:, j * embedded : j * embedded + group.visible],
                )
                for c, group in enumerate(self.groups)
            ]
            for j in positions
        ]

    def enter(self, j: int) -> None:
        """Gathers what is known before position `j`'s first channel."""
        if self.weights.left is not None:
            torch.baddbmm(self.bases[j], self.windows[j], self.weights.left, out=self.given)
            if self.scatter is not None:
                self.scatter[0].copy_(self.scatter[1])
        if self.skip_total is not None:
            self.skip_total.copy_(self.skip_bias.expand_as(self.skip_total))

    def run(self, c: int, j: int) -> None:
        """Takes group `c` of position `j` through all layers to its result."""
        group, q = self.groups[c], self.shape.maps
        gates, f, g = group.first_gate
        base, window = self.first_inputs[j][c]
        torch.addmm(base, window, group.first, out=group.linear)
        torch.tanh(group.linear, out=gates)
        f.addcmul_(f, g)
        if group.earlier is not None:
            known, addend = group.addends
            torch.baddbmm(known, group.finished, group.earlier, out=addend)
        if self.normalised:
            self._run_normalised(c, j)
        else:
            addmm = torch.addmm
            for addend, before, weight, out, gates, f, g in group.steps:
                addmm(addend, before, weight, out=out)
                gates.tanh_()
                f.addcmul_(f, g)
        result = self.output.results[c]
        if self.weights.result is not None:
            matrices, biases = self.weights.result
            torch.addmm(biases[c], group.last, matrices[c], out=result)
            result.relu_()
        else:
            assert self.skip_total is not None
            self.skip_total[:, q * c :] += torch.bmm(group.gated, self.skips[c]).sum(0)
            torch.clamp_min(self.skip_total[:, q * c : q * (c + 1)], 0.0, out=result)
        self.output.group_done(c)

    def _run_normalised(self, c: int, j: int) -> None:
        group, kept = self.groups[c], self.kept[j]
        if group.cross is not None:
            group.given.baddbmm_(kept[:, :, :c].flatten(2), group.cross)
        for addend, before, weight, out, gates, f, g, h, length, given in group.steps:
            torch.addmm(addend, before, weight, out=out)
            torch.linalg.vector_norm(h, dim=1, keepdim=True, out=length)
            torch.addcdiv(given, gates, length, out=gates)
            gates.tanh_()
            f.addcmul_(f, g)
        torch.div(self.states[:, :, c], self.lengths, out=kept[:, :, c])

    def leave(self, j: int) -> None:
        """Keeps of position `j` what positions to the right will read."""
        if self.reach and not self.normalised:
            self.kept[j].copy_(self.states)


def _stacked(matrices: list[Tensor]) -> Tensor | None:
    return torch.stack(matrices) if matrices else None
