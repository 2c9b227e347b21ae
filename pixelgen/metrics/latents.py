"""What an auto-encoder makes of many pictures, batch by batch."""

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
    """The h of pictures uint8 [N, 3, S, S], [N, D], and the mean that is decoded of it,
    uint8 [N, 3, S, S]; both on the CPU. `progress(done, total)` is told after every batch."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    codes: list[Tensor] = []
    means: list[Tensor] = []
    for start in range(0, len(images), batch):
        with autocast(device, precision):
            h = model.encode(to_signed(images[start : start + batch].to(device), 256))
            means.append(to_bytes(model.decode(h)).cpu())
        codes.append(h.float().cpu())
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    model.train(training)
    return torch.cat(codes), torch.cat(means)


def conditions_given(
    model: Autoencoder, h: Tensor, *, precision: str = "fp32"
) -> Callable[[slice], Condition]:
    """What tells, of rows of h [N, D], what the PixelCNN is told: maps of all of them at once would
    take as much memory as many pictures."""
    device = next(model.parameters()).device

    @torch.inference_mode()
    def of(rows: slice) -> Condition:
        with autocast(device, precision):
            return model.condition(h[rows].to(device))

    return of
