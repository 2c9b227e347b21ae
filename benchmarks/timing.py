"""What several benchmarks need to time work on a device."""

from __future__ import annotations

import torch


def synchronise(device: torch.device) -> None:
    """Waits for all work on the device: GPUs only queue it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
