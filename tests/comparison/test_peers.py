"""Networks of checkouts, here stand-ins with the files and the calls of the two projects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelgen.comparison.entries import read_recipes
from pixelgen.comparison.peers import PeerConfig, PeerNetwork, check_causal
from pixelgen.errors import InputError, UsageError
from pixelgen.models import build_model
from pixelgen.models.config import config_from_dict

from .conftest import RECIPE

SIZE: dict[str, Any] = {
    "height": 4,
    "width": 5,
    "levels": 7,
    "features": 6,
    "layers": 1,
    "output_features": 6,
}
CAUSAL = """
import torch
from torch import nn

class Before(nn.Conv2d):
    def __init__(self, channels, out):
        super().__init__(channels, out, 3, padding=1)
        mask = torch.zeros(3, 3)
        mask[0] = 1
        mask[1, 0] = 1
        self.register_buffer("mask", mask)

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight * self.mask, self.bias, padding=1)
"""
FIRST = """
from torch import nn
from .conv_layers import Before

class PixelCNN(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.color_levels = cfg.color_levels
        self.conv = Before(3, 3 * cfg.color_levels)
        self.label = nn.Embedding(cfg.classes, 3 * cfg.color_levels)
        assert cfg.hidden_layers == 1 and cfg.hidden_fmaps == 6 and cfg.out_hidden_fmaps == 6

    def forward(self, image, label):
        assert 0 <= image.min() and image.max() <= 1
        out = self.conv(image) + self.label(label)[:, :, None, None]
        return out.view(len(image), self.color_levels, 3, *image.shape[2:])
"""
SECOND = """
from torch import nn
from conv2d_mask import Before

class PixelCNN(nn.Module):
    def __init__(self, in_shape, n_colors, n_blocks, filters, kernel_size):
        super().__init__()
        self.n_colors = n_colors
        self.conv = Before(in_shape[0], in_shape[0] * n_colors)

    def forward(self, x):
        out = self.conv(x)
        return out.view(len(x), x.shape[1], self.n_colors, *x.shape[2:]).transpose(1, 2)
"""


def write_first(folder: Path) -> Path:
    (folder / "pixelcnn").mkdir(parents=True)
    for name, text in (("__init__", ""), ("conv_layers", CAUSAL), ("model", FIRST)):
        (folder / "pixelcnn" / f"{name}.py").write_text(text)
    return folder


def write_second(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in (("conv2d_mask", CAUSAL), ("conv2d_gated", ""), ("pixelcnn", SECOND)):
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("write", [write_first, write_second])
def test_both_projects(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = write(tmp_path / "checkout")
    torch.manual_seed(0)
    config = PeerConfig(**SIZE, path=str(folder))
    assert config_from_dict(config.to_dict()) == config
    network = build_model(config)
    assert isinstance(network, PeerNetwork)
    check_causal(network)
    x = torch.randint(7, (2, 3, 4, 5))
    assert network(x).shape == (2, 4, 5, 3, 7)
    # Their logits of value (n, c, i, j) are what its probability is computed from.
    logits = network._adapter.logits(network.peer, x.float())
    expected = logits.log_softmax(1).gather(1, x[:, None]).squeeze(1)
    assert torch.allclose(network.log_prob(x), expected, atol=1e-5)


def test_two_checkouts_with_equal_names_of_modules(tmp_path: Path) -> None:
    paths, before = list(sys.path), set(sys.modules)
    folders = [write_first(tmp_path / "a"), write_second(tmp_path / "b")]
    networks = [build_model(PeerConfig(**SIZE, path=str(folder))) for folder in folders]
    names = [type(network.peer).__module__ for network in networks]
    assert names == ["pixelcnn.model", "pixelcnn"]
    assert sys.path == paths
    assert "pixelcnn" not in set(sys.modules) - before
    assert not [*tmp_path.rglob("__pycache__")]


def test_a_network_that_looks_ahead(tmp_path: Path) -> None:
    folder = write_second(tmp_path / "checkout")
    mask = folder / "conv2d_mask.py"
    mask.write_text(CAUSAL.replace("mask[1, 0] = 1", "mask[1] = 1"))
    network = build_model(PeerConfig(**SIZE, path=str(folder)))
    assert isinstance(network, PeerNetwork)
    with pytest.raises(InputError, match="not autoregressive"):
        check_causal(network)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("forward(self, image, label)", "forward(self, image)", r"fails: TypeError"),
        (
            "out.view(len(image), self.color_levels, 3, *image.shape[2:])",
            "out[:, :, None]",
            r"logits of shape \(\d+, 4, 5, 1, 21\), not \(\d+, 4, 5, 3, 7\)",
        ),
    ],
)
def test_a_network_that_is_called_otherwise(
    before: str, after: str, says: str, tmp_path: Path
) -> None:
    model = write_first(tmp_path / "checkout") / "pixelcnn" / "model.py"
    assert before in FIRST
    model.write_text(FIRST.replace(before, after))
    network = build_model(PeerConfig(**SIZE, path=str(tmp_path / "checkout")))
    assert isinstance(network, PeerNetwork)
    with pytest.raises(InputError, match=says) as caught:
        check_causal(network)
    assert "\n" not in caught.value.message


def test_folders_that_are_no_checkout(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="not a checkout"):
            build_model(PeerConfig(**SIZE, path=str(folder)))


def test_code_that_fails(tmp_path: Path) -> None:
    folder = write_second(tmp_path / "checkout")
    (folder / "pixelcnn.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(InputError, match=r"cannot be built: ModuleNotFoundError"):
        build_model(PeerConfig(**SIZE, path=str(folder)))


def test_a_recipe_names_no_checkout(tmp_path: Path) -> None:
    recipe = tmp_path / "theirs.toml"
    path = write_first(tmp_path / "checkout").as_posix()
    recipe.write_text(RECIPE.format(model=f'model = "peer"\npath = "{path}"'), encoding="utf-8")
    with pytest.raises(UsageError, match="the recipe theirs names a checkout"):
        read_recipes([str(recipe)], "x")
