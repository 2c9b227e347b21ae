"""Latents and conditions of many images by an auto-encoder, batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
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
    training, device = model.training, next(model.parameters()).device
    model.eval()
    latents: list[Tensor] = []
    means: list[Tensor] = []
    for start in range(0, len(images), batch):
        with autocast(device, precision):
            h = model.encode(to_signed(images[start : start + batch].to(device), 256))
            means.append(to_bytes(model.decode(h)).cpu())
        latents.append(h.float().cpu())
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    model.train(training)
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
