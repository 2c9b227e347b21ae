"""Two tiny recipes, and striped pictures in two splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

RECIPES = {
    "pixelcnn": 'model = "pixelcnn"',
    "row_lstm": 'model = "pixelrnn"\nlayer = "row_lstm"',
}
RECIPE = """
seed = 3
[model]
{model}
height = 4
width = 4
features = 12
layers = 1
first_kernel = 3
output_features = 6
[data]
path = "elsewhere"
[optimiser]
batch = 8
lr = 1e-2
[schedule]
minutes = 60
"""


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """40 training and 12 test pictures of 4×4, dark or bright."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("data") / "cifar10"
    for split, count in (("train", 40), ("test", 12)):
        made = [
            (draw.integers(0, 8, (4, 4, 3)) + 40 + 160 * (i % 2)).astype(np.uint8)
            for i in range(count)
        ]
        write_pictures(folder, split, made, [i % 2 for i in range(count)])
    return folder


@pytest.fixture(scope="package")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of both recipes."""
    folder = tmp_path_factory.mktemp("recipes")
    paths = []
    for name, model in RECIPES.items():
        path = folder / f"{name}.toml"
        path.write_text(RECIPE.format(model=model), encoding="utf-8")
        paths.append(str(path))
    return paths
