"""From the stacks' result at one position to the parameters of each channel's distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.heads import ChannelHead, OutputHead, PointwiseHead
from pixelgen.models.masked_conv import effective_weight
from pixelgen.sampling.fused_weights import GroupedAffine, OutputWeights, StackShape, bias_of


class HeadStage(Protocol):
    """The part of a head that runs once per channel, for a batch."""

    context: Tensor
    """[B, outputs of the head's context layers]: where `OutputStage` puts these."""

    def run(self, c: int, embedded: Tensor) -> None:
        """Writes the parameters of channel `c`; `embedded` [B, in] holds the channels before it."""


class HeadWeights(Protocol):
    """The matrices of that part, for batches of any size."""

    def stage(self, parameters: Tensor) -> HeadStage:
        """The stage that writes into `parameters` [B, C or 1, P]."""


class OutputStage:
    """`out_1x1`, `input_skip` and the head at one position, for a batch."""

    def __init__(
        self,
        model: GatedPixelCNN,
        weights: OutputWeights,
        head: HeadWeights,
        shape: StackShape,
        batch: int,
    ) -> None:
        groups, q = shape.groups, shape.maps
        device = model.out_1x1.weight.device
        width = 3 * q if model.input_skip is not None else q
        features = torch.zeros(batch, groups * width, device=device)
        parts = features.view(batch, groups, width).unbind(1)
        self.results = [part[:, :q] for part in parts]
        """Per group [B, q]: where the horizontal stack puts its result, after a ReLU."""
        self.linear = [part[:, q:] for part in parts] if width > q else None
        """Per group [B, 2q]: where it puts the first layer's maps before the gate."""
        self.inputs = [features[:, : (c + 1) * width] for c in range(groups)]
        self.weights = weights
        channels = 1 if model.likelihood.coupled else model.config.grid_channels
        self.buffer = torch.zeros(
            batch, channels, model.likelihood.parameters_per_value, device=device
        )
        """[B, C or 1, P]: the likelihood's parameters."""
        self.head = head.stage(self.buffer)
        self.contexts = list(self.head.context.chunk(groups, dim=1))
        """Per group: its part of the outputs of the head's context layers."""
        self.hidden = self.contexts
        """Per group: its part of the result of `out_1x1`, if a ReLU follows it."""
        if weights.head is not None:
            hidden = torch.zeros(batch, model.config.output_features, device=device)
            self.hidden = list(hidden.chunk(groups, dim=1))
            share = hidden.shape[1] // groups
            self.hidden_until = [hidden[:, : (c + 1) * share] for c in range(groups)]

    def group_done(self, c: int) -> None:
        """To be called when the result (and linear map) of group `c` is in place."""
        (matrices, biases), head = self.weights.out_1x1, self.weights.head
        torch.addmm(biases[c], self.inputs[c], matrices[c], out=self.hidden[c])
        if head is not None:
            self.hidden[c].relu_()
            torch.addmm(
                head.biases[c], self.hidden_until[c], head.matrices[c], out=self.contexts[c]
            )

    def parameters(self, c: int, embedded: Tensor) -> Tensor:
        """The likelihood's parameters [B, C', P], of which those that channel `c` needs are valid;
        `embedded` [B, in] holds the position's channels before it."""
        self.head.run(c, embedded)
        return self.buffer


class PointwiseStage:
    """A head whose context layers give the parameters: nothing is left to do."""

    def __init__(self, parameters: Tensor) -> None:
        self.context = parameters.flatten(1)

    def run(self, c: int, embedded: Tensor) -> None:
        """Nothing."""


class PointwiseHeadWeights:
    """See `PointwiseStage`."""

    def stage(self, parameters: Tensor) -> PointwiseStage:
        """See `HeadWeights`."""
        return PointwiseStage(parameters)


@dataclass(frozen=True)
class ChannelHeadWeights:
    """The matrices of a `ChannelHead`."""

    width: int
    """C · 2 · hidden."""
    visible: list[int]
    """Per channel: entries of the embedded position that it reads."""
    coupling: list[Tensor]
    """Per channel c [visible, 2 · hidden]."""
    hidden: list[GroupedAffine]
    """Per layer, and per channel [hidden, hidden]."""
    out: GroupedAffine
    """Per channel [hidden, P]."""
    linear: list[Tensor] | None
    """Per channel c [visible, 1], of the linear means."""
    mixtures: int

    @staticmethod
    def from_head(head: ChannelHead, embedded: int) -> ChannelHeadWeights:
        """The matrices of `head`, for positions of `embedded` numbers."""
        channels, linear = head.channels, head.linear_mean
        visible = [c * (embedded // channels) for c in range(channels)]

        def visible_rows(conv: nn.Conv2d) -> list[Tensor]:
            columns = effective_weight(conv)[:, :, 0, 0].float().t().chunk(channels, dim=1)
            return [part[:n].contiguous() for part, n in zip(columns, visible, strict=True)]

        return ChannelHeadWeights(
            head.context.out_channels,
            visible,
            visible_rows(head.coupling),
            [_per_channel(layer, channels) for layer in head.hidden],
            _per_channel(head.out, channels),
            None if linear is None else visible_rows(linear.coupling),
            head.mixtures,
        )

    def stage(self, parameters: Tensor) -> ChannelStage:
        """See `HeadWeights`."""
        return ChannelStage(self, parameters)


class ChannelStage:
    """A `ChannelHead`, one channel at a time."""

    def __init__(self, weights: ChannelHeadWeights, parameters: Tensor) -> None:
        batch, channels = parameters.shape[:2]
        width, self.weights = weights.width, weights
        linear = 0 if weights.linear is None else channels
        self.context = parameters.new_zeros(batch, width + linear)
        """[B, C · 2 · hidden (+ C, for the linear means)], bias included."""
        self.contexts = self.context[:, :width].chunk(channels, dim=1)
        self.targets = parameters.unbind(1)
        if weights.linear is not None:
            self.linear_contexts = self.context[:, width:].chunk(channels, dim=1)
            k = weights.mixtures
            self.means = [target[:, k : 2 * k] for target in self.targets]

    def run(self, c: int, embedded: Tensor) -> None:
        """See `HeadStage`."""
        weights = self.weights
        both = self.contexts[c]  # [B, 2 · hidden]
        if c:
            both = torch.addmm(both, embedded[:, : weights.visible[c]], weights.coupling[c])
        z = F.glu(both, dim=1)  # [B, hidden]
        for matrices, biases in weights.hidden:
            z = F.silu(torch.addmm(biases[c], z, matrices[c]), inplace=True).add_(z)
        torch.addmm(weights.out.biases[c], z, weights.out.matrices[c], out=self.targets[c])
        if weights.linear is not None:
            mean = self.linear_contexts[c]
            if c:
                mean = torch.addmm(mean, embedded[:, : weights.visible[c]], weights.linear[c])
            self.means[c].add_(mean)


HEADS: dict[type[OutputHead], Callable[[Any, int], HeadWeights]] = {
    PointwiseHead: lambda head, embedded: PointwiseHeadWeights(),
    ChannelHead: ChannelHeadWeights.from_head,
}
"""By kind of head: the function that prepares one, given it and the length of an embedded
position."""


def head_weights(head: OutputHead, embedded: int) -> HeadWeights:
    """The prepared `head`. Raises TypeError for a kind of head that `HEADS` lacks."""
    prepare = HEADS.get(type(head))
    if prepare is None:
        raise TypeError(f"the incremental sampler has no stage for {type(head).__name__}")
    return prepare(head, embedded)


def _per_channel(conv: nn.Module, channels: int) -> GroupedAffine:
    """A grouped 1×1 convolution as one matrix [in, out] and one bias per channel."""
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight[:, :, 0, 0].float().unflatten(0, (channels, -1))  # [C, out / C, in]
    matrices = [w.t().contiguous() for w in weight]
    return GroupedAffine(matrices, list(bias_of(conv).chunk(channels)))
