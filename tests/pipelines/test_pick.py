"""One picture of several is drawn again alone, the same to the bit, without drawing the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import save_checkpoint
from pixelgen.errors import UsageError
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.pipelines import SampleRequest, SamplingProgress, Weights
from pixelgen.sampling import SamplingOptions

Call = Callable[..., Any]


def photo(seed: int, width: int = 16, height: int = 16) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def vector_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes, each with vectors of its own, that draws a vector first."""
    torch.manual_seed(0)
    config = GatedPixelCNNConfig(
        height=4, width=4, features=6, layers=1, kernel=3, first_kernel=3, output_features=6,
        classes=2, vector=3, vector_components=2,
    )  # fmt: skip
    model = build_model(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    assert model.class_prior is not None
    torch.nn.init.normal_(model.class_prior.means)
    model.class_prior.scale += torch.eye(3)
    return save_checkpoint(tmp_path_factory.mktemp("vectors") / "w", model, labels=[8, 207])


CALLS: dict[str, tuple[str, Callable[[Weights], Call], dict[str, Any]]] = {
    "classes": ("weights", lambda w: w.sample, {"classes": [8, 207], "n": 3}),
    "no class": ("weights", lambda w: w.sample, {"n": 4}),
    "guidance": ("pixel_weights", lambda w: w.sample, {"classes": [8], "n": 5, "guidance": 2.0}),
    "codes": ("code_weights", lambda w: w.sample, {"classes": [8, 207], "n": 2}),
    "candidates": (
        "pixel_weights",
        lambda w: w.sample,
        {"classes": [8, 207], "n": 2, "candidates": 3},
    ),
    "vectors": (
        "vector_weights",
        lambda w: w.sample,
        {"classes": [8, 207], "n": 5, "candidates": 2, "guidance": 2.0},
    ),
    "portraits": (
        "face_weights",
        lambda w: w.portrait,
        {"photos": [photo(1), photo(2)], "n": 3, "aligned": True, "candidates": 3},
    ),
    "path of classes": (
        "vector_weights",
        lambda w: w.interpolate,
        {"classes": [8, 207], "steps": 4, "guidance": 2.0},
    ),
    "path of faces": (
        "face_weights",
        lambda w: w.interpolate,
        {"photos": [photo(1), photo(2)], "steps": 4, "aligned": True, "candidates": 1},
    ),
    "best path of faces": (
        "face_weights",
        lambda w: w.interpolate,
        {"photos": [photo(1), photo(2)], "steps": 3, "aligned": True, "candidates": 4},
    ),
    "path of pictures": (
        "autoencoders",
        lambda w: w.interpolate,
        {"photos": [photo(1), photo(2)], "steps": 4},
    ),
    "completions": (
        "pixel_weights",
        lambda w: w.complete,
        {"photo": photo(1), "keep": "top:50%", "classes": [8, 207], "n": 2},
    ),
    "chosen completions": (
        "code_weights",
        lambda w: w.complete,
        {"photo": photo(1), "keep": "bottom:50%", "n": 3, "refine": 4},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_pick_is_what_it_is_among_all(name: str, request: pytest.FixtureRequest) -> None:
    fixture, method, given = CALLS[name]
    call = method(pixelgen.load(request.getfixturevalue(fixture), "cpu"))
    whole = call(seed=5, **given)
    count = len(whole)
    assert whole.picks == list(range(1, count + 1))
    assert len({item.image.tobytes() for item in whole}) > 1
    for item in whole:
        drawn: list[SamplingProgress] = []
        alone = call(seed=5, pick=item.pick, batch_size=3, on_step=drawn.append, **given)
        (again,) = alone
        assert again.image.tobytes() == item.image.tobytes()
        assert (again.pick, again.seed, again.label) == (item.pick, 5, item.label)
        assert again.bits_per_dim == pytest.approx(item.bits_per_dim, abs=1e-6)
        assert alone.parameters == whole.parameters
        if name != "best path of faces":  # which path is best shows when all are drawn
            each = given.get("candidates", 1) * given.get("refine", 1)
            assert {moment.total for moment in drawn} == {each}
    with pytest.raises(UsageError, match=f"no picture {count + 1}: this call draws {count} in all"):
        call(seed=5, pick=count + 1, **given)


def test_what_belongs_to_a_pick(face_weights: Path, pixel_weights: Path) -> None:
    faces, given = pixelgen.load(face_weights, "cpu"), {"n": 3, "candidates": 3, "aligned": True}
    portraits = faces.portrait(photo(1), seed=2, **given)  # type: ignore[arg-type]
    (portrait,) = faces.portrait(photo(1), seed=2, pick=3, **given)  # type: ignore[arg-type]
    assert portrait.similarity == pytest.approx(portraits[2].similarity, abs=1e-6)
    pixels = pixelgen.load(pixel_weights, "cpu")
    completions = pixels.complete(photo(1), keep="bottom:50%", n=3, refine=4, seed=2)
    (completion,) = pixels.complete(photo(1), keep="bottom:50%", n=3, refine=4, seed=2, pick=2)
    assert completion.effective == pytest.approx(completions[1].effective, abs=1e-6)


@pytest.mark.parametrize("cut", ["crop", "patches"])
def test_a_sample_of_a_reconstruction(autoencoders: Path, cut: Any) -> None:
    loaded = pixelgen.load(autoencoders, "cpu")
    photos = [photo(1), photo(2, 20, 12), photo(3)]
    given: dict[str, Any] = {"n": 2, "seed": 5, "cut": cut}
    given |= {"longest": 20} if cut == "patches" else {}
    whole = loaded.reconstruct(photos, **given)
    picks = [pick for one in whole for pick in one.picks]
    assert picks == list(range(1, 3 * 2 * 2 + 1))
    for one in whole:
        for sample, likeness, pick in zip(
            one.samples, one.samples_likeness, one.picks, strict=True
        ):
            if pick not in (2, 3, 7, 12):
                continue
            alone = loaded.reconstruct(photos, pick=pick, **given)
            (again,) = alone
            assert (again.picks, again.bottleneck) == ([pick], one.bottleneck)
            assert [image.tobytes() for image in again.samples] == [sample.tobytes()]
            assert again.samples_likeness == [likeness]
            assert again.image.tobytes() == one.image.tobytes()
            assert again.source.tobytes() == one.source.tobytes()
            assert again.bits_per_dim == one.bits_per_dim
            assert [[image.tobytes() for image in row] for row in alone.rows()] == [
                [one.source.tobytes(), one.image.tobytes(), sample.tobytes()]
            ]
    with pytest.raises(UsageError, match="no picture 13: this call draws 12 in all"):
        loaded.reconstruct(photos, pick=13, **given)
    tokenizer = "pick requires auto-encoders"
    with pytest.raises(UsageError, match=tokenizer):
        pixelgen.load("imagenet64", "cpu").reconstruct(photo(1), pick=1)


def test_numbers_that_are_none(weights: Path) -> None:
    loaded = pixelgen.load(weights, "cpu")
    for pick, says in ((0, "pick must be at least 1, not 0"), (1.5, "pick must be a whole number")):
        with pytest.raises(UsageError, match=says):
            loaded.sample(n=3, pick=pick)  # type: ignore[arg-type]
    assert loaded.sample(n=3, seed=1, pick=np.int64(2)).picks == [2]  # type: ignore[arg-type]


def test_candidates_are_recorded_unless_the_weights_have_none(weights: Path) -> None:
    config = pixelgen.load(weights, "cpu").config
    four = replace(config, sampling=SamplingOptions(candidates=4))

    def recorded(config: Any, **given: Any) -> Any:
        request = SampleRequest.from_options(config, "weights", classes=[8], **given)
        return request.parameters().get("candidates")

    assert [recorded(four), recorded(four, candidates=1), recorded(four, n=100)] == [4, 1, 1]
    assert [recorded(config), recorded(config, candidates=2)] == [None, 2]


def test_the_schedule_is_recorded_where_it_is_not_that_of_the_weights(weights: Path) -> None:
    config = pixelgen.load(weights, "cpu").config
    linear = replace(config, sampling=SamplingOptions(guidance=2.0, guidance_schedule="linear"))

    def recorded(config: Any, **given: Any) -> Any:
        request = SampleRequest.from_options(config, "weights", classes=[8], **given)
        return request.parameters().get("guidance_schedule")

    assert [recorded(linear), recorded(linear, guidance_schedule="constant")] == [
        "linear",
        "constant",
    ]
    guided = {"guidance": 2.0, "guidance_schedule": "linear"}
    assert [recorded(config), recorded(config, **guided)] == [None, "linear"]
    assert recorded(linear, guidance=1.0) is None  # which does not take one either
    for nothing in ({}, {"guidance": 1.0}):
        with pytest.raises(UsageError, match="guidance_schedule has no effect"):
            recorded(config, guidance_schedule="constant", **nothing)
