"""A small network that makes pictures four times as large: the compact one of Real-ESRGAN.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
2021. Convolutions see the small picture; the last one computes, for each of its pixels, how much
4×4 pixels differ from it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 4
_FEATURES, _LAYERS = 64, 16
REACH = _LAYERS + 2
"""How many pixels away a pixel of the input can change the output."""


class Upscaler(nn.Module):
    """Makes pictures `SCALE` times as large."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (3, *[_FEATURES] * _LAYERS):
            layers += [nn.Conv2d(inputs, _FEATURES, 3, padding=1), nn.PReLU(_FEATURES)]
        self.features = nn.Sequential(*layers)
        self.detail = nn.Conv2d(_FEATURES, 3 * SCALE**2, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] of 0 … 1 → about 0 … 1, [B, 3, 4 H, 4 W]."""
        detail = self.detail(self.features(images))  # [B, 48, H, W]
        detail = F.pixel_shuffle(detail, SCALE)  # [B, 3, 4 H, 4 W]
        return detail + F.interpolate(images, scale_factor=SCALE, mode="nearest")
