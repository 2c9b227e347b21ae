"""What is minimised, what it costs, and the exact figure over many pictures."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import bits_per_dim


class BitsPerDimLoss(nn.Module):
    """Mean negative log-likelihood of a batch, in bits per dimension (section 2, equation 1).

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, C, H, W], classes int64 [B], vector [B, D], of which those are left out where
        `dropped` bool [B] is true → a number."""
        if vector is not None and dropped is not None:
            given = Condition(vector=vector)
            vector = self.model.drop_condition(given, dropped).vector  # type: ignore[operator]
        condition = None
        if classes is not None or vector is not None:
            condition = Condition(classes, vector)
        log_prob: Tensor = self.model.log_prob(x, condition)  # type: ignore[operator]
        return log_prob.mean() / -math.log(2.0)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bf16 for convolutions and matrix products where `precision` is "bf16" and it gains speed."""
    enabled = precision == "bf16" and gains_from_bf16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def gains_from_bf16(device: torch.device) -> bool:
    """False for processors that would imitate bf16, tenfold slower than what they have."""
    if device.type != "cpu":
        return True
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "SVE"))


def training_flops(objective: nn.Module, x: Tensor, *more: Tensor | None) -> float:
    """Floating-point operations per picture of a forward and a backward pass, counted on `x` and
    what else the objective takes."""
    objective = copy.deepcopy(objective)
    with FlopCounterMode(display=False) as counter:
        objective(x, *more).backward()
    return counter.get_total_flops() / len(x)


@torch.inference_mode()
def image_bits(
    model: nn.Module,
    images: Tensor,
    condition: Condition | Callable[[slice], Condition] | None,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Exact bits per dimension of every picture, float64 [N].

    `images` uint8 [N, C, H, W], `condition` of all of them, what tells that of some rows, or None.
    `progress(done, total)` is told after every batch.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    parts: list[Tensor] = []
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        given = condition(part) if callable(condition) else condition and condition[part]
        with autocast(device, precision):
            told = None if given is None else given.to(device)
            log_prob = model.log_prob(images[part].to(device).long(), told)  # type: ignore[operator]
        parts.append(bits_per_dim(log_prob.cpu().double()))
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    model.train(training)
    return torch.cat(parts)
