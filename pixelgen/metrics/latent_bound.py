"""Bounds of the likelihoods of many pictures by a PixelVAE."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.metrics.shared_batches import in_batches
from pixelgen.models.evaluation_mode import evaluating
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.models.pixelvae import DiagonalGaussian, PixelVAE, importance_bound
from pixelgen.models.precision import autocast
from pixelgen.sampling.threads import pass_flops, threads_for


class ImageBounds(NamedTuple):
    """Bits per dimension of N images, float64 [N] each: of log p(x) there are only bounds, see
    `pixelgen.models.pixelvae`."""

    given: Tensor
    """-log2 p(x | h), the mean over the h that were drawn from q(h | x)."""
    kl: Tensor
    """The divergence of q(h | x) from the prior, in closed form."""
    importance_weighted: Tensor
    """The importance-weighted upper bound of -log2 p(x)."""
    posterior: DiagonalGaussian
    """q(h | x), on the CPU."""

    @property
    def elbo(self) -> Tensor:
        """The negative ELBO, an upper bound of -log2 p(x)."""
        return self.given + self.kl


@torch.inference_mode()
def image_bounds(
    model: PixelVAE,
    images: Tensor,
    samples: int,
    generator: torch.Generator,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> ImageBounds:
    """The bounds of images uint8 [N, C, H, W], with `samples` draws of h for each.

    `generator`, on the CPU, gives the same numbers for every `batch`, which counts draws.
    `progress(done, total)` is called after every batch.
    """
    device = next(model.parameters()).device

    def posterior(rows: slice) -> DiagonalGaussian:
        with autocast(device, precision):
            found = model.posterior(to_signed(images[rows].to(device), 256))
        return DiagonalGaussian(*(t.cpu() for t in found))

    with evaluating(model):
        posteriors = in_batches(len(images), batch, posterior)
    q = DiagonalGaussian(*map(torch.cat, zip(*posteriors, strict=True)))
    which = torch.arange(len(images)).repeat_interleave(samples)
    # One call for each draw: a single one for all would give other numbers.
    every = (torch.randn(q.mean.shape[1], generator=generator) for _ in which)
    used = 0

    def weighed(rows: slice) -> tuple[Tensor, Tensor]:
        nonlocal used
        # The numbers of batches that other processes compute are drawn too, and left out.
        noise = torch.stack([*islice(every, rows.start - used, rows.stop - used)])  # [B, D]
        used, part = rows.stop, which[rows]
        own = DiagonalGaussian(*(t[part].to(device) for t in q))
        flops = pass_flops(model.pixels, len(part))
        with threads_for(flops), autocast(device, precision):
            draws = model.weigh(images[part].to(device).long(), own, noise.to(device))
        return bits_per_dim(draws.log_prob.cpu().double()), draws.log_weight.cpu().double()

    with evaluating(model):
        parts = in_batches(len(which), batch, weighed, progress)
    given, weights = zip(*parts, strict=True)
    nats = math.log(2.0) * images[0].numel()
    return ImageBounds(
        torch.cat(given).view(-1, samples).mean(1),
        q.kl().double().sum(1) / nats,
        importance_bound(torch.cat(weights).view(-1, samples)) / -nats,
        q,
    )
