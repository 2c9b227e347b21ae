"""Likelihoods of pictures: exact, and the same from every side."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import square
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.models.conditioning import Condition
from pixelgen.pipelines import ClassPipeline, CodecPipeline, ScorePipeline
from pixelgen.pipelines.conversion import to_tensor

DRAW = np.random.default_rng(0)
PHOTOS = [
    Image.fromarray(DRAW.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((8, 8), (24, 40), (5, 5), (16, 16), (100, 60))
]


@pytest.fixture(scope="module")
def pipe(pixel_weights: Path) -> ScorePipeline:
    return ScorePipeline.from_pretrained(pixel_weights, device="cpu")


@pytest.fixture(scope="module")
def codes(code_weights: Path) -> ScorePipeline:
    return ScorePipeline.from_pretrained(code_weights, device="cpu")


@pytest.mark.parametrize("label", [None, 207])
def test_as_in_an_evaluation(pipe: ScorePipeline, label: int | None) -> None:
    squares = [square(photo, 8) for photo in PHOTOS]
    given = None if label is None else Condition(torch.full((5,), 1))
    expected = image_bits(pipe.model, to_tensor(squares), given, batch=5)
    for size in (1, 2, 16):
        result = pipe(PHOTOS, label=label, batch_size=size)
        found = [score.bits_per_dim for score in result.scores]
        assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert (result.unit, result.values, result.label) == ("bits/dim", 3 * 8 * 8, label)
    assert [s.image.tobytes() for s in result.scores] == [s.tobytes() for s in squares]


def test_codes_as_in_an_evaluation(codes: ScorePipeline, code_weights: Path) -> None:
    grids = CodecPipeline.from_pretrained(code_weights, "cpu").encode(PHOTOS)
    expected = image_bits(codes.model, grids, None, batch=5)
    result = codes(PHOTOS)
    found = [score.bits_per_dim for score in result.scores]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert (result.unit, result.values) == ("bits/code", 2 * 4 * 4)
    assert result.scores[0].surprise.shape == (4, 4)
    assert result.scores[0].image.size == (16, 16)


@pytest.mark.parametrize("name", ["pipe", "codes"])
def test_the_map_adds_up_to_the_total(name: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(name)(PHOTOS, label=8)
    for score in result.scores:
        assert score.surprise.sum() == pytest.approx(score.bits)
        assert score.bits == pytest.approx(score.bits_per_dim * result.values)
        assert (score.surprise >= 0).all()


def test_the_map_shows_where(pipe: ScorePipeline) -> None:
    values = np.full((8, 8, 3), 128, dtype=np.uint8)
    grid = torch.from_numpy(values).permute(2, 0, 1)[None].long()
    with torch.no_grad():
        log_prob = pipe.model.log_prob(grid)[0]
    (score,) = pipe([Image.fromarray(values)]).scores
    assert score.surprise[5, 2] == pytest.approx(-float(log_prob[:, 5, 2].sum()) / math.log(2))


def test_as_the_sampler_says(pixel_weights: Path, pipe: ScorePipeline) -> None:
    drawn = ClassPipeline.from_pretrained(pixel_weights, "cpu")([340], n=3, seed=1)
    scores = pipe(drawn.images, label="n02391049").scores  # zebra, 340
    assert [s.bits_per_dim for s in scores] == pytest.approx(drawn.bits_per_dim, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 16])
def test_ranking_is_bayes_rule(pipe: ScorePipeline, size: int) -> None:
    told: list[tuple[int, int]] = []
    result = pipe(
        PHOTOS[:2],
        classify=True,
        batch_size=size,
        progress=lambda done, total: told.append((done, total)),
    )
    for photo, score in zip(PHOTOS, result.scores, strict=False):
        one = {c: pipe([photo], label=c).scores[0].bits for c in (8, 207, 340)}
        assert [guess.index for guess in score.ranking] == sorted(one, key=one.__getitem__)
        assert sum(guess.probability for guess in score.ranking) == pytest.approx(1)
        for guess in score.ranking:
            assert guess.bits_per_dim == pytest.approx(one[guess.index] / 192, abs=1e-5)
            odds = sum(2 ** (one[guess.index] - bits) for bits in one.values())
            assert guess.probability == pytest.approx(1 / odds, rel=1e-2)
    assert told[-1] == (8, 8)
    assert pipe(PHOTOS[:1]).scores[0].ranking == []


def test_fit(pipe: ScorePipeline) -> None:
    crop, stretch = (pipe([PHOTOS[1]], fit=fit).scores[0].bits for fit in ("crop", "stretch"))
    assert crop != stretch


def test_no_pictures(pipe: ScorePipeline) -> None:
    assert pipe([]).scores == []


def test_what_cannot_be_done(pipe: ScorePipeline, tmp_path: Path) -> None:
    for asked, says in (
        ({"label": 3}, "pixels was not trained on class 3"),
        ({"label": "8-9"}, "not trained on class 9"),
        ({"label": "zzz"}, "no class 'zzz'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ):
        with pytest.raises(PixelgenError, match=says) as caught:
            pipe(PHOTOS, **asked)  # type: ignore[arg-type]
        assert isinstance(caught.value, UsageError)
    folder = tmp_path / "strict"
    save_checkpoint(folder, pipe.model, labels=[8, 9, 207], training={"class_dropout": 0.0})
    strict = ScorePipeline(load_checkpoint(folder))
    with pytest.raises(PixelgenError, match="8-9 is 2 classes, one is taken"):
        strict(PHOTOS, label="8-9")
    with pytest.raises(PixelgenError, match="strict needs a class"):
        strict(PHOTOS)
    assert len(strict(PHOTOS, label=8).scores) == 5


def test_bundled_weights() -> None:
    photo = Image.open(Path(__file__).parents[1] / "assets" / "male-12.jpg")
    (score,) = ScorePipeline.from_pretrained(device="cpu")([photo]).scores
    assert 2.5 < score.bits_per_dim < 4.5
    # A plain background is no surprise, hair and face are.
    assert score.surprise[:8, :8].mean() < score.surprise[8:24, 10:22].mean() / 2
