"""A PixelVAE in every job: what it draws, the bound of a score, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.errors import UsageError
from pixelgen.imaging import square
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.models.pixelvae import DiagonalGaussian, importance_bound
from pixelgen.pipelines import Weights, class_pipeline
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.pipelines.results import InterpolationResult
from pixelgen.sampling.value_sampler import seeded

DRAW = np.random.default_rng(0)
PHOTOS = [
    Image.fromarray(DRAW.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((8, 8), (24, 40), (5, 5))
]


@pytest.fixture(scope="module")
def vae(vae_weights: Path) -> Weights:
    return pixelgen.load(vae_weights, "cpu")


def test_what_it_can(vae: Weights) -> None:
    assert vae.can == ("sample", "interpolate", "score", "reconstruct")
    assert "pixelvae" in repr(vae)


def test_samples_come_from_the_prior(vae: Weights) -> None:
    whole = vae.sample(n=4, seed=3)
    assert len({image.tobytes() for image in whole.images}) == 4
    for pick in (1, 4):
        (one,) = vae.sample(n=4, seed=3, pick=pick)
        assert one.image.tobytes() == whole[pick - 1].image.tobytes()
    again = vae.sample(n=2, seed=3, batch_size=1)
    assert [i.tobytes() for i in again.images] == [i.tobytes() for i in whole.images[:2]]
    assert whole.parameters["vector_temperature"] == 1.0
    network = vae.checkpoint.pixelvae
    for temperature in (1.0, 0.25):
        drawn = vae.sample(n=3, seed=3, vector_temperature=temperature)
        generator = seeded(3, class_pipeline._VECTOR_SALT)
        h = torch.stack([torch.randn(3, generator=generator) for _ in range(3)])
        with torch.no_grad():
            log_prob = network.log_prob(to_tensor(drawn.images).long(), h * temperature**0.5)
        assert drawn.bits_per_dim == pytest.approx(bits_per_dim(log_prob).tolist(), abs=1e-4)


def test_there_and_back(vae: Weights) -> None:
    """Both ends of a path are drawn from what a reconstruction of the same photo is drawn from."""
    network = vae.checkpoint.pixelvae
    path = vae.interpolate(PHOTOS[:2], steps=3, seed=1)
    rebuilt = vae.reconstruct(PHOTOS[:2], n=1, seed=1)
    with torch.no_grad():
        h = network.encode(to_signed(to_tensor([square(p, 8) for p in PHOTOS[:2]]), 256))
    assert h.shape == (2, 3)
    assert isinstance(path, InterpolationResult)
    for mean, one in ((path.means[0], rebuilt[0]), (path.means[-1], rebuilt[1])):
        assert mean.tobytes() == one.image.tobytes()
    assert path[0].image.tobytes() == rebuilt[0].samples[0].tobytes()


def test_scores_are_bounds_of_each_picture_alone(vae: Weights) -> None:
    network = vae.checkpoint.pixelvae
    result = vae.score(PHOTOS, importance_samples=5)
    assert (result.unit, result.importance_samples) == ("bits/dim (bound)", 5)
    for place, photo in enumerate(PHOTOS):
        x = to_tensor([square(photo, 8)]).long().expand(5, -1, -1, -1)
        generator = seeded(0)
        noise = torch.stack([torch.randn(3, generator=generator) for _ in range(5)])
        with torch.no_grad():
            q = network.posterior(to_signed(x[:1], 256))
            draws = network.weigh(x, DiagonalGaussian(*(t.expand(5, 3) for t in q)), noise)
        bits = -float(importance_bound(draws.log_weight)) / np.log(2)
        for size in (1, 3, 32):
            (alone,) = vae.score(photo, importance_samples=5, batch_size=size)
            assert alone.bits == pytest.approx(bits, rel=1e-5)
        assert result[place].bits == pytest.approx(bits, rel=1e-5)
        assert result[place].is_bound
        assert result[place].surprise.shape == (8, 8)
    calls: list[tuple[int, int]] = []
    vae.score(PHOTOS[:2], progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (16, 16)


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (lambda w: w.complete(PHOTOS[0], keep="top:50%"), "it completes no pictures"),
        (lambda w: w.portrait(PHOTOS[0]), "has no face embedder"),
        (lambda w: w.encode(PHOTOS[0]), "has no tokenizer"),
        (lambda w: w.sample(classes=[207]), "vae takes no class"),
        (lambda w: w.sample(n=1, candidates=2), "candidates has no effect"),
        (lambda w: w.score(PHOTOS[0], classify=True), "knows no classes to rank"),
        (lambda w: w.score(PHOTOS[0], importance_samples=0), "importance_samples must be at least"),
        (lambda w: w.score(PHOTOS[0], importance_samples=10**9), "must be at most"),
        (lambda w: w.interpolate(PHOTOS[:1]), "at least 2 photos"),
        (lambda w: w.reconstruct(PHOTOS[0], bottlenecks=[9]), "no bottleneck of 9 numbers"),
    ],
)
def test_what_it_cannot(vae: Weights, attempt: Callable[[Weights], object], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        attempt(vae)
    assert "\n" not in caught.value.message


def test_other_weights_have_no_bound(pixel_weights: Path) -> None:
    with pytest.raises(UsageError, match="importance_samples has no effect"):
        pixelgen.load(pixel_weights, "cpu").score(PHOTOS[0], importance_samples=4)
