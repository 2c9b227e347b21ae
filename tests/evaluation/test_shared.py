"""Several processes share every evaluation, and get the figures that one alone gets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from typer.testing import CliRunner

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint
from pixelgen.cli.app import app
from pixelgen.evaluation import classification
from pixelgen.evaluation.autoencoders import measure_autoencoders
from pixelgen.evaluation.classification import measure_classification
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.evaluation.identity import measure_identity
from pixelgen.evaluation.quality import measure_quality
from pixelgen.metrics import shared_batches
from pixelgen.metrics.classifiers import Classifier
from pixelgen.models.pixelvae import DiagonalGaussian, Draws, PixelVAE
from pixelgen.pipelines.class_posterior import bits_of_classes

from .conftest import Colours, grey_judge

Shared = Callable[[Callable[[], object]], list[Any]]
"""Runs a function as each of three processes that share its batches; returns what each got."""


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    """Threads in the place of processes."""
    count = 3
    barrier = threading.Barrier(count, timeout=60)
    sent: list[object] = [None] * count

    def exchange(value: object, _: int) -> list[object]:
        rank = shared_batches._place.get()[0]
        sent[rank] = value
        barrier.wait()
        values = list(sent)
        barrier.wait()
        return values

    def process(rank: int, work: Callable[[], object]) -> object:
        shared_batches._place.set((rank, count))
        return work()

    def run(work: Callable[[], object]) -> list[Any]:
        with ThreadPoolExecutor(count) as pool:
            return [*pool.map(process, range(count), [work] * count)]

    monkeypatch.setattr(shared_batches, "_of_all", exchange)
    return run


@pytest.fixture
def classified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the pictures that classifiers see at a time, in all processes."""
    seen: list[int] = []
    pooled = Classifier._pooled

    def counted(self: Classifier, images: Any) -> Any:
        seen.append(len(images))
        return pooled(self, images)

    monkeypatch.setattr(Classifier, "_pooled", counted)
    return seen


def test_likelihood(shared: Shared, coded: LoadedCheckpoint, grey: Path) -> None:
    def work() -> object:
        return evaluate(coded, grey, "validation", batch=5)

    assert shared(work) == 3 * [work()]


def test_samples_and_their_judge(
    shared: Shared, pixels: LoadedCheckpoint, grey: Path, classified: list[int]
) -> None:
    def work() -> object:
        return measure_quality(
            pixels, grey, "validation", samples_per_class=5, candidates=2, batch=9,
            judge=grey_judge(), seed=3,
        )  # fmt: skip

    alone = work()
    once = sum(classified)
    assert shared(work) == 3 * [alone]
    assert sum(classified) == 2 * once  # three processes see each picture once


def test_identity(shared: Shared, face_weights: Path, album: Path) -> None:
    faces = load_checkpoint(face_weights)

    def work() -> object:
        return measure_identity(
            faces, album, "validation", portraits=3, batch=10, candidates=2, people=4,
            judge=Colours(), critic=grey_judge(),
        )  # fmt: skip

    assert shared(work) == 3 * [work()]


def test_autoencoders(shared: Shared, autoencoders: Path, grey: Path) -> None:
    weights = load_checkpoint(autoencoders)

    def work() -> object:
        return measure_autoencoders(
            weights, grey, "validation", limit=11, batch=4, reconstructions=9, quality=True,
            judge=grey_judge(),
        )  # fmt: skip

    assert shared(work) == 3 * [work()]


def test_bounds_of_a_pixelvae(
    shared: Shared, vae_weights: Path, grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, drawn = load_checkpoint(vae_weights), []
    weigh = PixelVAE.weigh

    def counted(self: PixelVAE, x: Tensor, q: DiagonalGaussian, noise: Tensor) -> Draws:
        drawn.append(len(x))
        return weigh(self, x, q, noise)

    monkeypatch.setattr(PixelVAE, "weigh", counted)

    def work() -> object:
        return measure_autoencoders(
            weights, grey, "validation", limit=11, batch=4, reconstructions=2, importance_samples=3
        )

    alone = work()
    assert sum(drawn) == 11 * 3
    assert shared(work) == 3 * [alone]
    assert sum(drawn) == 2 * 11 * 3  # three processes draw each latent once


def test_classification(
    shared: Shared, pixels: LoadedCheckpoint, grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked: list[Tensor] = []

    def counted(weights: LoadedCheckpoint, grid: Tensor, *more: Any) -> Tensor:
        ranked.append(grid)
        return bits_of_classes(weights, grid, *more)

    monkeypatch.setattr(classification, "bits_of_classes", counted)

    def work() -> object:
        return measure_classification(pixels, grey, "validation", pictures=7)

    alone = work()
    assert shared(work) == 3 * [alone]
    assert len(ranked) == 2 * 7


def test_what_only_the_first_process_does(shared: Shared) -> None:
    done: list[str] = []

    def work() -> object:
        return shared_batches.by_first_process(lambda: done.append("x") or "found")

    assert shared(work) == 3 * ["found"]
    assert work() == "found"
    assert done == ["x", "x"]


def test_two_processes_print_what_one_does(
    weights: Path,
    write_pictures: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (4, 4, 3)).astype(np.uint8) for _ in range(10)]
    data = write_pictures(tmp_path / "data", "validation", pictures, [8] * 10)
    command = ["evaluate", str(weights), "--data", str(data), "--batch-size=3", "--json"]
    alone = CliRunner().invoke(app, command)
    # The variables that `accelerate launch` and `torchrun` set.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    others = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    second = subprocess.Popen(
        [sys.executable, "-m", "pixelgen", *command],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **others, "RANK": "1", "LOCAL_RANK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for name, value in {**others, "RANK": "0", "LOCAL_RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        first = CliRunner().invoke(app, command)
        assert second.communicate(timeout=100) == ("", "")
    finally:
        second.kill()
        second.wait()
    assert (alone.exit_code, first.exit_code, second.returncode) == (0, 0, 0)
    figures = [{**json.loads(run.stdout), "seconds": 0} for run in (alone, first)]
    assert figures[0] == figures[1]
