"""Precision on devices with and without autocast."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from pixelgen.models.precision import autocast, full_precision


def test_full_precision_within_autocast() -> None:
    x = torch.randn(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with full_precision(x.device):
            assert (x @ x).dtype == torch.float32


def test_a_device_without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Apple's GPUs with torch 2.4, where torch.autocast raises."""
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: kind != "mps")
    device = torch.device("mps")
    for context in (full_precision(device), autocast(device, "bf16"), autocast(device, "fp32")):
        assert isinstance(context, nullcontext)
