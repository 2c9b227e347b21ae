"""Reconstructions of many pictures, by the codes that a user would get."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pixelgen.metrics.reconstruction import reconstruct
from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.likelihood import to_signed
from pixelgen.models.tokenizer import Tokenizer, to_bytes
from pixelgen.pipelines.optimised_codes import optimise_codes


def reconstruct_with(
    codec: Tokenizer,
    images: Tensor,
    batch: int,
    code_steps: int,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Images uint8 [N, 3, S, S] → their reconstructions, uint8 [N, 3, S, S] on the CPU, from codes
    that are improved in `code_steps` steps. `progress(done, total)` is called after every batch."""
    if not code_steps:
        return reconstruct(codec, images, batch, progress=progress)
    device = next(codec.parameters()).device

    def decoded(rows: slice) -> Tensor:
        codes = optimise_codes(codec, to_signed(images[rows].to(device), 256), code_steps)
        with torch.no_grad():
            return to_bytes(codec.decode(codes)).cpu()

    # Gradients take several times the memory of a pass.
    return torch.cat(in_batches(len(images), min(batch, 16), decoded, progress))
