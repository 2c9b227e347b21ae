"""The Gated PixelCNN's weights as plain matrices for the incremental sampler.

Conventions. Matrices are [in, out] for products x @ M. G channel groups of q = p / G maps (G = 1
where the stacks are not split). Maps before a gate are laid out *group by group*, [G, (f q, g q)],
so that everything about one group is one strip of memory.

The gate is computed as y' = tanh(f) · (1 + tanh(g / 2)) = 2 · tanh(f) · sigmoid(g), one tanh over
the whole strip: the ½ of g is part of the weights that compute g, the ½ of y' of the weights that
read y'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.models.gated_pixelcnn import GatedLayer, GatedPixelCNN
from pixelgen.models.layers import NORM_EPSILON
from pixelgen.models.masked_conv import effective_weight


@dataclass(frozen=True)
class StackShape:
    """The sizes of both stacks."""

    groups: int
    """G: channel groups of the maps."""
    maps: int
    """q: maps per group."""
    state: int
    """Width of the horizontal state h of a group: q, or 1 + q with normalisation (see
    horizontal_stack.py)."""
    embedded: int
    """Numbers per position of the embedded grid."""

    @property
    def features(self) -> int:
        """p, all maps."""
        return self.groups * self.maps


def shape_of(model: GatedPixelCNN) -> StackShape:
    """The sizes of `model`."""
    config = model.config
    groups = config.channel_groups
    maps = config.features // groups
    state = maps + (config.normalisation == "channel")
    return StackShape(groups, maps, state, model.first.vertical.in_channels)


class Affine(NamedTuple):
    """x @ matrix + bias."""

    matrix: Tensor
    """[in, out]."""
    bias: Tensor
    """[out]."""


class GroupedAffine(NamedTuple):
    """One product for every channel group or channel."""

    matrices: list[Tensor]
    """[in, out] each."""
    biases: list[Tensor]
    """[out] each."""


def matrix(conv: torch.nn.Conv2d) -> Tensor:
    """The weight of a 1×1 convolution as [in, out]."""
    return effective_weight(conv)[:, :, 0, 0].t().float()


def bias_of(conv: torch.nn.Conv2d) -> Tensor:
    """The bias of a convolution, [out]."""
    assert conv.bias is not None
    return conv.bias.float()


def by_group(columns: Tensor, groups: int) -> Tensor:
    """Maps before a gate, [..., 2p] as (f p, g p) → [..., 2p] group by group, g halved."""
    halves = columns.unflatten(-1, (2, groups, -1))
    scale = halves.new_tensor([1.0, 0.5])[:, None, None]
    return (halves * scale).transpose(-3, -2).flatten(-3)


@dataclass(frozen=True)
class HorizontalConv:
    """The horizontal convolution of a layer, its outputs group by group, g halved."""

    left: Tensor
    """[reach · in, 2p]: the positions to the left, the farthest first."""
    centre: Tensor
    """[in, 2p]: the position itself."""
    bias: Tensor
    """[2p]."""


def fuse_horizontal(layer: GatedLayer, shape: StackShape) -> HorizontalConv:
    """The horizontal convolution with mask, gate scale and normalisation weight multiplied in."""
    conv = layer.horizontal
    weight = by_group(effective_weight(conv)[:, :, 0].permute(2, 1, 0).float(), shape.groups)
    if layer.horizontal_norm is not None:
        # The sampler divides h by its length, not by its root mean square: a factor of √q.
        weight = weight * (layer.horizontal_norm.weight * math.sqrt(shape.maps))[:, None]
    bias = by_group(bias_of(conv), shape.groups)
    return HorizontalConv(weight[:-1].flatten(0, 1).contiguous(), weight[-1], bias)


@dataclass(frozen=True)
class LayerStep:
    """From the strips [h | y'] of one layer to the strips [h | f | g] of the next, one product.

    With h' = h + y' W + b and (f, g) = h' C + what comes from elsewhere, both are linear in h, y':
    h' = [h y'] [I; W] + b and (f, g) = [h y'] [C; W C] + b C. Group c reads groups ≤ c.
    """

    own: list[Tensor]
    """Per group [state + q, state + 2q]: the contribution of the group itself."""
    earlier: list[Tensor]
    """Per group c [c · (state + q), state + 2q]: the contribution of the groups before it."""
    bias: Tensor
    """[G, state + 2q]."""


def fuse_step(
    previous: GatedLayer,
    horizontal: HorizontalConv,
    shape: StackShape,
    first: bool,
    normalised: bool,
) -> LayerStep:
    """`previous` gives W and b (residual unless it is the `first` layer), `horizontal` gives C."""
    groups, q, p = shape.groups, shape.maps, shape.features
    assert previous.out is not None  # only a last layer may have none
    out = 0.5 * matrix(previous.out)
    centre = horizontal.centre
    if normalised:
        # Earlier groups enter f, g after their own normalisation, apart from this product.
        blocks = centre.view(groups, q, groups, 2 * q)
        centre = torch.zeros_like(blocks)
        for c in range(groups):
            centre[c, :, c] = blocks[c, :, c]
        centre = centre.view(p, 2 * p)
    identity = torch.zeros_like(out) if first else torch.eye(p, device=out.device)
    to_state = torch.stack((identity, out)).view(2, groups, q, groups, q)
    to_gate = torch.stack((identity @ centre, out @ centre)).view(2, groups, q, groups, 2 * q)
    product = torch.cat((to_state, to_gate), -1)  # [2 (h, y'), G, q, G, 3q]
    bias = torch.cat(
        (
            bias_of(previous.out).view(groups, q),
            (bias_of(previous.out) @ centre).view(groups, 2 * q),
        ),
        -1,
    )
    from_h, from_y = product.unbind()
    if normalised:
        # A leading entry √(q ε) of every h makes |h| the root of sum(h²) + q ε. The bias of every
        # step writes it; no weight reads it.
        from_h = F.pad(from_h, (1, 0, 0, 0, 1, 0))
        from_y = F.pad(from_y, (1, 0))
        bias = F.pad(bias, (1, 0), value=math.sqrt(q * NORM_EPSILON))
    whole = torch.cat((from_h, from_y), 1)  # [G, state + q, G, state + 2q]
    return LayerStep(
        [whole[c, :, c].contiguous() for c in range(groups)],
        [whole[:c, :, c].flatten(0, 1).contiguous() for c in range(groups)],
        bias,
    )


def fuse_result(last: GatedLayer, shape: StackShape, first: bool) -> GroupedAffine:
    """From the last layer's strips [h | y'] to the horizontal stack's result.

    Per group c a matrix [(c + 1) · (state + q), q] and a bias [q].
    """
    groups, q, p = shape.groups, shape.maps, shape.features
    assert last.out is not None  # without skip outputs
    out = 0.5 * matrix(last.out)
    identity = torch.zeros_like(out) if first else torch.eye(p, device=out.device)
    from_h, from_y = identity.view(groups, q, p), out.view(groups, q, p)
    if shape.state > q:
        from_h = F.pad(from_h, (0, 0, 1, 0))
    whole = torch.cat((from_h, from_y), 1).unflatten(2, (groups, q))
    matrices = [whole[: c + 1, :, c].flatten(0, 1).contiguous() for c in range(groups)]
    return GroupedAffine(matrices, list(bias_of(last.out).view(groups, q)))


@dataclass(frozen=True)
class OutputWeights:
    """From the stacks' result at one position to the parameters, or to the channel head's input.

    The input is [G, (relu(h) q, and with an input skip the first layer's f q, g q)].
    """

    out_1x1: GroupedAffine
    """Per group c: groups ≤ c → this group's part of the result."""
    head: GroupedAffine | None
    """Per group c, after a ReLU: the result of groups ≤ c → this group's part of the head's context
    layers; None without a ReLU: two linear maps in a row are one, and `out_1x1` holds both."""


def fuse_outputs(model: GatedPixelCNN, shape: StackShape) -> OutputWeights:
    """`out_1x1`, `input_skip` and the head's context layers."""
    groups, q = shape.groups, shape.maps
    out, bias = matrix(model.out_1x1).unflatten(0, (groups, q)), bias_of(model.out_1x1)
    if model.input_skip is not None:
        skip = matrix(model.input_skip).unflatten(0, (2, groups, q)).transpose(0, 1).clone()
        skip[:, 1] *= 2.0  # the sampler holds g halved
        out = torch.cat((out, skip.flatten(1, 2)), 1)
        bias = bias + bias_of(model.input_skip)
    layers = model.head.context_layers
    weight = torch.cat([matrix(layer) for layer in layers], 1)
    head_bias = torch.cat([bias_of(layer) for layer in layers])
    if not model.head.relu:
        out, bias = out @ weight, bias @ weight + head_bias
    by_groups = out.unflatten(-1, (groups, -1))  # [G, in, G, out]
    matrices = [by_groups[: c + 1, :, c].flatten(0, 1).contiguous() for c in range(groups)]
    head = GroupedAffine(group_parts(weight, groups), list(head_bias.view(groups, -1)))
    return OutputWeights(
        GroupedAffine(matrices, list(bias.view(groups, -1))), head if model.head.relu else None
    )


def group_parts(weight: Tensor, groups: int) -> list[Tensor]:
    """[in, out] between channel groups → per group c the part that reads groups ≤ c."""
    blocks = weight.unflatten(0, (groups, -1)).unflatten(-1, (groups, -1))
    return [blocks[: c + 1, :, c].flatten(0, 1).contiguous() for c in range(groups)]
