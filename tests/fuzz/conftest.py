"""A sandbox with whole and broken inputs, and the count of all that was tried."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pixelgen.models.config import (
    GatedPixelCNNConfig,
    MultiScaleConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
)

from ..conftest import LIVELY, WritePictures
from .commands import Sensible
from .pictures import plain
from .sandbox import TALLY, Sandbox

# Limits and measures of a process are those of Linux.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]

_OTHERS = {
    "pp": PixelCNNPPConfig(
        height=4, width=4, features=4, layers=1, resolutions=2, mixtures=2, classes=2
    ),
    "multi": MultiScaleConfig(height=4, width=4, context_features=3, classes=2, **LIVELY),
    "rnn": PixelRNNConfig(height=4, width=4, features=6, layers=1, output_features=6, classes=2),
}
"""Networks that no other test file of the folder needs."""


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Notes that not all of this folder is run."""
    TALLY.chosen |= any(item.path.parent == Path(__file__).parent for item in items)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tells how much was tried."""
    if TALLY.inputs:
        seconds, line = TALLY.slowest
        terminalreporter.write_line(
            f"fuzz: {TALLY.inputs} inputs, {TALLY.failed} refused, {TALLY.seconds:.1f} s of a "
            f"processor, at most {TALLY.memory >> 20} MiB; the slowest took {seconds:.1f} s: "
            f"pixelgen {line[:120]}"
        )


@pytest.fixture(scope="session")
def fuzz_root(
    tmp_path_factory: pytest.TempPathFactory,
    weights: Path,
    face_weights: Path,
    pixel_weights: Path,
    code_weights: Path,
    autoencoders: Path,
    vae_weights: Path,
    write_pictures: WritePictures,
) -> Sandbox:
    """The sandbox of all tests: what commands need, and what they should not be given."""
    import numpy as np
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import build_model
    from pixelgen.pipelines.codes_file import CodesFile

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("fuzz")
    box = Sandbox(root, os.environ["HF_HOME"])
    inputs = box.inputs
    for name, usual, folder in (
        ("tiny", "imagenet64", weights),
        ("faces", "faces64", face_weights),
        ("pixels", "imagenet32", pixel_weights),
        ("coded", "coded", code_weights),
        ("auto", "autoencoder32", autoencoders),
    ):
        shutil.copytree(folder, inputs / name)
        shutil.copytree(folder, box.bundled / usual)
    shutil.copytree(vae_weights, inputs / "vae")
    for name, config in _OTHERS.items():
        save_checkpoint(inputs / name, build_model(config), labels=[8, 207])
    whole = build_model(GatedPixelCNNConfig(height=4, width=4, features=24, layers=1))
    save_checkpoint(inputs / "whole", whole, dtype="int8")
    plain((24, 20)).save(inputs / "photo.png")
    CodesFile(torch.zeros(2, 2, 4, 4, dtype=torch.int64), levels=5).save(
        inputs / "codes.safetensors"
    )
    (inputs / "jobs.jsonl").write_text(
        '{"command": "sample", "class": 8, "seed": 1, "weights": "../in/tiny"}\n'
    )
    (inputs / "recipe.toml").write_text(
        '[model]\nmodel = "gated_pixelcnn"\nheight = 4\nwidth = 4\nfeatures = 6\nlayers = 1\n'
        '[data]\npath = "../in/nothing"\n'
    )
    pictures = [np.full((4, 4, 3), i, np.uint8) for i in range(3)]
    write_pictures(inputs / "pictures", "test", pictures, [8, 207, 8], 1000)
    (inputs / "loop").symlink_to("loop")
    (inputs / "loop.png").symlink_to("loop.png")
    (inputs / "dangling.png").symlink_to("nowhere.png")
    (inputs / "folder.png").mkdir()
    (inputs / "broken").mkdir()
    (inputs / "empty.png").touch()
    for name in ("pipe", "pipe.png"):
        os.mkfifo(inputs / name)
    where = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(inputs)  # such an address may not be long
        server.bind("socket.png")
        os.chdir(where)
    box.back_up(tmp_path_factory.mktemp("whole"))
    return box


@pytest.fixture
def box(
    fuzz_root: Sandbox, once: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """The sandbox; in the end all that was wrong is told at once."""
    from pixelgen.cli import doctor

    monkeypatch.chdir(fuzz_root.root)
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: fuzz_root.bundled)
    monkeypatch.delitem(doctor.CHECKS, "faces")
    # Otherwise it depends on what the tests were started from.
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    monkeypatch.setattr("pixelgen.files._PIPE_TIMEOUT", 0.02)
    fuzz_root.troubles.clear()
    TALLY.files.add(request.path.name)
    yield fuzz_root
    fuzz_root.tidy()
    troubles = fuzz_root.troubles
    if troubles:
        pytest.fail(f"{len(troubles)} troubles\n" + "\n".join(troubles[:40]), pytrace=False)


@pytest.fixture
def sensible(fuzz_root: Sandbox) -> Sensible:
    """What commands can be given."""
    return Sensible(fuzz_root.inputs)
