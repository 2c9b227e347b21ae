"""From a distribution of one value and a uniform number to the value (inverse of the CDF)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.models.config import GridConfig
from pixelgen.models.likelihood import (
    Likelihood,
    Mixture,
    Softmax,
    to_signed,
)
from pixelgen.sampling.options import SamplingOptions

Observer = Callable[[Tensor], None]
"""Called with the log-distribution [B, levels] of every value, in the order of sampling."""

# The greatest float32 below 1: u times the total then stays below the total in float32 and float64,
# so the last value with a probability greater than zero is never passed.
BELOW_ONE = 1.0 - 2.0**-24
_SMALLEST = 2.0**-126


def seeded(seed: int, salt: int = 0) -> torch.Generator:
    """A generator on the CPU, for a seed of up to 64 bits; every `salt` gives another stream.

    PyTorch uses the lower 32 bits of a seed alone: the others are hashed into these.
    """
    low, high = seed % 2**32, seed // 2**32
    if high:
        digest = hashlib.blake2b(high.to_bytes(8, "little"), digest_size=4).digest()
        low ^= int.from_bytes(digest, "little")
    return torch.Generator().manual_seed(low ^ salt)


def draw_uniforms(generator: torch.Generator, n: int, config: GridConfig) -> Tensor:
    """The random numbers of `n` pictures, [n, C, H, W] float32 in 0 … 1 (1 excluded).

    They are drawn picture by picture: the k-th picture after the generator was seeded gets the same
    numbers, whatever `n` is and however the pictures are split into batches.
    """
    shape = (config.channels, config.height, config.width)
    uniforms = torch.empty(n, *shape, device=generator.device)
    for picture in uniforms:
        torch.rand(shape, generator=generator, out=picture)
    return uniforms


def draw_uniforms_of(
    generator: torch.Generator, pictures: Iterable[int], config: GridConfig, drawn: int = 0
) -> Tensor:
    """What `draw_uniforms` gives `pictures`, by their ascending indices, among all: those of the
    others are drawn and thrown away. The numbers of the first `drawn` pictures were drawn from
    `generator` before."""
    chosen = []
    for picture in pictures:
        for _ in range(drawn, picture):
            draw_uniforms(generator, 1, config)
        chosen.append(draw_uniforms(generator, 1, config))
        drawn = picture + 1
    return torch.cat(chosen)


def invert_cdf(log_p: Tensor, uniforms: Tensor, options: SamplingOptions, out: Tensor) -> None:
    """Inverse transform sampling: for every row the first value whose cumulative probability
    exceeds the uniform number, after temperature and top-p.

    `log_p` [B, levels] need not be normalised, `uniforms` [B, 1] → `out` [B, 1], int64.
    """
    if options.temperature != 1.0:
        log_p = log_p / options.temperature
    p = torch.softmax(log_p, -1)
    if options.top_p < 1.0:
        ordered, index = p.sort(dim=-1, descending=True, stable=True)
        # A value stays if those before it hold less than top_p; the first one always stays, even if
        # top_p is too small for float32.
        enough = max(options.top_p, _SMALLEST)
        ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= enough, 0.0)
        p = torch.zeros_like(p).scatter_(-1, index, ordered)
    # In float64, so that the order of additions does not matter; Apple's devices have none.
    cdf = p.cumsum(-1, dtype=torch.float32 if p.device.type == "mps" else torch.float64)
    # The first entry above the target: never one of probability zero.
    torch.searchsorted(cdf, cdf[:, -1:] * uniforms, right=True, out=out)


def _edges(mean: Tensor, levels: int) -> Tensor:
    """[levels - 1, 1]: the edges between neighbouring bins, on the device of `mean`."""
    edges = to_signed(torch.arange(levels - 1, device=mean.device), levels) + 1 / (levels - 1)
    return edges[:, None]


def mixture_by_differences(
    log_weight: Tensor, mean: Tensor, log_scale: Tensor, levels: int
) -> Tensor:
    """All levels of a discretised mixture of logistics, 3 × [B, K] → [B, levels] in nats.

    Differences of the cumulative distribution: the fastest way, with an error of about 1e-7 of the
    *total*. That suffices for sampling at temperatures up to 1; higher ones would amplify it.
    """
    below = (_edges(mean, levels) - mean[:, None]).mul_(torch.exp(-log_scale)[:, None])
    cdf = torch.bmm(below.sigmoid_(), log_weight.exp()[:, :, None])[..., 0]
    whole = F.pad(F.pad(cdf, (1, 0)), (0, 1), value=1.0)
    return whole.diff(dim=-1).clamp_(min=1e-30).log_()


def mixture_by_products(log_weight: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """All levels of a discretised mixture of logistics, 3 × [B, K] → [B, levels] in nats.

    The likelihood's `log_distribution` in a tenth of the time: products of sigmoids instead of sums
    of their logarithms, σ(u) - σ(l) = σ(u) σ(-l) (1 - e^(l - u)), and neighbouring bins share an
    edge. Nothing cancels, so that small probabilities are as accurate as large ones and guidance
    may divide by them; those below 1e-37 count as 1e-37.
    """
    weight, inverse = log_weight.exp(), torch.exp(-log_scale)
    above = (mean[:, None] - _edges(mean, levels)).mul_(inverse[:, None])  # [B, levels - 1, K]
    below = torch.sigmoid(-above)
    above.sigmoid_()
    p = torch.empty(len(mean), levels, device=mean.device)
    torch.sum(below[:, 0] * weight, -1, out=p[:, 0])
    torch.sum(above[:, -1] * weight, -1, out=p[:, -1])
    inner = below[:, 1:].mul_(above[:, :-1])
    weight.mul_(torch.expm1(inverse * (-2 / (levels - 1))).neg_())
    p[:, 1:-1] = torch.bmm(inner, weight[:, :, None])[..., 0]
    return p.clamp_(min=1e-37).log_()


class ValueSampler:
    """Samples one channel of one position for a whole batch of parameters; with guidance, from both
    halves (conditional, null) of a doubled batch."""

    def __init__(
        self,
        likelihood: Likelihood,
        options: SamplingOptions,
        guided: bool,
        observe: Observer | None = None,
    ) -> None:
        self.likelihood, self.options, self.guided = likelihood, options, guided
        self.observe = observe
        self.unnormalised = not guided and observe is None
        """Log-probabilities up to a constant suffice."""
        fast = self.unnormalised and options.temperature <= 1.0
        self.mixture = mixture_by_differences if fast else mixture_by_products

    def log_distribution(
        self, parameters: Tensor, before: Tensor, channel: int, share: float = 0.0
    ) -> Tensor:
        """Parameters [B or 2B, C', P], values of earlier channels [B or 2B, C] → [B, levels] in
        nats, up to a constant per row; `share` of the positions are sampled before."""
        if self.unnormalised and isinstance(self.likelihood, Softmax):
            return parameters[:, channel]
        if isinstance(self.likelihood, Mixture):
            components = self.likelihood.components(parameters, before, channel)
            log_p = self.mixture(*components, self.likelihood.levels)
        else:
            log_p = self.likelihood.log_distribution(parameters, before, channel)
        if self.guided:
            conditional, null = log_p.chunk(2)
            guidance = self.options.guidance_at(share)
            log_p = F.log_softmax(null + guidance * (conditional - null), dim=-1)
        if self.observe is not None:
            self.observe(log_p)
        return log_p

    def __call__(
        self,
        parameters: Tensor,
        before: Tensor,
        channel: int,
        uniforms: Tensor,
        out: Tensor,
        share: float = 0.0,
    ) -> None:
        """Samples the values `out` [B, 1] with the random numbers `uniforms` [B, 1], where `share`
        of the positions are sampled before."""
        log_p = self.log_distribution(parameters, before, channel, share)
        invert_cdf(log_p, uniforms, self.options, out)
