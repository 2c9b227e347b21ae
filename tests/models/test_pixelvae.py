"""A Gaussian latent: its divergence, and bounds of a likelihood that quadrature gives exactly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from pixelgen.models import PixelVAEConfig, build_model, config_from_dict
from pixelgen.models.likelihood import to_signed
from pixelgen.models.pixelvae import DiagonalGaussian, PixelVAE, importance_bound

from .cases import randomise

SMALL: dict[str, Any] = {
    "model": "pixelvae",
    "size": 2,
    "patch": 1,
    "wide_features": 4,
    "wide_blocks": 0,
    "deep_features": 4,
    "deep_blocks": 0,
    "place_features": 4,
    "output_features": 4,
    "bottleneck": 1,
    "pixels": {
        "features": 6,
        "layers": 1,
        "kernel": 3,
        "first_kernel": 3,
        "output_features": 12,
        "likelihood": "logistic",
        "mixtures": 2,
        "map_channels": 2,
    },
}
DRAWS = 4096


def pixelvae(**more: Any) -> PixelVAE:
    """With random weights everywhere."""
    config = config_from_dict({**SMALL, **more})
    assert isinstance(config, PixelVAEConfig)
    model = build_model(config)
    randomise(model, 0)
    return model.eval()


def pictures(count: int) -> Tensor:
    return torch.randint(256, (count, 3, 2, 2), generator=torch.Generator().manual_seed(1))


def gaussians() -> DiagonalGaussian:
    return DiagonalGaussian(
        torch.tensor([[0.0, 1.5], [-2.0, 0.3]], dtype=torch.float64),
        torch.tensor([[0.0, -3.0], [1.0, 0.7]], dtype=torch.float64),
    )


def test_the_divergence_is_that_of_a_numerical_integral() -> None:
    q = gaussians()
    h = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    own = Normal(q.mean[..., None], (q.log_variance[..., None] / 2).exp())
    log_q, log_p = own.log_prob(h), Normal(0.0, 1.0).log_prob(h)
    integral = torch.trapezoid(log_q.exp() * (log_q - log_p), h)
    torch.testing.assert_close(q.kl(), integral, atol=1e-9, rtol=1e-9)
    assert q.kl()[0, 0] == 0


def test_the_ratio_of_prior_and_posterior() -> None:
    q, noise = gaussians(), torch.tensor([[0.4, -1.2], [2.0, 0.0]], dtype=torch.float64)
    h = q.at(noise)
    own = Normal(q.mean, (q.log_variance / 2).exp())
    expected = (Normal(0.0, 1.0).log_prob(h) - own.log_prob(h)).sum(1)
    torch.testing.assert_close(q.log_prior_ratio(noise), expected)


def test_the_importance_bound_by_hand() -> None:
    weights = torch.tensor([[0.2, 0.4], [1e-30, 3e-30]], dtype=torch.float64)
    found = importance_bound(weights.log() - 900)
    torch.testing.assert_close(found, torch.tensor([0.3, 2e-30]).double().log() - 900)


@torch.no_grad()
def test_bounds_lie_below_the_likelihood_and_tighten() -> None:
    """p(x) and the ELBO of four pictures by quadrature over the only latent, against the bounds of
    1, 4, … draws. These share their draws, so that Jensen's inequality holds for their means."""
    model, x = pixelvae(), pictures(4)
    line = torch.linspace(-9, 9, 1001)[:, None]
    step = math.log(18 / 1000)
    prior = Normal(0.0, 1.0).log_prob(line.double())[:, 0]
    q = model.posterior(to_signed(x, 256))
    generator = torch.Generator().manual_seed(2)
    for i, picture in enumerate(x):
        along = model.log_prob(picture.expand(1001, -1, -1, -1), line).double().flatten(1).sum(1)
        exact = float(torch.logsumexp(along + prior + step, 0))
        own = Normal(q.mean[i].double(), (q.log_variance[i].double() / 2).exp())
        given = float((own.log_prob(line.double())[:, 0].exp() * along).sum() * math.exp(step))
        elbo = given - float(q.kl()[i].sum())
        assert elbo < exact
        many = DiagonalGaussian(*(t[i : i + 1].expand(DRAWS, -1) for t in q))
        noise = torch.randn(DRAWS, 1, generator=generator)
        draws = model.weigh(picture.expand(DRAWS, -1, -1, -1), many, noise)
        groups = [
            importance_bound(draws.log_weight.double().view(-1, 4**n))  # [DRAWS / 4^n]
            for n in range(7)
        ]
        means = [float(group.mean()) for group in groups]
        assert means == sorted(means)
        assert means[0] < means[-1]
        errors = [float(group.std()) / len(group) ** 0.5 for group in groups[:4]]
        assert means[0] == pytest.approx(elbo, abs=5 * errors[0] + 1e-3)
        for mean, error in zip(means, errors, strict=False):
            assert mean <= exact + 5 * error
        weight = (draws.log_weight.double() - means[-1]).exp()  # of mean 1
        assert means[-1] == pytest.approx(exact, abs=5 * float(weight.std()) / DRAWS**0.5 + 1e-3)


def test_the_encoder_gives_the_mean_and_learns_both() -> None:
    model, x = pixelvae(bottleneck=3), pictures(2)
    images = to_signed(x, 256)
    q = model.posterior(images)
    assert q.mean.shape == q.log_variance.shape == (2, 3)
    assert torch.equal(model.encode(images), q.mean)
    assert torch.equal(q.at(torch.zeros(2, 3)), q.mean)
    model.weigh(x, q, torch.ones(2, 3)).log_weight.mean().backward()
    gradient = model.encoder.out.weight.grad
    assert gradient is not None
    assert (gradient.flatten(1) != 0).any(1).all()  # rows of means and of log-variances


def test_round_trip_of_the_configuration() -> None:
    config = config_from_dict(SMALL)
    assert config_from_dict(config.to_dict()) == config
    assert config.pixels.vector == config.bottleneck == 1
    assert config_from_dict({"model": "pixelvae"}).bottlenecks == (64,)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"inner": 1, "bottleneck": 3}, 'inner requires model = "autoencoder"'),
        ({"principal": True}, 'principal requires model = "autoencoder"'),
        (
            {"semantic": 1, "semantic_patch": 1, "bottleneck": 3},
            'semantic requires model = "autoencoder"',
        ),
        ({"bottleneck": 0, "pixels": {}}, "bottleneck must be at least 1"),
        ({"latents": 3}, "unknown key 'latents' for pixelvae"),
    ],
)
def test_bad_values(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        config_from_dict({**SMALL, **values})
