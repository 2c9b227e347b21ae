"""Several processes make one run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

from pixelgen.training.loop import train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.state import read_state

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def test_two_processes_equal_one_with_the_doubled_batch(recipe_file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    shared = ["schedule.steps=8", "model.dropout=0.0", "schedule.decay=none"]
    train(load_recipe(recipe_file, [*shared, "optimiser.batch=8"]), one)
    command = [sys.executable, "-m", "pixelgen", "train", str(recipe_file), "-o", str(two)]
    command += [f"--set={s}" for s in [*shared, "optimiser.batch=4"]]
    # The variables that `accelerate launch` and `torchrun` set.
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    place = {**os.environ, **place, "OMP_NUM_THREADS": "1"}
    if not torch.cuda.is_available():  # they find out that there is none
        del place["ACCELERATE_USE_CPU"]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=100)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    (first, expected), (second, found) = read_state(one), read_state(two)
    assert first.counters.images == second.counters.images == 64
    for name in expected:
        if name.startswith(("model.", "ema.")):
            # Adam divides by the gradient's size, so that sums in another order show.
            torch.testing.assert_close(found[name], expected[name], atol=2e-4, rtol=1e-3)
    assert abs((first.counters.held_out or 0) - (second.counters.held_out or 0)) < 1e-3
