"""Pictures are the same to commands that read photos and to those that read data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.checkpoints import save_checkpoint
from pixelgen.models import GatedPixelCNNConfig, build_model

from .conftest import Run


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = GatedPixelCNNConfig(
        height=4, width=4, features=6, layers=1, kernel=3, first_kernel=3, output_features=6
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_checkpoint(folder, build_model(config))
    return folder


def odd_pictures() -> dict[str, tuple[Image.Image, dict[str, Any]]]:
    draw = np.random.default_rng(4)
    photo = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    clear, exif = photo.copy(), Image.Exif()
    clear.putalpha(0)
    exif[0x0112] = 6
    greys = np.asarray(photo.convert("L")).astype(np.uint16)
    return {
        "16-bit": (Image.fromarray(greys * 257), {}),
        "10-bit": (Image.fromarray(greys * 4), {}),
        "clear": (clear, {}),
        "turned": (photo, {"exif": exif}),
    }


def test_score_and_evaluate_agree(run: Run, weights: Path) -> None:
    for name, (image, options) in odd_pictures().items():
        file = Path(name, "validation", "a.png")
        file.parent.mkdir(parents=True)
        image.save(file, **options)
        scored = run("score", file, "--weights", weights, "--json")
        words = ("--data", name, "--split", "validation", "--unconditional", "--json")
        evaluated = run("evaluate", weights, *words)
        assert scored.code == evaluated.code == 0, scored.err + evaluated.err
        bits = json.loads(evaluated.out)["unconditional"]["bits_per_dim"]
        assert bits == pytest.approx(
            json.loads(scored.out)["pictures"][0]["bits_per_dim"], abs=1e-5
        )
        for outcome in (scored, evaluated):
            assert outcome.err.count("note:") == (name == "10-bit")


def test_pictures_of_data_sets_are_bounded_as_photos_are(run: Run, weights: Path) -> None:
    Path("x/train").mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (9, 8)).save(f"x/train/{name}.png")
    said = "it has 9×8 pixels"
    for words in (
        ("score", "x/train/a.png", "--weights", weights),
        ("evaluate", weights, "--data", "x", "--split", "train", "--unconditional"),
        ("train", "x", "-o", "run", "--from", "none", "--preset", "tiny", "--size", "32"),
    ):
        outcome = run(*words, "--max-pixels", "71")
        assert outcome.code != 0
        assert said in outcome.err, words
        assert "(--max-pixels N allows more)" in outcome.err
