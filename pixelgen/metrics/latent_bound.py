"""Bounds of the likelihoods of many pictures by a PixelVAE."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.models.pixelvae import Gaussian, PixelVAE, importance_bound
from pixelgen.models.precision import autocast


class ImageBounds(NamedTuple):
    """Bits per dimension of N images, float64 [N] each: of log p(x) there are only bounds, see
    `pixelgen.models.pixelvae`."""

    given: Tensor
    """-log2 p(x | h), the mean over the h that were drawn from q(h | x)."""
    kl: Tensor
    """The divergence of q(h | x) from the prior, in closed form."""
    importance_weighted: Tensor
    """The importance-weighted upper bound of -log2 p(x)."""
    posterior: Gaussian
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
    training, device = model.training, next(model.parameters()).device
    model.eval()
    posteriors = []
    for part in images.split(batch):
        with autocast(device, precision):
            posteriors.append(model.posterior(to_signed(part.to(device), 256)))
    q = Gaussian(*map(torch.cat, zip(*posteriors, strict=True)))
    given, weights = [], []
    rows = torch.arange(len(images)).repeat_interleave(samples)
    for part in rows.split(batch):
        # One call for each draw: a single one for all would give other numbers.
        noise = torch.stack(
            [torch.randn(q.mean.shape[1], generator=generator) for _ in part]
        )  # [B, D]
        with autocast(device, precision):
            x = images[part].to(device).long()
            own = Gaussian(*(t[part.to(device)] for t in q))
            draws = model.weigh(x, own, noise.to(device))
        given.append(bits_per_dim(draws.log_prob.cpu().double()))
        weights.append(draws.log_weight.cpu().double())
        if progress is not None:
            progress(sum(map(len, given)), len(rows))
    model.train(training)
    nats = math.log(2.0) * images[0].numel()
    return ImageBounds(
        torch.cat(given).view(-1, samples).mean(1),
        q.kl().cpu().double().sum(1) / nats,
        importance_bound(torch.cat(weights).view(-1, samples)) / -nats,
        Gaussian(*(t.cpu() for t in q)),
    )
