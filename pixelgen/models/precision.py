"""Numeric precision by device."""

from __future__ import annotations

import torch


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bf16 for convolutions and matrix products where `precision` is "bf16" and it gains speed."""
    enabled = precision == "bf16" and bf16_is_fast(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def bf16_is_fast(device: torch.device) -> bool:
    """False for processors that would imitate bf16, tenfold slower than what they have."""
    if device.type != "cpu":
        return True
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))
