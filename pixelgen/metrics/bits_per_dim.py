"""Exact log-likelihoods of many pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.autoregressive import AutoregressiveModel
from pixelgen.models.conditioning import Condition
from pixelgen.models.evaluation_mode import evaluating
from pixelgen.models.likelihood import bits_per_dim
from pixelgen.models.precision import autocast
from pixelgen.sampling.threads import pass_flops, threads_for


@torch.inference_mode()
def image_bits(
    model: AutoregressiveModel,
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
    device = next(model.parameters()).device

    def bits(rows: slice) -> Tensor:
        given = condition(rows) if callable(condition) else condition and condition[rows]
        with threads_for(pass_flops(model, len(images[rows]))), autocast(device, precision):
            on_device = None if given is None else given.to(device)
            log_prob = model.log_prob(images[rows].to(device).long(), on_device)
        return bits_per_dim(log_prob.cpu().double())

    with evaluating(model):
        parts = in_batches(len(images), batch, bits, progress)
    return torch.cat(parts)
