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
    """Exact bits per dimension of every image, float64 [N].

    `images` uint8 [N, C, H, W]; `condition` is that of all of them, a function from rows to
    theirs, or None. `progress(done, total)` is called after every batch.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    parts: list[Tensor] = []
    for start in range(0, len(images), batch):
        rows = slice(start, start + batch)
        given = condition(rows) if callable(condition) else condition and condition[rows]
        with autocast(device, precision):
            on_device = None if given is None else given.to(device)
            log_prob = model.log_prob(images[rows].to(device).long(), on_device)  # type: ignore[operator]
        parts.append(bits_per_dim(log_prob.cpu().double()))
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    model.train(training)
    return torch.cat(parts)
