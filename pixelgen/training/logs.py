"""The logs of a run: files in its folder, and a watcher that is called during the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pixelgen.json_text import finite


@dataclass(frozen=True)
class RunProgress:
    """How far a run has come, and how fast."""

    step: int
    """Steps taken."""
    images: int
    """Images seen."""
    share: float
    """Completed share of the run, 0 … 1."""
    seconds_left: float
    """Until the schedule ends, at the current speed."""
    images_per_second: float
    """Over the last reporting interval."""
    gflops: float
    """Billions of the network's floating-point operations per second."""
    loss: float
    """On the training images, smoothed."""
    unit: str
    """Of the loss."""
    lr: float
    """Learning rate."""
    skipped: int
    """Steps skipped because their loss or gradient was not finite."""


class Watcher(Protocol):
    """Receives the progress of a run, in the main process only."""

    def progress(self, progress: RunProgress) -> None:
        """Called after every step."""

    def note(self, text: str) -> None:
        """Called with a line about an event."""


class SilentWatcher:
    """A watcher that ignores everything."""

    def progress(self, progress: RunProgress) -> None:
        """Does nothing."""

    def note(self, text: str) -> None:
        """Does nothing."""


Track = Callable[[dict[str, float], int], None]
LOG, BOARD = "log.jsonl", "tensorboard"


class RunLog:
    """`log.jsonl` and TensorBoard files in the run's folder, and any other tracker."""

    def __init__(self, folder: Path, step: int, track: Track | None = None) -> None:
        """`track(values, step)` is called with all numbers too."""
        from torch.utils.tensorboard import SummaryWriter  # of the extra `train`, see `loop.train`

        self._track = track
        self._file = (folder / LOG).open("a", encoding="utf-8")
        # Hides steps after the last saved state, which a killed run may have logged.
        self._board = SummaryWriter(str(folder / BOARD), purge_step=step)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Writes one line, and one scalar for every number. A full disk does not stop the run."""
        with suppress(OSError):
            self._file.write(json.dumps(finite({"kind": kind, "step": step, **values})) + "\n")
            self._file.flush()
        numbers = {
            f"{kind}/{name}": value
            for name, value in values.items()
            if isinstance(value, (int, float))
        }
        with suppress(OSError):  # that of its writer thread, at the next call
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)
        if self._track is not None and numbers:
            self._track(numbers, step)

    def recipe(self, text: str) -> None:
        """Shows the recipe in TensorBoard."""
        indented = "\n".join(f"    {line}" for line in text.splitlines())
        self._board.add_text("recipe", indented)

    def sheet(self, path: Path, step: int) -> None:
        """Shows a sheet of images in TensorBoard."""
        with suppress(OSError), Image.open(path) as image:
            self._board.add_image("samples", np.asarray(image), step, dataformats="HWC")

    def close(self) -> None:
        """Flushes and closes both."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._board.close()
