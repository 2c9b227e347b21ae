"""Numeric precision by device."""

from __future__ import annotations

import torch


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bf16 for convolutions and matrix products, if `precision` is "bf16" and `device` has it."""
    enabled = precision == "bf16" and bf16_is_fast(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def bf16_is_fast(device: torch.device) -> bool:
    """False for processors without bf16, which emulate it ten times slower than fp32."""
    if device.type != "cpu":
        return True
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))
