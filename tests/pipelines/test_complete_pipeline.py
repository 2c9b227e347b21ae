"""Completions: what stays, what is drawn, and what it depends on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import save_checkpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import cut_hole, square
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.likelihood import bits_per_dim
from pixelgen.pipelines import CodecPipeline, CompletePipeline, CompletionRequest, Weights
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.publishing.export import export_weights

DRAW = np.random.default_rng(0)
PHOTO = Image.fromarray(DRAW.integers(0, 256, (24, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def loaded(pixel_weights: Path) -> Weights:
    return pixelgen.load(pixel_weights, "cpu")


@pytest.fixture(scope="module")
def codes(code_weights: Path) -> Weights:
    return pixelgen.load(code_weights, "cpu")


def raw(images: list[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in images]


@pytest.mark.parametrize("refine", [1, 5])
def test_visible_pixels_are_unchanged(loaded: Weights, refine: int) -> None:
    result = loaded.complete(PHOTO, box=(17, 6, 9, 9), n=3, seed=1, refine=refine, raw=True)
    assert result.original.tobytes() == square(PHOTO, 8).tobytes()
    hidden = np.zeros((8, 8), dtype=bool)
    hidden[2:5, 3:6] = True  # the middle square starts at 8, a pixel is 3×3 of the photo's
    before = np.asarray(result.original)
    for image in result.images:
        assert (np.asarray(image)[~hidden] == before[~hidden]).all()
        assert (np.asarray(image)[hidden] != before[hidden]).any()
    assert len(set(raw(result.images))) == 3
    assert result.drawn == hidden.mean()
    masked = np.asarray(result.masked)
    assert (masked[hidden] == 128).all()
    assert (masked[~hidden] == before[~hidden]).all()


def test_likelihood_is_that_of_the_whole_picture(loaded: Weights) -> None:
    result = loaded.complete(PHOTO, keep="top:50%", n=2, seed=1, temperature=0.5)
    with torch.no_grad():
        expected = bits_per_dim(loaded.checkpoint.model.log_prob(to_tensor(result.images).long()))
    torch.testing.assert_close(torch.tensor(result.bits_per_dim), expected)


@pytest.mark.parametrize("name", ["loaded", "codes"])
def test_nothing_hidden_is_the_picture(
    name: str, code_weights: Path, request: pytest.FixtureRequest
) -> None:
    weights = request.getfixturevalue(name)
    result = weights.complete(PHOTO, keep="left:100%", seed=1, refine=3)
    expected = result.original
    if name == "codes":
        codec = CodecPipeline.from_pretrained(code_weights, "cpu")
        (expected,) = codec.reconstruct([PHOTO], code_steps=0)
    assert raw(result.images) == [expected.tobytes()]
    assert result.masked.tobytes() == result.original.tobytes()
    assert result.drawn == 0
    assert result.effective == pytest.approx([3])


@pytest.mark.parametrize("name", ["pixel_weights", "code_weights"])
def test_everything_hidden_is_a_sample(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    asked: dict[str, Any] = {"classes": [207, 8], "n": 2, "seed": 4}
    asked |= {"guidance": 2.0, "temperature": 0.8}
    weights = pixelgen.load(folder, "cpu")
    result = weights.complete(PHOTO, keep="top:0%", batch_size=3, **asked)
    sampled = weights.sample(**asked)
    assert raw(result.images) == raw(sampled.images)
    assert result.classes == sampled.classes == [207, 207, 8, 8]
    assert result.bits_per_dim == pytest.approx(sampled.bits_per_dim)
    assert result.drawn == 1
    # Without anything known all candidates weigh the same.
    assert weights.complete(PHOTO, keep="top:0%", refine=4, n=2).effective == pytest.approx([4, 4])


def test_what_is_below_has_a_say_only_with_refinement(loaded: Weights) -> None:
    other = np.asarray(square(PHOTO, 8)).copy()
    other[6:] = 255 - other[6:]
    photos = [square(PHOTO, 8), Image.fromarray(other)]
    box = (0, 2, 8, 4)
    plain = [loaded.complete(photo, box=box, n=4, seed=2) for photo in photos]
    inside = [np.stack([np.asarray(i)[2:6] for i in result.images]) for result in plain]
    assert (inside[0] == inside[1]).all()
    chosen = [loaded.complete(photo, box=box, n=4, seed=2, refine=16) for photo in photos]
    inside = [np.stack([np.asarray(i)[2:6] for i in result.images]) for result in chosen]
    assert (inside[0] != inside[1]).any()
    assert all(1 <= e <= 16 for result in chosen for e in result.effective)


def test_candidates_are_those_of_plain_completions(loaded: Weights) -> None:
    candidates = raw(loaded.complete(PHOTO, keep="bottom:50%", n=12, seed=3).images)
    for size in (1, 5, 16):
        result = loaded.complete(PHOTO, keep="bottom:50%", n=3, refine=4, seed=3, batch_size=size)
        places = [candidates.index(image) // 4 for image in raw(result.images)]
        assert places == [0, 1, 2]
        assert result.parameters["refine"] == 4
    first = loaded.complete(PHOTO, keep="bottom:50%", n=1, refine=4, seed=3)
    assert raw(first.images) == raw(result.images)[:1]


def test_a_likely_candidate_is_chosen(loaded: Weights) -> None:
    plain = loaded.complete(PHOTO, keep="bottom:75%", n=64, seed=5, raw=True)
    refined = loaded.complete(PHOTO, keep="bottom:75%", n=1, refine=64, seed=5, raw=True)
    assert refined.bits_per_dim[0] < np.mean(plain.bits_per_dim)


def test_codes_outside_of_the_hole_are_kept(codes: Weights, code_weights: Path) -> None:
    # The box touches a corner of the second code of the second row.
    photo = square(PHOTO, 16)
    box = (4, 7, 3, 1)
    hole = cut_hole(photo, 16, box=box)
    pipe = CompletePipeline(codes.checkpoint)
    known = pipe.known_values(hole)
    assert known.mask.shape == known.values.shape == (2, 4, 4)
    hidden = ~known.mask
    assert hidden.sum() == 2
    assert hidden[:, 1, 1].all()
    assert torch.equal(
        known.values, CodecPipeline.from_pretrained(code_weights, "cpu").encode([hole.around])[0]
    )
    result = codes.complete(photo, box=box, n=2, seed=0, raw=True)
    assert result.drawn == pytest.approx(1 / 16)
    assert (np.asarray(result.masked)[4:8, 4:8] == 128).all()
    request = CompletionRequest.from_options(codes.checkpoint.config, codes.checkpoint.name, n=2)
    grids = pipe._sample_and_choose(request, known, None).grids
    for grid in grids:
        assert torch.equal(grid[known.mask], known.values[known.mask])


def test_what_is_drawn_is_not_smoothed(codes: Weights, code_weights: Path, tmp_path: Path) -> None:
    smoothed = pixelgen.load(
        export_weights(str(code_weights), tmp_path / "w", smoothing=1.0), "cpu"
    )
    options: dict[str, Any] = {"seed": 0, "temperature": 0.5}
    plain, others = (
        raw(w.complete(PHOTO, box=(4, 4, 8, 8), raw=True, **options).images)
        for w in (codes, smoothed)
    )
    assert plain == others
    # Samples are.
    plain, others = (raw(w.sample(207, **options).images) for w in (codes, smoothed))
    assert plain != others


def test_what_is_hidden_has_no_influence(loaded: Weights, codes: Weights) -> None:
    values = np.asarray(PHOTO).copy()
    values[5:13, 11:24] = DRAW.integers(0, 256, (8, 13, 3))
    for each in (loaded, codes):
        results = [
            each.complete(photo, box=(11, 5, 13, 8), n=2, seed=1, refine=2)
            for photo in (PHOTO, Image.fromarray(values))
        ]
        assert results[0].original.tobytes() != results[1].original.tobytes()
        assert raw(results[0].images) == raw(results[1].images)


def test_grey_weights(tmp_path: Path) -> None:
    config = GatedPixelCNNConfig(
        channels=1, height=4, width=4, layers=0, features=6, output_features=6
    )
    save_checkpoint(tmp_path / "grey", build_model(config))
    result = pixelgen.load(tmp_path / "grey", "cpu").complete(PHOTO, keep="top:50%", raw=True)
    assert result.images[0].mode == result.original.mode == "L"
    assert result.images[0].tobytes()[:8] == result.original.tobytes()[:8]


def test_what_cannot_be_done(loaded: Weights, tmp_path: Path) -> None:
    for asked, says in (
        ({"refine": 0}, "refine must be at least 1, not 0"),
        ({"refine": 2**63}, "refine must be below"),
        ({"n": 0}, "n must be at least 1"),
        ({"classes": [3]}, "pixels was not trained on class 3"),
        ({"keep": "centre:5%"}, "not a part of a picture"),
    ):
        with pytest.raises(PixelgenError, match=says) as caught:
            loaded.complete(PHOTO, **{"keep": "top:50%", **asked})  # type: ignore[arg-type]
        assert isinstance(caught.value, UsageError)
    small: dict[str, Any] = {"layers": 0, "features": 6, "output_features": 6}
    for name, shape, says in (
        ("wide", {"height": 4, "width": 6}, "of 6×4 pixels, not square"),
        ("levels", {"height": 4, "width": 4, "levels": 8}, "other values than those of pictures"),
    ):
        save_checkpoint(tmp_path / name, build_model(GatedPixelCNNConfig(**small | shape)))
        with pytest.raises(PixelgenError, match=says):
            pixelgen.load(tmp_path / name, "cpu").complete(PHOTO, keep="top:50%")
    assert math.isfinite(loaded.complete(PHOTO, keep="top:50%").bits_per_dim[0])
