"""The vertical stack of a Gated PixelCNN, one row at a time.

The part of a batch that one thread samples (incremental_gated.py) may be split once more: with
threads to spare, each takes some of the pictures through the whole stack. They meet once per row.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.gated_pixelcnn import GatedLayer, GatedPixelCNN
from pixelgen.models.layers import NORM_EPSILON
from pixelgen.models.masked_conv import effective_weight
from pixelgen.sampling.fused_weights import (
    Affine,
    HorizontalConv,
    StackShape,
    bias_of,
    by_group,
    matrix,
)
from pixelgen.sampling.row_convolution import RowConvolution, RowKernel
from pixelgen.sampling.threads import shares

ROWS_PER_THREAD = 128
"""Rows of a matrix product from which on another thread pays."""


class _RowTerms(NamedTuple):
    """What the condition adds to both stacks of a layer in one row, [W or 1, B, 2p] each."""

    vertical: Tensor
    horizontal: Tensor
    """Group by group, g halved."""


@dataclass(frozen=True)
class VerticalWeights:
    """The matrices of one layer of the vertical stack, for batches of any size."""

    layer: GatedLayer
    kernel: RowKernel
    bias: Tensor
    norm: Tensor | None
    """[in], the weight of the normalisation."""
    to_horizontal: Affine
    """[2p, 2p], its outputs group by group, g halved; the bias includes `start`."""
    start: Tensor
    """[2p], the horizontal convolution's bias: the base of the first row."""
    out: Affine | None
    """`vertical_out`."""


def fuse_vertical_stack(
    model: GatedPixelCNN, convolutions: list[HorizontalConv], groups: int
) -> list[VerticalWeights]:
    """The matrices of all layers, whose horizontal `convolutions` are fused already."""
    layers = cast(list[GatedLayer], [model.first, *model.layers])
    return [_fuse(layer, conv, groups) for layer, conv in zip(layers, convolutions, strict=True)]


def _fuse(layer: GatedLayer, horizontal: HorizontalConv, groups: int) -> VerticalWeights:
    norm, out, link = layer.vertical_norm, layer.vertical_out, layer.vertical_to_horizontal
    return VerticalWeights(
        layer=layer,
        kernel=RowKernel(effective_weight(layer.vertical).float()),
        bias=bias_of(layer.vertical),
        norm=None if norm is None else norm.weight.float(),
        to_horizontal=Affine(
            by_group(matrix(link), groups).contiguous(),
            by_group(bias_of(link), groups) + horizontal.bias,
        ),
        start=horizontal.bias,
        out=None if out is None else Affine(matrix(out).contiguous(), bias_of(out)),
    )


class VerticalStack:
    """Turns finished rows into their contribution to the horizontal stack's next row."""

    def __init__(
        self,
        model: GatedPixelCNN,
        layers: list[VerticalWeights],
        shape: StackShape,
        condition: Condition,
        batch: int,
        pool: Executor,
        workers: int,
    ) -> None:
        width = model.config.grid_width
        p, device = shape.features, model.out_1x1.weight.device
        self.bases = torch.empty(len(model.layers), width, batch, 2 * p, device=device)
        """[L, W, B, 2p]: the maps before the gate, group by group, of every layer but the first in
        the current row, without the contribution of that row itself."""
        self.first_base = torch.empty(width, batch, 2 * p, device=device)
        """[W, B, 2p]: the same for the first layer."""
        s = model.condition_map(condition)
        if device.type != "cpu":
            workers = 1
        parts = max(1, min(workers, batch * width // ROWS_PER_THREAD, batch))
        self.rows = shares(batch, parts)
        self.parts = [
            _Part(
                layers,
                shape.groups,
                condition[rows],
                None if s is None else s[rows],
                [base[:, rows] for base in (self.first_base, *self.bases)],
            )
            for rows in self.rows
        ]
        self.pool = pool

    def push(self, i: int, embedded: Tensor) -> None:
        """Takes in the finished row `i`, [W, B, in], and writes the bases of row i + 1."""
        first, *others = [
            (part, embedded[:, rows]) for part, rows in zip(self.parts, self.rows, strict=True)
        ]
        futures = [self.pool.submit(part.push, i, row) for part, row in others]
        first[0].push(i, first[1])
        for future in futures:
            future.result()


class _Part:
    """The stack for some pictures of the batch: their last rows and buffers."""

    def __init__(
        self,
        layers: list[VerticalWeights],
        groups: int,
        condition: Condition,
        s: Tensor | None,
        bases: list[Tensor],
    ) -> None:
        self.layers, self.groups, self.condition, self.map = layers, groups, condition, s
        self.bases = bases
        """Per layer, the first included, [W, B, 2p]."""
        width, batch = bases[0].shape[:2]
        self.rows = [RowConvolution(layer.kernel, width, batch) for layer in layers]
        self.before = torch.empty_like(bases[0], memory_format=torch.contiguous_format)
        self.linked = torch.empty_like(self.before)
        self.terms = [self._terms(layer.layer, 0) for layer in layers]
        """Per layer those of the next row."""
        # The first row has no row above, so not even the bias of `vertical_to_horizontal`, which
        # is shifted down with the rest.
        for base, layer, terms in zip(bases, layers, self.terms, strict=True):
            base.copy_(layer.start if terms is None else terms.horizontal + layer.start)

    def _terms(self, layer: GatedLayer, i: int) -> _RowTerms | None:
        """The terms of the condition in row `i`; with a map they depend on the position."""
        s = None if self.map is None else self.map[:, :, i : i + 1]
        both = layer.condition(self.condition, s)
        if both is None:
            return None
        vertical, horizontal = (t.float()[:, :, 0].permute(2, 0, 1) for t in both)
        return _RowTerms(vertical.contiguous(), by_group(horizontal, self.groups).contiguous())

    @torch.inference_mode()  # which every thread enters for itself
    def push(self, i: int, embedded: Tensor) -> None:
        """Takes in row `i` and writes the bases of row i + 1."""
        v, before, linked = embedded, self.before, self.linked
        flat_before, flat_linked = before.flatten(0, 1), linked.flatten(0, 1)
        for k, (layer, rows) in enumerate(zip(self.layers, self.rows, strict=True)):
            rows.push(v if layer.norm is None else _normalised(v, layer.norm))
            terms = self.terms[k]
            before.copy_(layer.bias if terms is None else terms.vertical + layer.bias)
            rows.add_to(flat_before)
            torch.mm(flat_before, layer.to_horizontal.matrix, out=flat_linked)
            if self.map is not None:
                self.terms[k] = terms = self._terms(layer.layer, i + 1)
            constant = layer.to_horizontal.bias
            if terms is not None:
                constant = terms.horizontal + constant
            torch.add(linked, constant, out=self.bases[k])

            f, g = before.chunk(2, dim=-1)
            gated = torch.tanh(f).mul_(torch.sigmoid(g))
            if layer.out is None:
                v = gated
            else:
                out, bias = layer.out
                v = v + torch.addmm(bias, gated.flatten(0, 1), out).view_as(v)


def _normalised(v: Tensor, weight: Tensor) -> Tensor:
    """ChannelNorm of one group over the last dimension."""
    return v * torch.rsqrt(v.square().mean(-1, keepdim=True) + NORM_EPSILON) * weight
