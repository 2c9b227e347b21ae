"""Likelihoods of pictures: exact, and the same from every side."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import square
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.models.conditioning import Condition
from pixelgen.pipelines import CodecPipeline, Weights
from pixelgen.pipelines.conversion import to_tensor

DRAW = np.random.default_rng(0)
PHOTOS = [
    Image.fromarray(DRAW.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((8, 8), (24, 40), (5, 5), (16, 16), (100, 60))
]


@pytest.fixture(scope="module")
def loaded(pixel_weights: Path) -> Weights:
    return pixelgen.load(pixel_weights, "cpu")


@pytest.fixture(scope="module")
def codes(code_weights: Path) -> Weights:
    return pixelgen.load(code_weights, "cpu")


@pytest.mark.parametrize("label", [None, 207])
def test_as_in_an_evaluation(loaded: Weights, label: int | None) -> None:
    squares = [square(photo, 8) for photo in PHOTOS]
    given = None if label is None else Condition(torch.full((5,), 1))
    expected = image_bits(loaded.checkpoint.model, to_tensor(squares), given, batch=5)
    for size in (1, 2, 16):
        result = loaded.score(PHOTOS, label=label, batch_size=size)
        found = [score.bits_per_dim for score in result.scores]
        assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert (result.unit, result.values, result.label) == ("bits/dim", 3 * 8 * 8, label)
    assert [s.image.tobytes() for s in result.scores] == [s.tobytes() for s in squares]


def test_codes_as_in_an_evaluation(codes: Weights, code_weights: Path) -> None:
    grids = CodecPipeline.from_pretrained(code_weights, "cpu").encode(PHOTOS)
    expected = image_bits(codes.checkpoint.model, grids, None, batch=5)
    result = codes.score(PHOTOS)
    found = [score.bits_per_dim for score in result.scores]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert (result.unit, result.values) == ("bits/code", 2 * 4 * 4)
    assert result.scores[0].surprise.shape == (4, 4)
    assert result.scores[0].image.size == (16, 16)


@pytest.mark.parametrize("name", ["loaded", "codes"])
def test_the_map_adds_up_to_the_total(name: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(name).score(PHOTOS, label=8)
    for score in result.scores:
        assert score.surprise.sum() == pytest.approx(score.bits)
        assert score.bits == pytest.approx(score.bits_per_dim * result.values)
        assert (score.surprise >= 0).all()


def test_the_map_shows_where(loaded: Weights) -> None:
    values = np.full((8, 8, 3), 128, dtype=np.uint8)
    grid = torch.from_numpy(values).permute(2, 0, 1)[None].long()
    with torch.no_grad():
        log_prob = loaded.checkpoint.model.log_prob(grid)[0]
    (score,) = loaded.score([Image.fromarray(values)]).scores
    assert score.surprise[5, 2] == pytest.approx(-float(log_prob[:, 5, 2].sum()) / math.log(2))


def test_as_the_sampler_says(loaded: Weights) -> None:
    drawn = loaded.sample([340], n=3, seed=1)
    scores = loaded.score(drawn.images, label="n02391049").scores  # zebra, 340
    assert [s.bits_per_dim for s in scores] == pytest.approx(drawn.bits_per_dim, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 16])
def test_ranking_is_bayes_rule(loaded: Weights, size: int) -> None:
    told: list[tuple[int, int]] = []
    result = loaded.score(
        PHOTOS[:2],
        classify=True,
        batch_size=size,
        progress=lambda done, total: told.append((done, total)),
    )
    for photo, score in zip(PHOTOS, result.scores, strict=False):
        one = {c: loaded.score([photo], label=c).scores[0].bits for c in (8, 207, 340)}
        assert [guess.index for guess in score.ranking] == sorted(one, key=one.__getitem__)
        assert sum(guess.probability for guess in score.ranking) == pytest.approx(1)
        for guess in score.ranking:
            assert guess.bits_per_dim == pytest.approx(one[guess.index] / 192, abs=1e-5)
            odds = sum(2 ** (one[guess.index] - bits) for bits in one.values())
            assert guess.probability == pytest.approx(1 / odds, rel=1e-2)
    assert told[-1] == (8, 8)
    assert loaded.score(PHOTOS[:1]).scores[0].ranking == []


def test_fit(loaded: Weights) -> None:
    crop, stretch = (
        loaded.score([PHOTOS[1]], fit=fit).scores[0].bits for fit in ("crop", "stretch")
    )
    assert crop != stretch


def test_no_pictures(loaded: Weights) -> None:
    assert loaded.score([]).scores == []


def test_what_cannot_be_done(loaded: Weights, tmp_path: Path) -> None:
    for asked, says in (
        ({"label": 3}, "pixels was not trained on class 3"),
        ({"label": "8-9"}, "not trained on class 9"),
        ({"label": "zzz"}, "no class 'zzz'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ):
        with pytest.raises(PixelgenError, match=says) as caught:
            loaded.score(PHOTOS, **asked)
        assert isinstance(caught.value, UsageError)
    folder = tmp_path / "strict"
    save_checkpoint(
        folder, loaded.checkpoint.model, labels=[8, 9, 207], training={"class_dropout": 0.0}
    )
    strict = Weights(load_checkpoint(folder))
    with pytest.raises(PixelgenError, match="8-9 names 2 classes: give one"):
        strict.score(PHOTOS, label="8-9")
    with pytest.raises(PixelgenError, match="strict needs a class"):
        strict.score(PHOTOS)
    assert len(strict.score(PHOTOS, label=8).scores) == 5


@pytest.mark.parametrize("name", ["imagenet32", "cifar10"])
def test_bundled_weights(name: str) -> None:
    photo = Image.open(Path(__file__).parents[1] / "assets" / "male-12.jpg")
    (score,) = pixelgen.load(name, "cpu").score([photo])
    assert 2.5 < score.bits_per_dim < 4.5
    # A plain background is no surprise, hair and face are.
    assert score.surprise[:8, :8].mean() < score.surprise[8:24, 10:22].mean() / 2
