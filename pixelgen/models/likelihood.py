"""Distributions of discrete values: softmax and discretised mixtures of logistics.

Parameters are laid out [..., C, P]: P numbers for each of the C channels of a position. The coupled
mixture (PixelCNN++) has one set for all channels and is laid out [..., 1, P]. Values are integers
x [..., C] in 0 … levels - 1; log-probabilities are in nats.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.config import GridConfig

LOG_SCALE_MIN, LOG_SCALE_MAX = -7.0, 7.0
"""Far beyond the scales of pictures, and within the range in which float32 can differentiate."""


def to_signed(x: Tensor, levels: int) -> Tensor:
    """Integers 0 … levels - 1 as numbers in -1 … 1."""
    return x.float() * (2.0 / (levels - 1)) - 1.0


def bits_per_dim(log_prob: Tensor) -> Tensor:
    """[B, ...] log-probabilities in nats of every value → [B] bits per dimension."""
    return log_prob.flatten(1).mean(1) / -math.log(2.0)


class Likelihood(nn.Module):
    """The interface of all likelihoods.

    Another one is a subclass, a branch of `build_likelihood`, and a name in `LikelihoodName`.
    """

    def __init__(
        self, channels: int, levels: int, parameters_per_value: int, coupled: bool
    ) -> None:
        super().__init__()
        self.channels, self.levels = channels, levels
        self.parameters_per_value = parameters_per_value
        """P, the numbers that describe the distribution of a value."""
        self.coupled = coupled
        """One set of parameters for all channels of a position, whose values depend on each other
        through the likelihood itself."""

    def initial_bias(self) -> Tensor:
        """[P], a sensible start for the bias of the layer that computes the parameters."""
        return torch.zeros(self.parameters_per_value)

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p(x_c | x_<c) of every value: [..., C', P], [..., C] → [..., C] in nats."""
        raise NotImplementedError

    def log_distribution(self, parameters: Tensor, before: Tensor, channel: int) -> Tensor:
        """The distribution of one channel over all levels, given the channels before it.

        `parameters` [N, C', P], `before` [N, channel or more] integers → [N, levels] in nats.
        """
        raise NotImplementedError


class Softmax(Likelihood):
    """A `levels`-way softmax for every value."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__(channels, levels, levels, coupled=False)

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        flat = parameters.float().flatten(0, -2)  # [N·C, levels]
        return -F.cross_entropy(flat, x.flatten(), reduction="none").view(x.shape)

    def log_distribution(self, parameters: Tensor, before: Tensor, channel: int) -> Tensor:
        return F.log_softmax(parameters[:, channel].float(), dim=-1)


def logistic_bins(mean: Tensor, log_scale: Tensor, x: Tensor, levels: int) -> Tensor:
    """log of the mass of a logistic in the bin of `x` (integers), broadcast over all arguments.

    Bins are 2/(levels-1) wide in the -1 … 1 scale; the first and last reach to infinity
    (Salimans et al. 2017, PixelCNN++, equation 2), so the masses of all levels add up to one.
    """
    inverse = torch.exp(-log_scale)
    centred = (to_signed(x, levels) - mean) * inverse
    half = inverse / (levels - 1)
    upper, lower = centred + half, centred - half
    # log(sigmoid(u) - sigmoid(l)) = logsigmoid(u) + logsigmoid(-l) + log(1 - exp(l - u)), u > l:
    # exact and stable, without a case for narrow bins.
    upper_log = F.logsigmoid(upper)
    lower_log = F.logsigmoid(-lower)
    inside = upper_log + lower_log + torch.log(-torch.expm1(-2.0 * half))
    return torch.where(x == 0, upper_log, torch.where(x == levels - 1, lower_log, inside))


def mixture_bias(mixtures: int, channels: int = 1) -> Tensor:
    """Parameters of a mixture whose components share the range between them: log-weights, means of
    every channel, and log-scales of exp(-1.5), about a tenth of the range."""
    means = torch.linspace(-0.8, 0.8, mixtures) if mixtures > 1 else torch.zeros(mixtures)
    means = means.repeat(channels)
    return torch.cat((torch.zeros(mixtures), means, torch.full_like(means, -1.5)))


class Mixture(Likelihood):
    """A likelihood whose conditional distribution of one channel is a mixture of K discretised
    logistics."""

    def components(
        self, parameters: Tensor, before: Tensor, channel: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights (normalised), means and log-scales of one channel given the channels before
        it, each [N, K]; arguments as those of `log_distribution`."""
        raise NotImplementedError

    def log_distribution(self, parameters: Tensor, before: Tensor, channel: int) -> Tensor:
        weight, mean, log_scale = self.components(parameters, before, channel)
        values = torch.arange(self.levels, device=parameters.device)[None, :, None]
        bins = logistic_bins(mean[:, None], log_scale[:, None], values, self.levels)
        return torch.logsumexp(bins + weight[:, None], dim=-1)  # [N, levels, K] → [N, levels]


class LogisticMixture(Mixture):
    """A discretised mixture of logistics for each value: K weights, K means, K log-scales."""

    def __init__(self, channels: int, levels: int, mixtures: int) -> None:
        super().__init__(channels, levels, 3 * mixtures, coupled=False)

    def initial_bias(self) -> Tensor:
        return mixture_bias(self.parameters_per_value // 3)

    @staticmethod
    def _split(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., 3K] → log-weights, means, log-scales, each [..., K]."""
        weight, mean, log_scale = parameters.float().chunk(3, dim=-1)
        log_scale = log_scale.clamp(LOG_SCALE_MIN, LOG_SCALE_MAX)
        return F.log_softmax(weight, dim=-1), mean, log_scale

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        weight, mean, log_scale = self._split(parameters)
        bins = logistic_bins(mean, log_scale, x[..., None], self.levels)
        return torch.logsumexp(bins + weight, dim=-1)

    def components(
        self, parameters: Tensor, before: Tensor, channel: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self._split(parameters[:, channel])


class CoupledLogisticMixture(Mixture):
    """PixelCNN++ (section 2.2): one mixture for all channels of a position.

    The component is shared by the channels, and the means of later channels depend linearly on the
    earlier ones. Per position: K weights, then for every channel K means and K log-scales, then K
    coefficients for every pair of channels. The conditional of channel c weights the components by
    their posterior given the channels before it, so every factor is exact.
    """

    def __init__(self, channels: int, levels: int, mixtures: int) -> None:
        pairs = channels * (channels - 1) // 2
        super().__init__(channels, levels, mixtures * (1 + 2 * channels + pairs), coupled=True)
        self.mixtures = mixtures

    def initial_bias(self) -> Tensor:
        start = mixture_bias(self.mixtures, self.channels)
        return torch.cat((start, torch.zeros(self.parameters_per_value - len(start))))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[..., 1, P] → log-weights [..., K]; means and log-scales [..., C, K]; coefficients of
        pairs [..., C · (C - 1) / 2, K]."""
        c = self.channels
        parts = parameters.float().flatten(-2).unflatten(-1, (-1, self.mixtures))  # [..., P/K, K]
        weight, mean, log_scale, pair = parts.split([1, c, c, parts.shape[-2] - 1 - 2 * c], dim=-2)
        log_weight = F.log_softmax(weight.squeeze(-2), dim=-1)
        return log_weight, mean, log_scale.clamp(LOG_SCALE_MIN, LOG_SCALE_MAX), torch.tanh(pair)

    def _mean(self, mean: Tensor, pair: Tensor, before: Tensor, channel: int) -> Tensor:
        """Mean of `channel` given the earlier channels, [..., K]."""
        start = channel * (channel - 1) // 2
        known = to_signed(before[..., :channel], self.levels)[..., None]  # [..., channel, 1]
        return mean[..., channel, :] + (pair[..., start : start + channel, :] * known).sum(-2)

    def _joints(self, split: tuple[Tensor, ...], x: Tensor, until: int) -> list[Tensor]:
        """log(π_k · Π_{c<n} p_k(x_c | x_<c)) for n of 0 … until, each [..., K]."""
        joint, mean, log_scale, pair = split
        joints = [joint]
        for c in range(until):
            joint = joint + logistic_bins(
                self._mean(mean, pair, x, c), log_scale[..., c, :], x[..., c, None], self.levels
            )
            joints.append(joint)
        return joints

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        joints = self._joints(self._split(parameters), x, self.channels)
        totals = [torch.zeros_like(x[..., 0], dtype=torch.float32)]
        totals += [torch.logsumexp(joint, -1) for joint in joints[1:]]
        return torch.stack(totals, -1).diff(dim=-1)

    def components(
        self, parameters: Tensor, before: Tensor, channel: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        split = self._split(parameters)
        _, mean, log_scale, pair = split
        posterior = F.log_softmax(self._joints(split, before, channel)[-1], dim=-1)
        return posterior, self._mean(mean, pair, before, channel), log_scale[:, channel]


def build_likelihood(config: GridConfig, channels: int, coupled: bool) -> Likelihood:
    """The distribution that `config` names, over the `channels` of a grid position."""
    if config.likelihood == "softmax":
        return Softmax(channels, config.levels)
    if coupled and channels > 1:
        return CoupledLogisticMixture(channels, config.levels, config.mixtures)
    return LogisticMixture(channels, config.levels, config.mixtures)


def set_bias(layer: nn.Conv2d, likelihood: Likelihood) -> None:
    """Sets the bias of the layer that computes the parameters to `likelihood.initial_bias`."""
    start = likelihood.initial_bias()
    if layer.bias is not None:
        with torch.no_grad():
            layer.bias.copy_(start.repeat(layer.out_channels // len(start)))
