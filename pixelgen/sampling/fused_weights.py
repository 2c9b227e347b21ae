"""The Gated PixelCNN's weights as plain matrices for the incremental sampler.

Conventions. Matrices are [in, out] for products x @ M. G channel groups of q = p / G maps (G = 1
where the stacks are not split). Maps before a gate are laid out *group by group*, [G, (f q, g q)],
so that everything about one group is one strip of memory.

The gate is computed as y' = tanh(f) · (1 + tanh(g / 2)) = 2 · tanh(f) · sigmoid(g), one tanh over
the whole strip: the ½ before g is folded into what makes g, the ½ before y' into what reads y'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pixelgen.models.gated_pixelcnn import ChannelHead, GatedLayer, GatedPixelCNN
from pixelgen.models.masked_conv import AnyConv

EPSILON = 1e-6
"""Of ChannelNorm."""


@dataclass(frozen=True)
class Shape:
    """Sizes that both stacks share."""

    groups: int
    """G: channel groups of the maps."""
    maps: int
    """q: maps per group."""
    state: int
    """Width of the horizontal state h of a group: q, or 1 + q with normalisation (see Walk)."""
    embedded: int
    """Numbers per position of the embedded grid."""

    @property
    def features(self) -> int:
        """p, all maps."""
        return self.groups * self.maps


def shape_of(model: GatedPixelCNN) -> Shape:
    """The sizes of `model`."""
    config = model.config
    groups = config.grid_channels if config.channel_order == "groups" else 1
    maps = config.features // groups
    state = maps + (config.normalisation == "channel")
    return Shape(groups, maps, state, model.first.vertical.in_channels)


def matrix(conv: AnyConv) -> Tensor:
    """A 1×1 convolution's weight as [in, out]."""
    return conv.masked_weight()[:, :, 0, 0].t().float()


def bias_of(conv: torch.nn.Conv2d) -> Tensor:
    """Its bias, [out]."""
    assert conv.bias is not None
    return conv.bias.float()


def by_group(columns: Tensor, groups: int) -> Tensor:
    """Maps before a gate, [..., 2p] as (f p, g p) → [..., 2p] group by group, g halved."""
    halves = columns.unflatten(-1, (2, groups, -1))
    scale = halves.new_tensor([1.0, 0.5])[:, None, None]
    return (halves * scale).transpose(-3, -2).flatten(-3)


@dataclass(frozen=True)
class Horizontal:
    """The horizontal convolution of a layer, its outputs group by group, g halved."""

    left: Tensor
    """[reach · in, 2p]: the positions to the left, the farthest first."""
    centre: Tensor
    """[in, 2p]: the position itself."""
    bias: Tensor
    """[2p]."""


def fold_horizontal(layer: GatedLayer, shape: Shape) -> Horizontal:
    """Masks, gate scale and the normalisation's weight worked into one matrix per layer."""
    conv = layer.horizontal
    weight = by_group(conv.masked_weight()[:, :, 0].permute(2, 1, 0).float(), shape.groups)
    if layer.horizontal_norm is not None:
        # The walk divides h by its length, not by its root mean square: √q apart.
        weight = weight * (layer.horizontal_norm.weight * math.sqrt(shape.maps))[:, None]
    bias = by_group(bias_of(conv), shape.groups)
    return Horizontal(weight[:-1].flatten(0, 1).contiguous(), weight[-1], bias)


@dataclass(frozen=True)
class Step:
    """From the strips [h | y'] of one layer to the strips [h | f | g] of the next, one product.

    With h' = h + y' W + b and (f, g) = h' C + what comes from elsewhere, both are linear in h, y':
    h' = [h y'] [I; W] + b and (f, g) = [h y'] [C; W C] + b C. Group c reads groups ≤ c.
    """

    own: list[Tensor]
    """Per group [state + q, state + 2q]: what its own group contributes."""
    earlier: list[Tensor]
    """Per group c [c · (state + q), state + 2q]: what the groups before it contribute."""
    bias: Tensor
    """[G, state + 2q]."""


def fold_step(
    previous: GatedLayer, horizontal: Horizontal, shape: Shape, first: bool, normalised: bool
) -> Step:
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
        # A leading entry √(q ε) of every h makes |h| the root of sum(h²) + q ε. It comes from the
        # bias of every step: nothing is read from it, nothing else written to it.
        from_h = torch.nn.functional.pad(from_h, (1, 0, 0, 0, 1, 0))
        from_y = torch.nn.functional.pad(from_y, (1, 0))
        bias = torch.nn.functional.pad(bias, (1, 0), value=math.sqrt(q * EPSILON))
    whole = torch.cat((from_h, from_y), 1)  # [G, state + q, G, state + 2q]
    return Step(
        [whole[c, :, c].contiguous() for c in range(groups)],
        [whole[:c, :, c].flatten(0, 1).contiguous() for c in range(groups)],
        bias,
    )


def fold_result(last: GatedLayer, shape: Shape, first: bool) -> tuple[list[Tensor], Tensor]:
    """The horizontal stack's result from the last layer's strips [h | y'].

    Per group c [(c + 1) · (state + q), q], and the bias [G, q].
    """
    groups, q, p = shape.groups, shape.maps, shape.features
    assert last.out is not None  # without skip outputs
    out = 0.5 * matrix(last.out)
    identity = torch.zeros_like(out) if first else torch.eye(p, device=out.device)
    from_h, from_y = identity.view(groups, q, p), out.view(groups, q, p)
    if shape.state > q:
        from_h = torch.nn.functional.pad(from_h, (0, 0, 1, 0))
    whole = torch.cat((from_h, from_y), 1).unflatten(2, (groups, q))
    matrices = [whole[: c + 1, :, c].flatten(0, 1).contiguous() for c in range(groups)]
    return matrices, bias_of(last.out).view(groups, q)


@dataclass(frozen=True)
class Outputs:
    """From the stacks' result at one position to what the likelihood or the head needs.

    The input is [G, (relu(h) q, and with an input skip the first layer's f q, g q)].
    """

    mix: list[Tensor]
    """Per group c: groups ≤ c → this group's part of the result."""
    mix_bias: list[Tensor]
    head: list[Tensor] | None
    """Per group c, after a ReLU: `mix` of groups ≤ c → this group's parameters; None where `mix`
    gives them already (nothing stands between two linear maps)."""
    head_bias: list[Tensor]


def fold_outputs(model: GatedPixelCNN, shape: Shape) -> Outputs:
    """`mix`, `input_skip` and the head's first layer."""
    groups, q = shape.groups, shape.maps
    mix, bias = matrix(model.mix).unflatten(0, (groups, q)), bias_of(model.mix)
    if model.input_skip is not None:
        skip = matrix(model.input_skip).unflatten(0, (2, groups, q)).transpose(0, 1).clone()
        skip[:, 1] *= 2.0  # f and g are kept with g halved
        mix = torch.cat((mix, skip.flatten(1, 2)), 1)
        bias = bias + bias_of(model.input_skip)
    if isinstance(model.head, ChannelHead):
        maps = [model.head.context]
        if model.head.linear_mean is not None:
            maps.append(model.head.linear_mean.context)
        weight = torch.cat([m.weight[:, :, 0, 0].t().float() for m in maps], 1)
        head_bias = torch.cat([bias_of(m) for m in maps])
        linear = True
    else:
        head = cast(AnyConv, model.head)
        weight, head_bias = matrix(head), bias_of(head)
        linear = model.input_skip is not None
    if linear:
        mix, bias = mix @ weight, bias @ weight + head_bias
    wide = mix.unflatten(-1, (groups, -1))  # [G, in, G, out]
    return Outputs(
        [wide[: c + 1, :, c].flatten(0, 1).contiguous() for c in range(groups)],
        list(bias.view(groups, -1)),
        None if linear else group_parts(weight, groups),
        list(head_bias.view(groups, -1)),
    )


def group_parts(weight: Tensor, groups: int) -> list[Tensor]:
    """[in, out] between channel groups → per group c the part that reads groups ≤ c."""
    blocks = weight.unflatten(0, (groups, -1)).unflatten(-1, (groups, -1))
    return [blocks[: c + 1, :, c].flatten(0, 1).contiguous() for c in range(groups)]
