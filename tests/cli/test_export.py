"""`pixelgen export` of weights, stored in other ways."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.checkpoints.storage import storage_types
from pixelgen.models import GatedPixelCNNConfig, TokenizerConfig, build_model

from .conftest import Run

FEATURES = {"wide_features": 24, "deep_features": 24, "wide_blocks": 1, "deep_blocks": 1}
CODES = {"levels": 5, "code_size": 4, "code_channels": 2}


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    """A model of codes whose networks have tensors that are large enough for whole numbers."""
    torch.manual_seed(0)
    codec = TokenizerConfig(size=16, patch=2, output_features=4, **FEATURES, **CODES)
    grid = GatedPixelCNNConfig(
        channels=2, height=4, width=4, levels=5, features=24, layers=1, classes=2
    )
    return save_checkpoint(
        tmp_path / "coded", build_model(grid), tokenizer=build_model(codec), labels=[8, 207]
    )


def test_whole_numbers_of_one_network_or_both(run: Run, coded: Path) -> None:
    for words, model, tokenizer in (
        ((), "float16", "float16"),
        (("--storage", "int8"), "int8", "float16"),
        (("--tokenizer-storage", "int8"), "float16", "int8"),
        (("--storage", "int8", "--tokenizer-storage", "int8"), "int8", "int8"),
    ):
        outcome = run("export", coded, *words, "-o", "out", "--force")
        assert (outcome.code, outcome.out) == (0, "out\n"), outcome.err
        types = storage_types(load_checkpoint("out"))
        assert types == {"model.safetensors": model, "tokenizer.safetensors": tokenizer}

    assert run("export", "out", "-o", "again").code == 0
    for file in ("model.safetensors", "tokenizer.safetensors"):
        assert Path("again", file).read_bytes() == Path("out", file).read_bytes()
        assert Path("out", file).stat().st_size < (coded / file).stat().st_size
    assert run("sample", "--class", 8, "--seed", 1, "--weights", "./out", "-o", "a.png").code == 0
    assert run("weights", "verify", "./out").code == 0
    assert run("export", "out", "--storage", "float16", "-o", "half").code == 0
    assert storage_types(load_checkpoint("half"))["model.safetensors"] == "float16"


def test_bad_options(run: Run, coded: Path, weights: Path) -> None:
    outcome = run("export", coded, "--storage", "int4", "-o", "out")
    assert outcome.code == 2
    assert "'int4' is not one of 'float16', 'int8'" in outcome.err
    outcome = run("export", weights, "--tokenizer-storage", "int8", "-o", "out")
    assert outcome.code == 2
    says = (
        "no tokenizer beside the model could be stored in int8 (--storage is for the model itself)"
    )
    assert outcome.err == f"error: {says}\n"
    assert not Path("out").exists()


def test_a_run_that_was_exported_into_is_a_run(run: Run, weights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights, tmp_path / "run")
    (folder / "state.safetensors").touch()
    outcome = run("export", folder, "-o", "out")
    assert outcome.code == 1
    assert "state.safetensors is damaged" in outcome.err
