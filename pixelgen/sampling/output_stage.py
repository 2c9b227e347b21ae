"""From the stacks' result at one position to the parameters of each channel's distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.models.gated_pixelcnn import ChannelHead, GatedPixelCNN
from pixelgen.sampling.fused_weights import Outputs, Shape


class OutputStage:
    """`mix`, `input_skip` and the head at one position, for a batch."""

    def __init__(
        self,
        model: GatedPixelCNN,
        folded: Outputs,
        head: HeadWeights | None,
        shape: Shape,
        batch: int,
    ) -> None:
        groups, q = shape.groups, shape.maps
        self.groups = groups
        device = model.mix.weight.device
        width = 3 * q if model.input_skip is not None else q
        self.features = torch.zeros(batch, groups * width, device=device)
        parts = self.features.view(batch, groups, width).unbind(1)
        self.results = [part[:, :q] for part in parts]
        """Per group [B, q]: where the walk puts the horizontal stack's result, after a ReLU."""
        self.linear = [part[:, q:] for part in parts] if width > q else None
        """Per group [B, 2q]: where it puts the first layer's maps before the gate."""
        self.inputs = [self.features[:, : (c + 1) * width] for c in range(groups)]
        self.mix, self.mix_bias = folded.mix, folded.mix_bias
        self.head, self.head_bias = folded.head, folded.head_bias
        size = model.likelihood.parameters_per_value
        self.per_position = 1 if model.likelihood.coupled else model.config.grid_channels
        self.buffer = torch.zeros(batch, self.per_position, size, device=device)
        """[B, C or 1, P]: the likelihood's parameters."""
        self.channel_head: HeadStage | None = None
        if head is not None:
            self.channel_head = HeadStage(head, self.buffer)
            mixed = self.channel_head.context
        elif self.head is None:
            mixed = self.buffer.view(batch, -1)
        else:
            mixed = torch.zeros(batch, model.config.output_features, device=device)
        self.mixed = list(mixed.chunk(groups, dim=1))
        share = mixed.shape[1] // groups
        self.mixed_until = [mixed[:, : (c + 1) * share] for c in range(groups)]
        self.targets = list(self.buffer.view(batch, -1).chunk(groups, dim=1))

    def group_done(self, c: int) -> None:
        """Group `c` has its result (and linear map) in place: on towards the parameters."""
        torch.addmm(self.mix_bias[c], self.inputs[c], self.mix[c], out=self.mixed[c])
        if self.head is not None:
            self.mixed[c].relu_()
            torch.addmm(self.head_bias[c], self.mixed_until[c], self.head[c], out=self.targets[c])

    def parameters(self, c: int, embedded: Tensor) -> Tensor:
        """[B, C', P], of which what channel `c` needs is valid; `embedded` [B, in] holds the
        position's channels before it."""
        if self.channel_head is not None:
            self.channel_head.run(c, embedded)
        return self.buffer


@dataclass(frozen=True)
class HeadWeights:
    """The matrices of the small network that walks the channels of one position."""

    width: int
    """C · 2 · hidden."""
    visible: list[int]
    """Per channel: entries of the embedded position that it reads."""
    coupling: list[Tensor]
    """Per channel c [visible, 2 · hidden]."""
    hidden: list[tuple[list[Tensor], list[Tensor]]]
    """Per layer, per channel, a matrix [hidden, hidden] and a bias."""
    out: tuple[list[Tensor], list[Tensor]]
    """Per channel a matrix [hidden, P] and a bias."""
    linear: list[Tensor] | None
    """Per channel c [visible, 1], of the linear means."""
    mixtures: int

    @staticmethod
    def of(head: ChannelHead, embedded: int) -> HeadWeights:
        """Those of `head`, for positions of `embedded` numbers."""
        channels, linear = head.channels, head.linear_mean
        visible = [c * (embedded // channels) for c in range(channels)]

        def seen(weight: Tensor) -> list[Tensor]:
            columns = head_columns(weight, channels)
            return [part[:n].contiguous() for part, n in zip(columns, visible, strict=True)]

        return HeadWeights(
            head.context.out_channels,
            visible,
            seen(head.coupling.masked_weight()),
            [_per_channel(layer, channels) for layer in head.hidden],
            _per_channel(head.out, channels),
            None if linear is None else seen(linear.coupling.masked_weight()),
            head.mixtures,
        )


class HeadStage:
    """The small network that walks the channels of one position (models' ChannelHead)."""

    def __init__(self, weights: HeadWeights, buffer: Tensor) -> None:
        batch, channels = buffer.shape[:2]
        width, self.linear = weights.width, weights.linear
        self.context = buffer.new_zeros(batch, width + (0 if self.linear is None else channels))
        """[B, C · 2 · hidden (+ C, for the linear means)]: what the stacks say, bias included."""
        self.contexts = self.context[:, :width].chunk(channels, dim=1)
        self.visible, self.coupling, self.hidden = weights.visible, weights.coupling, weights.hidden
        self.out, self.out_bias = weights.out
        self.targets = buffer.unbind(1)
        if self.linear is not None:
            self.linear_contexts = self.context[:, width:].chunk(channels, dim=1)
            k = weights.mixtures
            self.means = [target[:, k : 2 * k] for target in self.targets]

    def run(self, c: int, embedded: Tensor) -> None:
        """Writes the parameters of channel `c`."""
        both = self.contexts[c]
        if c:
            both = torch.addmm(both, embedded[:, : self.visible[c]], self.coupling[c])
        z = F.glu(both, dim=1)
        for weights, biases in self.hidden:
            z = F.silu(torch.addmm(biases[c], z, weights[c]), inplace=True).add_(z)
        torch.addmm(self.out_bias[c], z, self.out[c], out=self.targets[c])
        if self.linear is not None:
            mean = self.linear_contexts[c]
            if c:
                mean = torch.addmm(mean, embedded[:, : self.visible[c]], self.linear[c])
            self.means[c].add_(mean)


def head_columns(weight: Tensor, channels: int) -> list[Tensor]:
    """A 1×1 convolution's weight [out, in, 1, 1] → per channel [in, out / C]."""
    return list(weight[:, :, 0, 0].float().t().chunk(channels, dim=1))


def _per_channel(conv: torch.nn.Module, channels: int) -> tuple[list[Tensor], list[Tensor]]:
    """A grouped 1×1 convolution as one matrix [in, out] and one bias per channel."""
    assert isinstance(conv, torch.nn.Conv2d)
    assert conv.bias is not None
    weight = conv.weight[:, :, 0, 0].float().unflatten(0, (channels, -1))
    matrices = [w.t().contiguous() for w in weight]
    return matrices, list(conv.bias.float().chunk(channels))
