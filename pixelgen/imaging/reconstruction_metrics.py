"""PSNR and SSIM of a reconstruction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np

BEST_PSNR = 100.0
"""Decibels that stand for identical pictures."""
_RADIUS, _SIGMA = 5, 1.5


@dataclass(frozen=True)
class ReconstructionMetrics:
    """The similarity of a reconstruction to its original."""

    psnr: float
    """Peak signal-to-noise ratio in dB, up to `BEST_PSNR`."""
    ssim: float
    """Structural similarity, up to 1 (Wang et al. 2004)."""

    @classmethod
    def compare(cls, image: Image.Image, other: Image.Image) -> ReconstructionMetrics:
        """Of RGB pictures of one size, in either order. Raises ValueError for different sizes."""
        import numpy as np

        if image.size != other.size:
            raise ValueError(f"pictures of {image.size} and {other.size} cannot be compared")
        a, b = (np.asarray(i.convert("RGB")).astype(np.float64) for i in (image, other))
        error = float(np.square(a - b).mean())
        psnr = min(10 * math.log10(255**2 / error), BEST_PSNR) if error else BEST_PSNR
        return cls(psnr, _ssim(a, b))


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean SSIM over all positions of [H, W, C], 0 … 255, mirrored beyond the edges."""
    import numpy as np

    offset = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-(offset**2) / (2 * _SIGMA**2))
    window /= window.sum()

    def smooth(x: np.ndarray) -> np.ndarray:
        x = np.pad(x, ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS), (0, 0)), mode="reflect")
        for axis in (0, 1):
            x = np.lib.stride_tricks.sliding_window_view(x, len(window), axis=axis) @ window
        return x

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = smooth(a), smooth(b)
    variance = smooth(a * a) + smooth(b * b) - mean_a**2 - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((luminance * (2 * covariance + c2) / (variance + c2)).mean())
