"""Numeric precision by device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """bf16 for convolutions and matrix products, if `precision` is "bf16" and `device` has it."""
    if precision == "bf16" and bf16_is_fast(device) and _has_autocast(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return full_precision(device)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No bf16, also within `autocast`."""
    return torch.autocast(device.type, enabled=False) if _has_autocast(device) else nullcontext()


def _has_autocast(device: torch.device) -> bool:
    """False for Apple's GPUs with torch 2.4, which refuses even a context that is not enabled."""
    return torch.amp.is_autocast_available(device.type)


def bf16_is_fast(device: torch.device) -> bool:
    """False for processors without bf16, which emulate it ten times slower than fp32."""
    if device.type != "cpu":
        return True
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))
