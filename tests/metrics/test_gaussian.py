"""The Gaussian baseline: entropies that are known, and a bound that is one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pixelgen.metrics.gaussian import Gaussian, Moments, fit_gaussian


def drawn(covariance: Tensor, count: int, seed: int = 0) -> Tensor:
    """Rounded draws [count, 1, 1, D] around 127."""
    generator = torch.Generator().manual_seed(seed)
    size = len(covariance)
    noise = torch.randn(count, size, generator=generator, dtype=torch.float64)
    x = 127 + noise @ torch.linalg.cholesky(covariance).t()
    return x.round().clamp(0, 255).to(torch.uint8).view(count, 1, 1, size)


def test_bits_are_the_entropy_of_gaussian_data() -> None:
    root = torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    covariance = 60 * root @ root.t() + 40 * torch.eye(6, dtype=torch.float64)
    entropy = 0.5 * math.log2(2 * math.pi * math.e) + float(covariance.logdet()) / math.log(2) / 12
    gaussian = fit_gaussian(drawn(covariance, 20000))
    assert gaussian.shrinkage <= 1e-3
    assert float(gaussian.bits_per_dim(drawn(covariance, 4000, 1)).mean()) == pytest.approx(
        entropy, abs=0.02
    )


def test_the_bound_is_above_the_integrated_density() -> None:
    """In one dimension, where the integral is a difference of error functions."""
    images = drawn(torch.tensor([[4.0]], dtype=torch.float64), 2000)
    gaussian = fit_gaussian(images)
    every = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
    normal = torch.distributions.Normal(gaussian.mean, gaussian.cholesky[0])
    values = every.flatten().double()
    exact = normal.cdf(values + 0.5) - normal.cdf(values - 0.5)
    bound = 2 ** -gaussian.bits_per_dim(every)
    near = exact > 1e-3
    assert float(exact.sum()) == pytest.approx(1)
    assert (bound <= exact + 1e-12).all()
    assert torch.allclose(bound[near], exact[near], rtol=0.1)
    assert 0.97 < float(bound.sum()) <= 1


def test_moments_of_parts_are_those_of_all() -> None:
    images = torch.randint(0, 256, (50, 5), dtype=torch.uint8)
    both = Moments.of(images[:20]) + Moments.of(images[20:])
    assert torch.allclose(both.mean(), images.double().mean(0))
    assert torch.allclose(both.covariance(), images.double().t().cov(correction=0))


def test_fewer_pictures_than_values() -> None:
    """The covariance is shrunk, and what was not seen is still likelier than under the uniform."""
    draw = torch.Generator().manual_seed(0)
    smooth = torch.randint(0, 200, (60, 1), generator=draw) + torch.randint(
        0, 20, (60, 192), generator=draw
    )
    images = smooth.to(torch.uint8)
    gaussian = fit_gaussian(images[:30])
    assert gaussian.shrinkage > 0
    unseen = float(gaussian.bits_per_dim(images[30:]).mean())
    plain = float(Gaussian.of(Moments.of(images[:30]), 0.0).bits_per_dim(images[30:]).mean())
    assert unseen < min(plain, 8)


def test_data_sorted_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of all classes choose the shrinkage, not those of the first alone."""
    shown: list[Tensor] = []

    def bits(_: Gaussian, images: Tensor) -> Tensor:
        shown.append(images[:, 0])
        return torch.zeros(len(images))

    monkeypatch.setattr(Gaussian, "bits_per_dim", bits)
    monkeypatch.setattr("pixelgen.metrics.gaussian._MOST_HELD", 5)
    classes = torch.arange(4, dtype=torch.uint8).repeat_interleave(20)
    fit_gaussian(torch.stack([classes, torch.arange(80, dtype=torch.uint8)], 1))
    assert shown[0].tolist() == [0, 1, 2, 2, 3]


def test_one_picture_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="two pictures"):
        fit_gaussian(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
