"""The kernel distance is that of the library, and its error that of its mean."""

from __future__ import annotations

import pytest
import torch

from pixelgen.metrics.kid import kernel_distance, squared_mmd


def features(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, 16, generator=torch.Generator().manual_seed(seed)) + shift


def test_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    x, y = features(20, 0).double(), features(20, 1, 0.5).double()
    torch.testing.assert_close(squared_mmd(x, y), poly_mmd(x, y))


def test_near_zero_for_halves_of_a_set_and_growing_with_a_shift() -> None:
    real = features(600, 0)
    same = kernel_distance(real[:300], real[300:])
    assert same is not None
    assert same.standard_error is not None
    assert abs(same.mean) < 4 * same.standard_error
    shifted = [kernel_distance(real, features(200, 1, shift)) for shift in (0.25, 0.5, 1.0)]
    means = [kid.mean for kid in shifted if kid is not None]
    assert same.mean < means[0] < means[1] < means[2]


def test_what_is_made_of_a_picture_never_meets_it() -> None:
    for n in (1, 2, 3):
        assert kernel_distance(features(n, 0), features(n, 1)) is None
    assert kernel_distance(features(4, 0), features(4, 1)) is not None
    assert kernel_distance(features(2, 0), features(3, 1)) is not None


def test_the_standard_error_is_the_spread_of_the_mean() -> None:
    found = [kernel_distance(features(200, 2 * i), features(100, 2 * i + 1)) for i in range(60)]
    means = torch.tensor([kid.mean for kid in found if kid is not None])
    errors = torch.tensor([kid.standard_error for kid in found if kid is not None])
    assert float(errors.square().mean().sqrt()) == pytest.approx(float(means.std()), rel=0.35)
    assert abs(float(means.mean())) < 4 * float(means.std()) / 60**0.5


def test_a_picture_does_not_meet_what_was_made_of_it() -> None:
    """Copies would otherwise bring their set nearer than another set of the same distribution."""
    real = features(100, 0)
    copies = kernel_distance(real, real)
    assert copies is not None
    assert copies.standard_error is not None
    assert abs(copies.mean) < 4 * copies.standard_error
    part = real[:10].double()
    assert squared_mmd(part, part) < -4 * copies.standard_error


def test_few_pictures() -> None:
    assert kernel_distance(features(9, 0), features(1, 1)) is None
    single = kernel_distance(features(9, 0), features(3, 1))
    assert single is not None
    assert single.standard_error is None
