"""Pictures ↔ small grids of codes: an auto-encoder with finite scalar quantization.

Mentzer, Minnen, Agustsson, Tschannen, "Finite Scalar Quantization: VQ-VAE Made Simple", 2023 (arXiv
2309.15505). Deviations: one number of levels for all channels; the channels of a code are not
merged into one index, so that `GatedPixelCNN` can model a grid of codes: integers [B, C, h, w] of
0 … levels - 1; quantized values are spread evenly over -1 … 1.

The network is designed for processors without a GPU: only one thin convolution runs at full size,
and most parameters belong to the smallest grid.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.config import TokenizerConfig
from pixelgen.models.hub_methods import HubMethods
from pixelgen.models.layers import ChannelNorm, downsample, residual_blocks, upsample
from pixelgen.models.likelihood import to_signed
from pixelgen.models.precision import full_precision


def to_bytes(images: Tensor) -> Tensor:
    """Pictures of -1 … 1 → uint8 of 0 … 255: the inverse of `to_signed`, and clamped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def binomial_filter(pictures: Tensor) -> Tensor:
    """Pictures [B, C, S, S], each pixel a mean of 3×3 with the weights 1, 2, 1 along both sides;
    outside of a picture its outermost pixels go on. In the precision of `pictures`."""
    channels = pictures.shape[1]
    side = pictures.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(side, side).expand(channels, 1, 3, 3)
    with full_precision(pictures.device):
        return F.conv2d(F.pad(pictures, (1, 1, 1, 1), "replicate"), kernel, groups=channels)


class ScalarQuantizer(nn.Module):
    """Rounds every number to one of `levels` values (section 3.1, and the code in appendix A.1)."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        # Slightly less than half of the range, so that rounding never leaves it.
        self.reach = (levels - 1) * (1 - 1e-3) / 2
        # With an even number of levels none of them is at zero: all are shifted by half a step.
        self.offset = 0.5 if levels % 2 == 0 else 0.0
        # Zero lies in the middle of a level; with two of them, between both.
        self.shift = math.atanh(self.offset / self.reach) if levels > 2 else 0.0

    def bound(self, z: Tensor) -> Tensor:
        """Any numbers → numbers between the lowest and the highest level, relative to the middle
        one."""
        return torch.tanh(z.float() + self.shift) * self.reach - self.offset

    def codes(self, z: Tensor) -> Tensor:
        """Numbers → the nearest levels, int64 of 0 … levels - 1."""
        return self.bound(z).round().long() + self.levels // 2

    def values(self, codes: Tensor) -> Tensor:
        """Levels → the numbers -1 … 1 that represent them."""
        return to_signed(codes, self.levels)

    def forward(self, z: Tensor) -> Tensor:
        """Numbers → those of the nearest levels, -1 … 1; gradients pass as without rounding
        (straight-through estimator)."""
        bounded = self.bound(z)
        rounded = bounded + (bounded.round() - bounded).detach()
        return to_signed(rounded + self.levels // 2, self.levels)


class DeepStage(nn.Sequential):
    """Residual blocks at half the resolution: [B, W, 2n, 2n] → [B, W, 2n, 2n]."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(
            downsample(config.wide_features, config.deep_features),
            residual_blocks(config.deep_features, config.deep_blocks),
            upsample(config.deep_features, config.wide_features),
        )


class FineStage(nn.Sequential):
    """Residual blocks at twice the resolution, where edges and eyes are: [B, W, n, n] →
    [B, output_features, n * patch, n * patch]; 0 at the start."""

    def __init__(self, config: TokenizerConfig) -> None:
        fine = config.fine_features
        last = nn.Conv2d(fine, config.output_features * (config.patch // 2) ** 2, 3, padding=1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        super().__init__(
            upsample(config.wide_features, fine),
            residual_blocks(fine, config.fine_blocks),
            ChannelNorm(fine, 1),
            last,
            nn.PixelShuffle(config.patch // 2),
        )


class Encoder(nn.Module):
    """Pictures [B, 3, S, S] of -1 … 1 → numbers [B, C, h, w], not yet bounded."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        wide, deep = config.wide_features, config.deep_features
        self.parallel = config.code_size == config.size // config.patch
        self.patch = nn.PixelUnshuffle(config.patch)
        self.stem = nn.Conv2d(config.channels * config.patch**2, wide, 3, padding=1)
        self.wide = residual_blocks(wide, config.wide_blocks)
        self.deep: nn.Module = (
            DeepStage(config)
            if self.parallel
            else nn.Sequential(downsample(wide, deep), residual_blocks(deep, config.deep_blocks))
        )
        last = wide if self.parallel else deep
        self.out = nn.Sequential(ChannelNorm(last, 1), nn.Conv2d(last, config.code_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(self.stem(self.patch(x)))  # [B, W, S/p, S/p]
        deep = self.deep(x)
        z: Tensor = self.out(x + deep if self.parallel else deep)
        return z


class Decoder(nn.Module):
    """Quantized numbers [B, C, h, w] of -1 … 1 → pictures [B, 3, S, S], about -1 … 1."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        wide, deep = config.wide_features, config.deep_features
        self.parallel = config.code_size == config.size // config.patch
        self.stem = nn.Conv2d(config.code_channels, wide if self.parallel else deep, 3, padding=1)
        self.deep: nn.Module = (
            DeepStage(config)
            if self.parallel
            else nn.Sequential(residual_blocks(deep, config.deep_blocks), upsample(deep, wide))
        )
        self.wide = residual_blocks(wide, config.wide_blocks)
        self.patches = upsample(wide, config.output_features, config.patch, kernel=3)
        self.fine = FineStage(config) if config.fine_features else None
        self.out = nn.Conv2d(config.output_features, config.channels, 3, padding=1)
        self.smoothing = config.smoothing

    def forward(self, z: Tensor, smooth: bool = True) -> Tensor:
        """Without `smooth` the picture is not smoothed, whatever the configuration says."""
        x = self.stem(z)
        deep = self.deep(x)
        x = self.wide(x + deep if self.parallel else deep)  # [B, W, S/p, S/p]
        maps = self.patches(x)  # [B, O, S, S]
        if self.fine is not None:
            maps = maps + self.fine(x)
        picture: Tensor = self.out(maps).float()
        if not smooth or not self.smoothing:
            return picture
        return picture.lerp(binomial_filter(picture), self.smoothing)


class Tokenizer(nn.Module, HubMethods):
    """Pictures ↔ grids of codes."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = ScalarQuantizer(config.levels)
        self.decoder = Decoder(config)

    def set_smoothing(self, share: float) -> None:
        """Change `TokenizerConfig.smoothing`. Raises ValueError for a share outside of 0 … 1."""
        self.config = replace(self.config, smoothing=share)
        self.decoder.smoothing = share

    def encode(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] of -1 … 1 → codes int64 [B, C, h, w] of 0 … levels - 1."""
        return self.quantizer.codes(self.encoder(images))

    def decode(self, codes: Tensor, smooth: bool = True) -> Tensor:
        """Codes [B, C, h, w] → pictures [B, 3, S, S] of -1 … 1; `smooth` is that of `Decoder`."""
        picture: Tensor = self.decoder(self.quantizer.values(codes), smooth)
        return picture.clamp(-1, 1)

    def forward(self, images: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, S, S] of -1 … 1 → their reconstructions, not clamped, and the quantized
        numbers [B, C, h, w] of -1 … 1 that these were decoded from; both differentiable. A share
        `noise` of the codes is moved by one level up or down."""
        z: Tensor = self.quantizer(self.encoder(images))
        if noise:
            chance = torch.rand_like(z)
            up, down = chance < noise / 2, chance > 1 - noise / 2
            step = 2 / (self.config.levels - 1)
            z = (z + step * (up.to(z.dtype) - down.to(z.dtype))).clamp(-1, 1)
        return self.decoder(z), z
