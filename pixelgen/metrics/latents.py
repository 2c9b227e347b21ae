"""Latents and conditions of many images by an auto-encoder, batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.evaluation_mode import evaluating
from pixelgen.models.likelihood import to_signed
from pixelgen.models.precision import autocast
from pixelgen.models.tokenizer import to_bytes


@torch.inference_mode()
def latents_and_means(
    model: Autoencoder,
    images: Tensor,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, 3, S, S] → their latents h [N, D] and the decoded means uint8 [N, 3, S, S],
    both on the CPU. `progress(done, total)` is called after every batch."""
    device = next(model.parameters()).device

    def both(rows: slice) -> tuple[Tensor, Tensor]:
        with autocast(device, precision):
            h = model.encode(to_signed(images[rows].to(device), 256))
            mean = to_bytes(model.decode(h)).cpu()
        return h.float().cpu(), mean

    with evaluating(model):
        parts = in_batches(len(images), batch, both, progress)
    latents, means = zip(*parts, strict=True)
    return torch.cat(latents), torch.cat(means)


def conditions_given(
    model: Autoencoder, h: Tensor, *, precision: str = "fp32"
) -> Callable[[slice], Condition]:
    """A function from rows of h [N, D] to the condition of the PixelCNN: all conditions at once
    would hold maps as large as the images."""
    device = next(model.parameters()).device

    @torch.inference_mode()
    def condition_of(rows: slice) -> Condition:
        with autocast(device, precision):
            return model.condition(h[rows].to(device))

    return condition_of
