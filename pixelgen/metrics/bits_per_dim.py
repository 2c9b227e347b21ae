"""Exact log-likelihoods of many pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import bits_per_dim
from pixelgen.models.precision import autocast


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
