"""EfficientNet-lite0, a small classifier of pictures.

Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019 (table 1);
the lite variants, by the same authors, have no squeeze-and-excitation and clip activations at 6.
Batch normalisation is folded into the convolutions: this network is for inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stage(NamedTuple):
    """Inverted residual blocks of one width; the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    features: int
    blocks: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
STEM_FEATURES, POOLED_FEATURES = 32, 1280


class SamePadConv(nn.Conv2d):
    """A convolution whose output has ⌈size / stride⌉ rows and columns, padded as in TensorFlow:
    where the padding is odd, more of it is at the bottom and on the right."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        padding = (across // 2, across - across // 2, down // 2, down - down // 2)
        return super().forward(F.pad(x, padding) if down or across else x)


class InvertedResidual(nn.Module):
    """1×1 convolution to more features, a depthwise one, and 1×1 back to few."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expansion
        self.expand = nn.Conv2d(inputs, wide, 1) if stage.expansion > 1 else None
        self.depthwise = SamePadConv(wide, wide, stage.kernel, stride, groups=wide)
        self.project = nn.Conv2d(wide, stage.features, 1)
        self.residual = stride == 1 and inputs == stage.features

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, features, ⌈H / stride⌉, ⌈W / stride⌉]."""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Classifies pictures of any size from 32×32 on."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = SamePadConv(3, STEM_FEATURES, 3, 2)
        blocks, features = list[nn.Module](), STEM_FEATURES
        for stage in STAGES:
            for index in range(stage.blocks):
                blocks.append(InvertedResidual(features, stage, 1 if index else stage.stride))
                features = stage.features
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(features, POOLED_FEATURES, 1)
        self.classify = nn.Linear(POOLED_FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures uint8 or float [B, 3, H, W] of 0 … 255 → logits [B, K]."""
        return self.see(images)[1]

    def see(self, images: Tensor, depths: Sequence[int] = ()) -> tuple[list[Tensor], Tensor]:
        """The maps [B, F, h, w] that the blocks at `depths` put out, and the logits [B, K]."""
        x = F.relu6(self.stem((images.float() - 127) / 128))  # as in its training
        maps = []
        for depth, block in enumerate(self.blocks):
            x = block(x)
            if depth in depths:
                maps.append(x)
        pooled = F.relu6(self.head(x)).mean((2, 3))  # [B, 1280]
        return maps, self.classify(pooled)


def enlarged(images: Tensor, side: int) -> Tensor:
    """Pictures uint8 [B, 3, H, W] → float32 [B, 3, side, side] of 0 … 255, bicubic."""
    return F.interpolate(images.float(), (side, side), mode="bicubic").clamp(0, 255)


def feature_distance(
    features: Sequence[Tensor], others: Sequence[Tensor], places: Tensor | None = None
) -> Tensor:
    """Two lists of features [B, F, s, s] of length 1, one entry per depth → distances [B].

    `places` [1, 1, S, S], of mean 1, are weights of the places of an image; None: all equal.
    """
    total = []
    for a, b in zip(features, others, strict=True):
        difference = (a - b).square().sum(1)  # [B, s, s]
        if places is not None:
            height, width = difference.shape[1:]
            difference = difference * F.adaptive_avg_pool2d(places, (height, width))[0]
        total.append(difference.mean((1, 2)))
    return torch.stack(total).mean(0)
