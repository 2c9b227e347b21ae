"""Environment variables by which processes of one run find each other."""

from __future__ import annotations

import os

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
