"""Environment variables by which processes of one run find each other."""

from __future__ import annotations

import os
from typing import Any

import torch

from pixelgen.errors import UsageError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PREFIXES = ("ACCELERATE_", "TORCHELASTIC_", "OMPI_COMM_WORLD_", "PMI_", "MPI_", "MV2_COMM_WORLD_")


def launch_error(error: Exception) -> UsageError:
    """The error for variables from which `accelerate` or `torchrun` could not start: those of an
    earlier launch, for example."""
    found = sorted(n for n in os.environ if n in _NAMES or n.startswith(_PREFIXES))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    hint = f"unset {', '.join(found)}, unless a launcher set them" if found else ""
    return UsageError(f"`accelerate` cannot start: {lines[0]}", hint)


def several_on_processors() -> bool:
    """Whether a launcher started several processes where there is no GPU or the like: `accelerate`
    connects them only if it is told to use the CPU. Raises ValueError for a WORLD_SIZE that is no
    number."""
    accelerators: Any = getattr(torch, "accelerator", torch.cuda)  # torch 2.6 brought all of them
    return _started() > 1 and not accelerators.is_available()


def check_processes(connected: int) -> None:
    """Raises UsageError where a launcher started several processes but `accelerate` has `connected`
    only one: each would train on its own."""
    if connected == 1 and _started() > 1:
        raise UsageError(
            f"WORLD_SIZE is {_started()}, but `accelerate` cannot connect processes on this device",
            "unset WORLD_SIZE, or set ACCELERATE_USE_CPU=true to train on processors",
        )


def _started() -> int:
    return int(os.environ.get("WORLD_SIZE") or 1)
