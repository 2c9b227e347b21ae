"""Weights, data and a judge that cost next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.metrics.judge import Judge
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.config import TokenizerConfig

KNOWN = (2, 5, 6, 9)
"""Classes of the weights below; pictures of class c are of the grey value 20 c, with some noise."""


class Means(nn.Module):
    """Features [N, 13]: the mean of each channel, and all of a 2×5 thumbnail of the first."""

    def forward(self, images: Tensor) -> Tensor:
        small = nn.functional.adaptive_avg_pool2d(images[:, :1], (2, 5))
        return torch.cat((images.mean((2, 3)), small.flatten(1)), 1)


def grey_judge() -> Judge:
    """Takes a picture for the class that its grey value says."""
    head = nn.Linear(13, 1000)
    nn.init.zeros_(head.weight)
    # The nearest grey level wins: -(x - level)² but for what all classes share.
    levels = (20 * torch.arange(1000.0) - 127) / 128
    head.weight.data[:, 0] = 2 * levels
    head.bias.data[:] = -(levels**2)
    return Judge(Means(), head, batch=7)


@pytest.fixture
def judge() -> Judge:
    return grey_judge()


@pytest.fixture(scope="session")
def grey(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """12 pictures of 8×8 of each of `KNOWN`; a folder beside holds them without labels."""
    draw = np.random.default_rng(3)
    labels = [label for label in KNOWN for _ in range(12)]
    pictures = [
        (draw.integers(-6, 7, (8, 8, 3)) + 20 * label).clip(0, 255).astype(np.uint8)
        for label in labels
    ]
    folder = tmp_path_factory.mktemp("grey")
    write_pictures(folder / "bare", "validation", pictures)
    return write_pictures(folder / "labelled", "validation", pictures, labels, classes=1000)


TINY: dict[str, Any] = {
    "features": 6,
    "layers": 1,
    "kernel": 3,
    "first_kernel": 3,
    "output_features": 6,
    "channel_order": "head",
    "head_features": 4,
}


def _saved(folder: Path, *networks: nn.Module, labels: tuple[int, ...] = ()) -> LoadedCheckpoint:
    model, *tokenizer = networks
    save_checkpoint(folder, model, tokenizer=next(iter(tokenizer), None), labels=labels)  # type: ignore[arg-type]
    return load_checkpoint(folder)


@pytest.fixture(scope="session")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    """A model of 4×4 pixels of the classes `KNOWN`."""
    torch.manual_seed(0)
    model = build_model(GatedPixelCNNConfig(height=4, width=4, classes=4, **TINY))
    return _saved(tmp_path_factory.mktemp("weights") / "pixels", model, labels=KNOWN)


@pytest.fixture(scope="session")
def classless(tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    """A model of 4×4 pixels without classes."""
    model = build_model(GatedPixelCNNConfig(height=4, width=4, **TINY))
    return _saved(tmp_path_factory.mktemp("weights") / "classless", model)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    """A tokenizer of 8×8 pictures."""
    torch.manual_seed(0)
    config = TokenizerConfig(
        size=8,
        patch=2,
        wide_features=16,
        wide_blocks=1,
        deep_features=16,
        deep_blocks=1,
        output_features=4,
        code_size=2,
        code_channels=2,
        levels=5,
    )
    return _saved(tmp_path_factory.mktemp("weights") / "tokenizer", build_model(config))


@pytest.fixture(scope="session")
def coded(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: LoadedCheckpoint
) -> LoadedCheckpoint:
    """A model of that tokenizer's codes, of the classes `KNOWN`."""
    codec = tokenizer.codec
    channels, height, width = codec.config.code_shape
    torch.manual_seed(0)
    config = GatedPixelCNNConfig(
        channels=channels, height=height, width=width, levels=5, classes=4, **TINY
    )
    folder = tmp_path_factory.mktemp("weights") / "coded"
    return _saved(folder, build_model(config), codec, labels=KNOWN)


class Colours:
    """A judge of identity by the mean of each channel."""

    name = "colours"

    def embed(self, images: Tensor, told: object = None, *, keep: bool = False) -> Tensor:
        return images.float().mean((2, 3))


@dataclass(frozen=True)
class People:
    """Whoever has a colour of their own; no two photos of them are lit in the same way."""

    colours: Tensor
    """float32 [P, 3]."""

    @classmethod
    def born(cls, count: int, seed: int = 0) -> People:
        draw = torch.Generator().manual_seed(seed)
        return cls(80 + 96 * torch.rand(count, 3, generator=draw))

    def photos(self, people: Tensor, seed: int, spread: float = 6.0) -> Tensor:
        """uint8 [N, 3, 16, 16] of the people int64 [N]: a colour with a deviation of `spread`, and
        a pattern of light and shade that no other photo has."""
        draw = torch.Generator().manual_seed(seed)
        coarse = 60 * torch.randn(len(people), 1, 4, 4, generator=draw)
        light = F.interpolate(coarse, (16, 16), mode="bilinear").clamp(-70, 70)
        light = light - light.mean((2, 3), keepdim=True)
        off = spread * torch.randn(len(people), 3, generator=draw)
        colours = (self.colours[people] + off)[:, :, None, None]
        return (colours + light).clamp(0, 255).round().to(torch.uint8)


HEADS = 12
PHOTOS = (2, 3, 9, 10, 4, 12, 5, 8, 7, 6, 11, 1)
"""Photos of each of twelve people; the last one cannot be portrayed."""


@pytest.fixture(scope="session")
def crowd_people() -> People:
    return People.born(HEADS)


@pytest.fixture(scope="session")
def album(
    tmp_path_factory: pytest.TempPathFactory,
    write_pictures: Callable[..., Path],
    crowd_people: People,
) -> Path:
    """Photos of these people; a folder beside holds them without names."""
    who = torch.arange(HEADS).repeat_interleave(torch.tensor(PHOTOS))
    pictures = [p.permute(1, 2, 0).numpy() for p in crowd_people.photos(who, seed=1)]
    folder = tmp_path_factory.mktemp("album")
    write_pictures(folder / "bare", "validation", pictures)
    return write_pictures(folder / "named", "validation", pictures, who.tolist(), classes=HEADS)
