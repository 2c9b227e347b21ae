"""A data set of a few striped pictures, and the recipe of a network that learns them in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

RECIPE = """
seed = 3
[model]
model = "gated_pixelcnn"
height = 4
width = 4
features = 8
layers = 1
kernel = 3
first_kernel = 3
output_features = 16
channel_order = "head"
head_features = 8
likelihood = "logistic"
mixtures = 2
dropout = 0.1
classes = 2
[data]
path = "{data}"
holdout = 8
[optimiser]
batch = 8
lr = 1e-2
warmup = 5
ema = 0.9
[schedule]
steps = 30
[intervals]
samples = 0
"""


def dark_and_bright(
    write_pictures: Callable[..., Path], folder: Path, side: int, noise: int, dark: int, bright: int
) -> Path:
    """In both splits of `folder`, 40 pictures of `side`×`side`, dark (label 4) or bright (label 7),
    with a gradient across."""
    draw = np.random.default_rng(0)
    ramp = np.linspace(0, 50, side)[None, :, None]
    labels = [4, 7] * 20
    made = [
        (ramp + draw.integers(0, noise, (side, side, 3)) + (dark if label == 4 else bright)).astype(
            np.uint8
        )
        for label in labels
    ]
    for split in ("train", "validation"):
        write_pictures(folder, split, made, labels)
    return folder


def recipe_at(path: Path, text: str, **values: Path) -> Path:
    """The file `path`, with a recipe in it that names folders."""
    named = {name: folder.as_posix() for name, folder in values.items()}
    path.write_text(text.format(**named), encoding="utf-8")
    return path


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread, so that sums have one order; the former number afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """40 pictures of two classes (labels 4 and 7): dark and bright, with a little noise."""
    draw = np.random.default_rng(0)
    labels = [4, 7] * 20
    pictures = [
        (draw.integers(0, 8, (4, 4, 3)) + (40 if label == 4 else 200)).astype(np.uint8)
        for label in labels
    ]
    return write_pictures(tmp_path_factory.mktemp("data"), "train", pictures, labels)


@pytest.fixture
def recipe_file(data: Path, tmp_path: Path) -> Path:
    """A recipe for these pictures."""
    return recipe_at(tmp_path / "recipe.toml", RECIPE, data=data)
