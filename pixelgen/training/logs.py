"""What a run says of itself: files for later, and a watcher for whoever looks on."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    step: int
    """Steps taken."""
    images: int
    """Pictures seen."""
    share: float
    """Of the run that is done, 0 … 1."""
    seconds_left: float
    """Until the schedule ends, at the present speed."""
    images_per_second: float
    """Over the last reporting interval."""
    gflops: float
    """Billions of the network's floating-point operations per second."""
    loss: float
    """Of the training pictures, smoothed."""
    unit: str
    """What follows the loss."""
    lr: float
    """Learning rate."""
    skipped: int
    """Steps skipped for a gradient that was not finite."""


class Watcher(Protocol):
    """Told of a run's progress, on the main process only."""

    def progress(self, progress: Progress) -> None:
        """Called after every step."""

    def note(self, text: str) -> None:
        """Called when something worth a line has happened."""


class Silent:
    """A watcher that looks away."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


LOG, BOARD = "log.jsonl", "tensorboard"


class RunLog:
    """`log.jsonl` and TensorBoard files in the run's folder."""

    def __init__(self, folder: Path, step: int) -> None:
        self._file = (folder / LOG).open("a", encoding="utf-8")
        # Steps that a killed run took after its last saved state are hidden.
        self._board = SummaryWriter(str(folder / BOARD), purge_step=step)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """One line, and one scalar for every number. A full disk costs lines, not the run."""
        with suppress(OSError):
            self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
            self._file.flush()
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Writes what is still held back."""
        with suppress(OSError):
            self._file.close()
        self._board.close()
