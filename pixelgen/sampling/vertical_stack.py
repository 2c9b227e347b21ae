"""The vertical stack of a Gated PixelCNN, one row at a time.

What one thread draws of a large batch (incremental.py) may be split once more: where there are more
threads, each takes its pictures through the whole stack. They meet once per row.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pixelgen.models.conditioning import Condition
from pixelgen.models.gated_pixelcnn import GatedLayer, GatedPixelCNN
from pixelgen.sampling.fused_weights import EPSILON, Horizontal, Shape, bias_of, by_group, matrix
from pixelgen.sampling.row_convolution import RowConvolution, RowKernel
from pixelgen.sampling.threads import shares

Terms = tuple[Tensor, Tensor] | None
"""What the condition adds to both stacks of a layer in one row, [W or 1, B, 2p] each."""

WORTH_A_ROW_THREAD = 128
"""Rows of a matrix product from which on a thread of their own pays."""


@dataclass(frozen=True)
class VerticalWeights:
    """The matrices of one layer of the vertical stack, for batches of any size."""

    source: GatedLayer
    kernel: RowKernel
    bias: Tensor
    norm: Tensor | None
    """[in], the weight of the normalisation."""
    link: Tensor
    """[2p, 2p], its outputs group by group, g halved."""
    start: Tensor
    """[2p], the horizontal convolution's bias: all there is before the first row."""
    link_bias: Tensor
    """[2p], that and the link's bias."""
    out: tuple[Tensor, Tensor] | None
    """`vertical_out` as a matrix and its bias."""


def fold_vertical(
    model: GatedPixelCNN, horizontals: list[Horizontal], groups: int
) -> list[VerticalWeights]:
    """Those of all layers, of which the horizontal convolutions are folded already."""
    sources = cast(list[GatedLayer], [model.first, *model.layers])
    return [_fold(s, h, groups) for s, h in zip(sources, horizontals, strict=True)]


def _fold(source: GatedLayer, horizontal: Horizontal, groups: int) -> VerticalWeights:
    norm, out = source.vertical_norm, source.vertical_out
    return VerticalWeights(
        source=source,
        kernel=RowKernel(source.vertical.masked_weight().float()),
        bias=bias_of(source.vertical),
        norm=None if norm is None else norm.weight.float(),
        link=by_group(matrix(source.link), groups).contiguous(),
        start=horizontal.bias,
        link_bias=by_group(bias_of(source.link), groups) + horizontal.bias,
        out=None if out is None else (matrix(out).contiguous(), bias_of(out)),
    )


class VerticalStack:
    """Turns finished rows into all that they say to the horizontal stack's next row."""

    def __init__(
        self,
        model: GatedPixelCNN,
        layers: list[VerticalWeights],
        shape: Shape,
        condition: Condition,
        batch: int,
        pool: Executor,
        workers: int,
    ) -> None:
        width = model.config.grid_width
        p, device = shape.features, model.mix.weight.device
        self.bases = torch.empty(len(model.layers), width, batch, 2 * p, device=device)
        """[L, W, B, 2p]: the maps before the gate, group by group, of every layer but the first in
        the current row, without what lies in that row itself."""
        self.first_base = torch.empty(width, batch, 2 * p, device=device)
        """[W, B, 2p]: the same for the first layer."""
        s = model.condition_map(condition)
        if device.type != "cpu":
            workers = 1
        parts = max(1, min(workers, batch * width // WORTH_A_ROW_THREAD, batch))
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
        self.terms = [self._terms(layer.source, 0) for layer in layers]
        """Per layer those of the row that comes next."""
        # Above the first row there is nothing, not even the link's bias: rows move down after it.
        for base, layer, terms in zip(bases, layers, self.terms, strict=True):
            base.copy_(layer.start if terms is None else terms[1] + layer.start)

    def _terms(self, source: GatedLayer, i: int) -> Terms:
        """What the condition says in row `i`; with a map it depends on the position."""
        s = None if self.map is None else self.map[:, :, i : i + 1]
        both = source.condition(self.condition, s)
        if both is None:
            return None
        vertical, horizontal = (t.float()[:, :, 0].permute(2, 0, 1) for t in both)
        return vertical.contiguous(), by_group(horizontal, self.groups).contiguous()

    @torch.inference_mode()  # which every thread enters for itself
    def push(self, i: int, embedded: Tensor) -> None:
        """Takes in row `i` and writes the bases of row i + 1."""
        v, before, linked = embedded, self.before, self.linked
        flat_before, flat_linked = before.flatten(0, 1), linked.flatten(0, 1)
        for k, (layer, rows) in enumerate(zip(self.layers, self.rows, strict=True)):
            rows.push(v if layer.norm is None else _normalised(v, layer.norm))
            terms = self.terms[k]
            before.copy_(layer.bias if terms is None else terms[0] + layer.bias)
            rows.add_to(flat_before)
            torch.mm(flat_before, layer.link, out=flat_linked)
            if self.map is not None:
                self.terms[k] = terms = self._terms(layer.source, i + 1)
            constant = layer.link_bias if terms is None else terms[1] + layer.link_bias
            torch.add(linked, constant, out=self.bases[k])

            f, g = before.chunk(2, dim=-1)
            gated = torch.tanh(f).mul_(torch.sigmoid(g))
            if layer.out is None:
                v = gated
            else:
                v = v + torch.addmm(layer.out[1], gated.flatten(0, 1), layer.out[0]).view_as(v)


def _normalised(v: Tensor, weight: Tensor) -> Tensor:
    """ChannelNorm of one group over the last dimension."""
    return v * torch.rsqrt(v.square().mean(-1, keepdim=True) + EPSILON) * weight
