"""Codes and reconstructions of many pictures by a tokenizer, and how close they come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelgen.errors import PixelgenError
from pixelgen.imaging.reconstruction_metrics import BEST_PSNR
from pixelgen.metrics.perceptual import load_perceptual
from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.evaluation_mode import evaluating
from pixelgen.models.likelihood import to_signed
from pixelgen.models.precision import autocast
from pixelgen.models.tokenizer import Tokenizer, to_bytes

_PSNR_BLOCK = 500
"""Pictures that are float64 at a time."""


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of images uint8 [N, C, H, W], float64 [N] in dB: 10 log10 of 255²
    over the mean squared difference; `BEST_PSNR` for equal images."""

    def errors(pair: tuple[Tensor, Tensor]) -> Tensor:
        difference = pair[0].double() - pair[1].double()
        return difference.square().flatten(1).mean(1)

    blocks = max(-(-len(images) // _PSNR_BLOCK), 1)
    pairs = zip(images.tensor_split(blocks), others.tensor_split(blocks), strict=True)
    error = torch.cat([errors(pair) for pair in pairs])
    return (10 * torch.log10(255**2 / error)).clamp(max=BEST_PSNR)


@torch.no_grad()
def encode_batch(model: Tokenizer, images: Tensor, precision: str) -> Tensor:
    """Images [N, 3, S, S] of 0 … 255 → codes int64 [N, C, h, w] on the model's device."""
    device = next(model.parameters()).device
    with autocast(device, precision):
        return model.encode(to_signed(images.to(device), 256))


@torch.inference_mode()
def encode(
    model: Tokenizer,
    images: Tensor,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Images uint8 [N, 3, S, S] → codes uint8 [N, C, h, w] on the CPU. `progress(done, total)` is
    called after every batch."""
    if not len(images):
        return torch.empty((0, *model.config.code_shape), dtype=torch.uint8)

    def codes(rows: slice) -> Tensor:
        return encode_batch(model, images[rows], precision).to("cpu", torch.uint8)

    return torch.cat(in_batches(len(images), batch, codes, progress))


@torch.inference_mode()
def reconstruct(
    model: nn.Module,
    images: Tensor,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Images uint8 [N, 3, S, S] → their reconstructions by a tokenizer, uint8 [N, 3, S, S] on the
    CPU. `progress(done, total)` is called after every batch."""
    device = next(model.parameters()).device

    def decoded(rows: slice) -> Tensor:
        with autocast(device, precision):
            pictures, _ = model(to_signed(images[rows].to(device), 256))
        return to_bytes(pictures).cpu()

    with evaluating(model):
        parts = in_batches(len(images), batch, decoded, progress)
    return torch.cat(parts)


@dataclass(frozen=True)
class ReconstructionScores:
    """How close reconstructions come to their originals: means over all images."""

    psnr: float
    """Peak signal-to-noise ratio in dB."""
    ssim: float
    """Structural similarity, up to 1."""
    perceptual: float | None
    """Perceptual distance, from 0; None where its classifier is not installed, and for images that
    are too small for it."""


def measure_reconstruction(
    images: Tensor, others: Tensor, device: torch.device, batch: int
) -> ReconstructionScores:
    """Scores of images uint8 [N, 3, H, W] and their reconstructions `others`."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    distance, side = None, min(images.shape[-2:])
    # The window of the usual 1.5 reaches 5 pixels, beyond the mirror image of a smaller picture.
    sigma = 1.5 if side > 5 else (side - 1) / 4
    if side >= 32:
        with suppress(PixelgenError):
            distance = load_perceptual().to(device)

    @torch.inference_mode()
    def compared(rows: slice) -> list[Tensor]:
        a, b = images[rows].to(device).float(), others[rows].to(device).float()
        similarity = ssim(b, a, sigma=sigma, data_range=255.0, reduction="none")
        found = [torch.as_tensor(similarity).view(-1)]
        if distance is not None:
            found.append(distance(to_signed(b, 256), to_signed(a, 256)))
        return [values.cpu().double() for values in found]

    parts = in_batches(len(images), batch, compared)
    similarity, *distances = (torch.cat(values) for values in zip(*parts, strict=True))
    return ReconstructionScores(
        float(psnr(images, others).mean()),
        float(similarity.mean()),
        float(distances[0].mean()) if distances else None,
    )
