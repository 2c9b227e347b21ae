"""The share of the jobs that one of several processes runs, as `accelerate launch` starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pixelgen.errors import PixelgenError, UsageError

Item = TypeVar("Item")

# torchrun and accelerate, then what starts processes for accelerate on processors alone.
_VARIABLES = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
)


_RUN = "TORCHELASTIC_RUN_ID"
"""Set where torchrun started this process."""


@dataclass(frozen=True)
class ProcessShare:
    """Process `rank` of `count`, `local` among those of this machine; all from 0."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def of_this_process(cls) -> ProcessShare:
        """Raises UsageError for variables that make no sense."""
        for names in _VARIABLES:
            rank, count, local = (os.environ.get(name) for name in names)
            if rank is None or count is None:
                continue
            try:
                found = cls(int(rank), int(count), int(local or 0))
            except ValueError:
                found = cls(-1)
            if not (0 <= found.rank < found.count and found.local >= 0):
                said = " ".join(f"{n}={os.environ[n]}" for n in names if n in os.environ)
                raise UsageError(f"inconsistent variables of a launcher: {said}", "unset these")
            found._check_store()
            return found
        return cls()

    def _check_store(self) -> None:
        """Raises UsageError, before any job is run, for variables with which `wait` would fail."""
        if self.count == 1 or _RUN not in os.environ:
            return
        host, port = (os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
        if not host or not port.isdecimal() or int(port) > 65535:
            raise UsageError(
                f"{_RUN} is set, but MASTER_ADDR={host} MASTER_PORT={port} name no other processes",
                f"unset {_RUN}, RANK and WORLD_SIZE, which an earlier launch may have left",
            )

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The items of this process. They depend on their order alone, so that processes agree
        without communication."""
        return [*items[self.rank :: self.count]]

    def device(self, asked: str) -> str:
        """The device for `asked`: of several GPUs each process has its own."""
        if asked != "auto" or self.count == 1:
            return asked
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return f"cuda:{self.local % gpus}" if gpus else asked

    def wait(self) -> None:
        """Wait for the others: torchrun, and accelerate with it, ends all processes as soon as one
        ends with an error. Raises PixelgenError where they cannot be reached."""
        run = os.environ.get(_RUN)
        if self.count == 1 or run is None:
            return
        from datetime import timedelta

        from torch.distributed import rendezvous

        key = f"pixelgen-batch-{run}-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        try:
            store, _, _ = next(rendezvous("env://", timeout=timedelta(minutes=5)))
            store.add(key, 1)
            while store.add(key, 0) < self.count:
                time.sleep(0.2)
        except (RuntimeError, ValueError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise PixelgenError(f"lost the other processes: {why}") from error
