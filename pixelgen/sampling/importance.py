"""Conditioning on known values that come later in the order, by importance resampling.

With the known values clamped, a sampler draws the hidden ones from q(x_hidden) = Π_hidden
p(x_i | x_<i): known values after x_i have no influence. The target is p(x_hidden | x_known), which
is proportional to p(x) = Π_all p(x_i | x_<i). Their ratio, the weight of a candidate, is
Π_known p(x_i | x_<i): how well the known values follow from the values sampled before them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_weights(log_prob: Tensor, known_mask: Tensor) -> Tensor:
    """Log-probabilities in nats of all values of N candidates, [N, C, H, W], and the mask of known
    values, [C, H, W] → the candidates' log-weights, float64 [N].

    Known values before the first hidden one are the same in all candidates and change no ratio.
    """
    return log_prob.double().masked_fill(~known_mask, 0.0).flatten(1).sum(1)


def resample(weights: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Chooses one candidate per row of log-weights [K, N], with probabilities proportional to the
    weights, by the uniform numbers [K] → its index int64 [K], and the effective sample size [K].

    The latter, 1 / Σ w² (Kong 1992), lies in 1 … N. The chosen candidates follow the target
    distribution in the limit of many candidates; else only as far as the effective sample size is
    large.
    """
    p = torch.softmax(weights.double(), -1)
    total = p.cumsum(-1)
    place = torch.searchsorted(total, uniforms.double()[:, None] * total[:, -1:], right=True)
    return place[:, 0].clamp(max=p.shape[-1] - 1), 1 / p.square().sum(-1)
