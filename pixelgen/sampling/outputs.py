"""From the stacks' result at one position to the parameters of each channel's distribution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.models.gated_pixelcnn import ChannelHead, GatedPixelCNN
from pixelgen.sampling.folding import Shape, fold_outputs


class OutputStage:
    """`mix`, `input_skip` and the head at one position, for a batch."""

    def __init__(self, model: GatedPixelCNN, shape: Shape, batch: int) -> None:
        groups, q = shape.groups, shape.maps
        self.groups = groups
        folded = fold_outputs(model, shape)
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
        if isinstance(model.head, ChannelHead):
            self.channel_head = HeadStage(model.head, shape.embedded, self.buffer)
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


class HeadStage:
    """The small network that walks the channels of one position (models' ChannelHead)."""

    def __init__(self, head: ChannelHead, embedded: int, buffer: Tensor) -> None:
        batch, channels = buffer.shape[:2]
        width, linear = head.context.out_channels, head.linear_mean
        self.context = buffer.new_zeros(batch, width + (channels if linear is not None else 0))
        """[B, C · 2 · hidden (+ C, for the linear means)]: what the stacks say, bias included."""
        self.contexts = self.context[:, :width].chunk(channels, dim=1)
        each = embedded // channels
        self.visible = [c * each for c in range(channels)]
        coupling = head_columns(head.coupling.masked_weight(), channels)
        self.coupling = [
            part[:seen].contiguous() for part, seen in zip(coupling, self.visible, strict=True)
        ]
        self.hidden = [_per_channel(layer, channels) for layer in head.hidden]
        self.out, self.out_bias = _per_channel(head.out, channels)
        self.targets = buffer.unbind(1)
        self.linear: list[Tensor] | None = None
        if linear is not None:
            columns = head_columns(linear.coupling.masked_weight(), channels)
            self.linear = [w[:n].contiguous() for w, n in zip(columns, self.visible, strict=True)]
            self.linear_contexts = self.context[:, width:].chunk(channels, dim=1)
            k = head.mixtures
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
