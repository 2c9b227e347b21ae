"""The distributions of single values against formulas written out independently in doubles."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixelgen.models import GatedPixelCNNConfig
from pixelgen.models.likelihood import Likelihood, bits_per_dim, build_likelihood, logistic_bins

KINDS = ["softmax", "logistic", "coupled"]
MIXTURES = 3


def likelihood_of(kind: str, channels: int, levels: int) -> Likelihood:
    coupled = kind == "coupled"
    config = GatedPixelCNNConfig(
        channels=channels,
        height=1,
        width=1,
        levels=levels,
        mixtures=MIXTURES,
        channel_order="likelihood" if coupled else "head",
        likelihood="softmax" if kind == "softmax" else "logistic",
    )
    return build_likelihood(config, channels, coupled)


def parameters_for(likelihood: Likelihood, batch: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    """[batch, C or 1, P] normal numbers of that scale."""
    generator = torch.Generator().manual_seed(seed)
    sets = 1 if likelihood.coupled else likelihood.channels
    shape = (batch, sets, likelihood.parameters_per_value)
    return torch.randn(shape, generator=generator) * scale


def values_for(likelihood: Likelihood, batch: int, seed: int = 0) -> Tensor:
    """[batch, C] integers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(likelihood.levels, (batch, likelihood.channels), generator=generator)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", [2, 3, 7, 256])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_distribution_adds_up_and_agrees_with_log_prob(
    kind: str, levels: int, channels: int, scale: float
) -> None:
    likelihood = likelihood_of(kind, channels, levels)
    parameters = parameters_for(likelihood, 16, scale)
    x = values_for(likelihood, 16)
    log_prob = likelihood.log_prob(parameters, x)
    assert log_prob.shape == x.shape
    for channel in range(channels):
        whole = likelihood.log_distribution(parameters, x, channel)
        assert whole.shape == (16, levels)
        torch.testing.assert_close(whole.exp().sum(1), torch.ones(16), atol=1e-4, rtol=0)
        # Only the channels before may be known, and that is enough.
        alone = likelihood.log_distribution(parameters, x[:, :channel], channel)
        torch.testing.assert_close(alone, whole)
        at = whole.gather(1, x[:, channel, None])[:, 0]
        torch.testing.assert_close(at, log_prob[:, channel], atol=2e-4, rtol=1e-4)
        for value in sorted({0, 1, levels // 2, levels - 2, levels - 1}):
            other = x.clone()
            other[:, channel] = value
            torch.testing.assert_close(
                likelihood.log_prob(parameters, other)[:, channel],
                whole[:, value],
                atol=2e-4,
                rtol=1e-4,
            )


@pytest.mark.parametrize("kind", KINDS)
def test_leading_dimensions_are_free(kind: str) -> None:
    """[B, H, W, C, P] as the networks give it: the same as the flat batch."""
    likelihood = likelihood_of(kind, 3, 9)
    parameters, x = parameters_for(likelihood, 24), values_for(likelihood, 24)
    flat = likelihood.log_prob(parameters, x)
    placed = likelihood.log_prob(
        parameters.view(2, 3, 4, *parameters.shape[1:]), x.view(2, 3, 4, 3)
    )
    torch.testing.assert_close(placed.view(24, 3), flat)


def logistic_mass(mean: float, log_scale: float, value: int, levels: int) -> float:
    """PixelCNN++ equation 2, one component, on the scale where values lie in -1 … 1."""

    def cdf(z: float) -> float:
        return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))

    x = 2 * value / (levels - 1) - 1
    half = 1 / (levels - 1)
    scale = math.exp(log_scale)
    above = 1.0 if value == levels - 1 else cdf((x + half - mean) / scale)
    below = 0.0 if value == 0 else cdf((x - half - mean) / scale)
    return above - below


def weights(logits: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in logits)
    return [math.exp(v) / total for v in logits]


def test_softmax_is_a_softmax() -> None:
    likelihood = likelihood_of("softmax", 2, 5)
    parameters, x = parameters_for(likelihood, 4), values_for(likelihood, 4)
    found = likelihood.log_prob(parameters, x)
    for n, c in itertools.product(range(4), range(2)):
        expected = math.log(weights(parameters[n, c].tolist())[int(x[n, c])])
        assert found[n, c].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_mixture_of_logistics_is_equation_2(levels: int) -> None:
    likelihood = likelihood_of("logistic", 2, levels)
    parameters = parameters_for(likelihood, 6)
    for channel in range(2):
        found = likelihood.log_distribution(parameters, torch.zeros(6, 0).long(), channel)
        for n, value in itertools.product(range(6), {0, 1, levels // 2, levels - 1}):
            p = parameters[n, channel].tolist()
            k = MIXTURES
            expected = sum(
                w * logistic_mass(m, s, value, levels)
                for w, m, s in zip(weights(p[:k]), p[k : 2 * k], p[2 * k :], strict=True)
            )
            assert found[n, value].exp().item() == pytest.approx(expected, rel=2e-3, abs=1e-7)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("levels", [3, 256])
def test_coupled_mixture_is_equations_2_and_3(channels: int, levels: int) -> None:
    """Σ_k π_k Π_c P(x_c | mean_ck + Σ_{d<c} coefficient_cdk · x_d, scale_ck): one component for
    all channels of a position, means shifted by what lies before."""
    likelihood = likelihood_of("coupled", channels, levels)
    parameters, x = parameters_for(likelihood, 8), values_for(likelihood, 8)
    found = likelihood.log_prob(parameters, x)
    k = MIXTURES
    for n in range(8):
        p = iter(parameters[n, 0].tolist())
        pi = weights([next(p) for _ in range(k)])
        mean = [[next(p) for _ in range(k)] for _ in range(channels)]
        log_scale = [[next(p) for _ in range(k)] for _ in range(channels)]
        pair = {
            (c, d): [math.tanh(next(p)) for _ in range(k)]
            for c in range(channels)
            for d in range(c)
        }
        assert next(p, None) is None
        values = [int(v) for v in x[n]]
        unit = [2 * v / (levels - 1) - 1 for v in values]
        joint = [0.0] * (channels + 1)
        for i in range(k):
            product = pi[i]
            joint[0] += product
            for c in range(channels):
                centre = mean[c][i] + sum(pair[c, d][i] * unit[d] for d in range(c))
                product *= logistic_mass(centre, log_scale[c][i], values[c], levels)
                joint[c + 1] += product
        for c in range(channels):
            expected = math.log(joint[c + 1]) - math.log(joint[c])
            assert found[n, c].item() == pytest.approx(expected, abs=2e-3)


def test_coupled_mixture_computes_each_bin_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bins: list[Tensor] = []

    def counted(*arguments: Any) -> Tensor:
        bins.append(logistic_bins(*arguments))
        return bins[-1]

    monkeypatch.setattr("pixelgen.models.likelihood.logistic_bins", counted)
    likelihood = likelihood_of("coupled", 3, 256)
    likelihood.log_prob(parameters_for(likelihood, 2), values_for(likelihood, 2))
    assert len(bins) == 3


def test_coupled_joint_of_all_values_adds_up_to_one() -> None:
    likelihood = likelihood_of("coupled", 3, 4)
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    for seed in range(4):
        parameters = parameters_for(likelihood, 1, 2.0, seed).expand(len(every), -1, -1)
        total = likelihood.log_prob(parameters, every).sum(1).exp().sum()
        assert total.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("levels", [3, 256])
def test_edge_bins_reach_to_infinity(levels: int) -> None:
    """Means far outside put all the mass in the first or last bin, none in between is lost."""
    likelihood = likelihood_of("logistic", 1, levels)
    none = torch.zeros(1, 0, dtype=torch.long)
    for mean, value in ((-30.0, 0), (30.0, levels - 1)):
        parameters = torch.zeros(1, 1, 3 * MIXTURES)
        parameters[..., MIXTURES : 2 * MIXTURES] = mean
        found = likelihood.log_distribution(parameters, none, 0)
        assert found[0, value].item() == pytest.approx(0, abs=1e-5)
        assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)
    # A symmetric mixture around the middle is symmetric up to the edges.
    parameters = torch.zeros(1, 1, 3 * MIXTURES)
    found = likelihood.log_distribution(parameters, none, 0)
    torch.testing.assert_close(found, found.flip(1), atol=1e-4, rtol=1e-4)
    assert found[0, 0] > found[0, 1]


def test_narrow_logistics_keep_their_mass() -> None:
    """Scales far below a bin: everything in one bin, its neighbours small but finite."""
    likelihood = likelihood_of("logistic", 1, 256)
    parameters = torch.zeros(1, 1, 3 * MIXTURES)
    parameters[..., MIXTURES : 2 * MIXTURES] = 2 * 100 / 255 - 1
    parameters[..., 2 * MIXTURES :] = -7.0
    found = likelihood.log_distribution(parameters, torch.zeros(1, 0, dtype=torch.long), 0)
    assert found.argmax().item() == 100
    assert found.isfinite().all()
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("scale", [10.0, 50.0, 1e3, 1e5])
def test_extreme_parameters_stay_finite(kind: str, levels: int, scale: float) -> None:
    """Values and gradients, at every value; nothing above a probability of one."""
    likelihood = likelihood_of(kind, 3, levels)
    for seed in range(3):
        parameters = parameters_for(likelihood, 64, scale, seed).requires_grad_()
        x = values_for(likelihood, 64, seed)
        x[:8], x[8:16] = 0, levels - 1
        log_prob = likelihood.log_prob(parameters, x)
        (gradient,) = torch.autograd.grad(log_prob.sum(), parameters)
        assert log_prob.isfinite().all()
        assert gradient.isfinite().all()
        assert (log_prob <= 1e-3 + 1e-6 * log_prob.abs().max()).all()
        for channel in range(3):
            whole = likelihood.log_distribution(parameters, x, channel)
            assert whole.isfinite().all()
            total = whole.exp().sum(1)
            torch.testing.assert_close(total, torch.ones_like(total), atol=1e-3, rtol=0)


@pytest.mark.parametrize("log_scale", [-1e4, -50.0, 30.0, 80.0, 90.0, 1e4])
@pytest.mark.parametrize("kind", ["logistic", "coupled"])
def test_extreme_scales_alone_stay_finite(kind: str, log_scale: float) -> None:
    """A scale that runs away must not poison the weights: all else is ordinary here."""
    likelihood = likelihood_of(kind, 2, 256)
    parameters = parameters_for(likelihood, 32)
    if kind == "logistic":
        parameters[..., 2 * MIXTURES :] = log_scale
    else:
        parameters[..., 3 * MIXTURES : 5 * MIXTURES] = log_scale
    parameters.requires_grad_()
    x = values_for(likelihood, 32)
    x[:4], x[4:8] = 0, 255
    log_prob = likelihood.log_prob(parameters, x)
    (gradient,) = torch.autograd.grad(log_prob.sum(), parameters)
    assert log_prob.isfinite().all()
    assert gradient.isfinite().all()


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    levels=st.integers(2, 40),
    channels=st.integers(1, 4),
    scale=st.floats(0.01, 5),
    seed=st.integers(0, 1000),
)
def test_every_distribution_adds_up(
    kind: str, levels: int, channels: int, scale: float, seed: int
) -> None:
    likelihood = likelihood_of(kind, channels, levels)
    parameters = parameters_for(likelihood, 3, scale, seed)
    x = values_for(likelihood, 3, seed)
    for channel in range(channels):
        whole = likelihood.log_distribution(parameters, x, channel).exp()
        torch.testing.assert_close(whole.sum(1), torch.ones(3), atol=2e-4, rtol=0)


def test_gradient_agrees_with_finite_differences() -> None:
    """The stable form of the bins has the gradient of the plain one."""
    for kind in KINDS:
        likelihood = likelihood_of(kind, 2, 7)
        parameters = parameters_for(likelihood, 5).requires_grad_()
        x = values_for(likelihood, 5)
        (gradient,) = torch.autograd.grad(likelihood.log_prob(parameters, x).sum(), parameters)
        step = 1e-2
        for index in range(likelihood.parameters_per_value):
            shift = torch.zeros_like(parameters)
            shift[:, 0, index] = step
            with torch.no_grad():
                up = likelihood.log_prob(parameters + shift, x).sum(1)
                down = likelihood.log_prob(parameters - shift, x).sum(1)
            torch.testing.assert_close(
                (up - down) / (2 * step), gradient[:, 0, index], atol=2e-3, rtol=2e-2
            )


@pytest.mark.parametrize("kind", ["logistic", "coupled"])
@pytest.mark.parametrize(("mixtures", "start"), [(1, [0.0]), (3, [-0.8, 0.0, 0.8])])
def test_components_start_around_the_middle(kind: str, mixtures: int, start: list[float]) -> None:
    config = GatedPixelCNNConfig(
        channels=2, height=1, width=1, mixtures=mixtures, likelihood="logistic"
    )
    likelihood = build_likelihood(config, 2, coupled=kind == "coupled")
    bias = likelihood.initial_bias()
    assert len(bias) == likelihood.parameters_per_value
    channels = 2 if likelihood.coupled else 1
    means = bias[mixtures : mixtures * (1 + channels)]
    torch.testing.assert_close(means, torch.tensor(start * channels))


def test_bits_per_dim() -> None:
    """256 equally probable levels are eight bits; a picture has one figure."""
    log_prob = torch.full((2, 3, 4, 5), -math.log(256))
    log_prob[1] = -math.log(2)
    torch.testing.assert_close(bits_per_dim(log_prob), torch.tensor([8.0, 1.0]))
