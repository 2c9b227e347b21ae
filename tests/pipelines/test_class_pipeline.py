"""The Python API for pictures of a class."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging.image_classifier import class_log_probs
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import bits_per_dim
from pixelgen.pipelines import SampleRequest, SamplingProgress, Weights
from pixelgen.pipelines.conversion import to_images
from pixelgen.pipelines.devices import pick_device
from pixelgen.sampling import SamplingOptions


@pytest.fixture(scope="module")
def loaded(weights: Path) -> Weights:
    return pixelgen.load(weights, "cpu")


def pixels(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images])


def test_result(loaded: Weights) -> None:
    result = loaded.sample(classes=[207, "hen"], n=2, seed=3)
    assert result.classes == [207, 207, 8, 8]
    assert [image.size for image in result.images] == [(4, 4)] * 4
    assert result.parameters["temperature"] == 0.9
    x = torch.from_numpy(pixels(result.images)).permute(0, 3, 1, 2).long()
    rows = Condition(classes=torch.tensor([1, 1, 0, 0]))
    expected = bits_per_dim(loaded.checkpoint.model.log_prob(x, rows))
    torch.testing.assert_close(torch.tensor(result.bits_per_dim), expected)


def test_pictures_depend_on_the_seed_alone(loaded: Weights) -> None:
    first = pixels(loaded.sample(classes=[8], n=5, seed=1).images)
    for size in (1, 2, 7):
        assert (
            pixels(loaded.sample(classes=[8], n=5, seed=1, batch_size=size).images) == first
        ).all()
    assert (pixels(loaded.sample(classes=[8], n=2, seed=1).images) == first[:2]).all()
    assert (pixels(loaded.sample(classes=[8], n=5, seed=2).images) != first).any()


def test_of_candidates_the_one_most_clearly_of_its_class_is_kept(loaded: Weights) -> None:
    drawn = loaded.sample(classes=[8, 207], n=6, seed=1)
    kept = loaded.sample(classes=[8, 207], n=2, seed=1, candidates=3)
    assert kept.parameters == drawn.parameters | {"n": 2, "candidates": 3}
    scores = torch.tensor(class_log_probs(drawn.images, [8] * 6 + [207] * 6, [8, 207]))
    best = [3 * group + int(scores[3 * group : 3 * group + 3].argmax()) for group in range(4)]
    assert (pixels(kept.images) == pixels(drawn.images)[best]).all()
    assert kept.bits_per_dim == pytest.approx([drawn.bits_per_dim[i] for i in best], abs=1e-6)
    assert kept.classes == [8, 8, 207, 207]
    for size in (1, 5):
        again = loaded.sample(classes=[8, 207], n=2, seed=1, candidates=3, batch_size=size)
        assert (pixels(again.images) == pixels(kept.images)).all()
    picked = loaded.sample(classes=[8, 207], n=2, seed=1, candidates=3, pick=3)
    assert (pixels(picked.images) == pixels(kept.images)[2:3]).all()
    plain = loaded.sample(classes=[8], n=2, seed=1, candidates=1)
    assert "candidates" not in plain.parameters
    with pytest.raises(UsageError, match="candidates has no effect"):
        loaded.sample(n=2, candidates=2)


def test_candidates_of_own_classes_are_compared_by_what_the_class_adds(loaded: Weights) -> None:
    """The classifier knows ImageNet's classes only."""
    own = replace(loaded.checkpoint.config, labels=(0, 1), class_names=("bus", "cat"))
    loaded = Weights(replace(loaded.checkpoint, config=own), loaded.device)
    drawn = loaded.sample(classes=["bus", "cat"], n=6, seed=1)
    kept = loaded.sample(classes=["bus", "cat"], n=2, seed=1, candidates=3)
    x = torch.from_numpy(pixels(drawn.images)).permute(0, 3, 1, 2).long()
    rows = Condition(classes=torch.tensor([0] * 6 + [1] * 6))
    model = loaded.checkpoint.model
    gain = (model.log_prob(x, rows) - model.log_prob(x)).flatten(1).sum(1)
    best = [3 * group + int(gain[3 * group : 3 * group + 3].argmax()) for group in range(4)]
    assert (pixels(kept.images) == pixels(drawn.images)[best]).all()


def test_candidates_with_vectors_are_compared_by_the_class_alone(
    tmp_path: Path,
) -> None:
    """Each is drawn given a vector of its own, which is no part of log p(x | class)."""
    torch.manual_seed(2)
    config = GatedPixelCNNConfig(
        channels=3, height=4, width=4, features=12, layers=1, output_features=12, levels=4,
        classes=2, vector=2, vector_components=1,
    )  # fmt: skip
    model = build_model(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model = model.half().float()  # as it is stored
    folder = save_checkpoint(tmp_path / "own", model, labels=[0, 1], class_names=["bus", "cat"])
    weights = pixelgen.load(str(folder), "cpu")
    drawn = weights.sample(classes=["bus", "cat"], n=6, seed=1)
    kept = weights.sample(classes=["bus", "cat"], n=2, seed=1, candidates=3)
    x = torch.from_numpy(pixels(drawn.images)).permute(0, 3, 1, 2).long() * 3 // 255
    rows = Condition(classes=torch.tensor([0] * 6 + [1] * 6))
    given_class, given_nothing = (
        model.log_prob(x, given).flatten(1).sum(1) for given in (rows, None)
    )
    given_vectors = -torch.tensor(drawn.bits_per_dim) * math.log(2) * x[0].numel()
    best, other = (
        (gain.view(4, 3).argmax(1) + 3 * torch.arange(4)).tolist()
        for gain in (given_class - given_nothing, given_vectors - given_nothing)
    )
    assert best != other
    assert (pixels(kept.images) == pixels(drawn.images)[best]).all()


def test_what_was_always_trained_with_classes_cannot_choose(loaded: Weights) -> None:
    config = replace(
        loaded.checkpoint.config,
        labels=(0, 1),
        class_names=("bus", "cat"),
        training={"class_dropout": 0.0},
        sampling=SamplingOptions(candidates=4),
    )
    assert SampleRequest.from_options(config, "weights", classes=["bus"]).candidates == 1
    with pytest.raises(UsageError, match="weights cannot choose among candidates"):
        SampleRequest.from_options(config, "weights", classes=["bus"], candidates=2)


def test_weights_say_how_many_candidates_a_few_pictures_have(loaded: Weights) -> None:
    config = replace(loaded.checkpoint.config, sampling=SamplingOptions(candidates=4))

    def candidates(n: int, **options: Any) -> int:
        return SampleRequest.from_options(config, "weights", n=n, **options).candidates

    assert [candidates(n, classes=[8, 207]) for n in (1, 8, 9, 16, 17, 40)] == [4, 4, 3, 2, 1, 1]
    assert candidates(40, classes=[8], candidates=4) == 4
    assert candidates(1, classes=[8], candidates=1) == 1
    assert candidates(1) == candidates(1, classes=[8, 207], steps=3) == 1


def test_pictures_depend_on_the_seed_alone_where_rounding_tells() -> None:
    """A product of one row is rounded otherwise than one of four: seen with this seed, of earlier
    weights."""
    loaded = pixelgen.load("imagenet32", "cpu")
    draw: dict[str, Any] = {"classes": [400], "n": 4, "seed": 3487, "candidates": 1}
    first, second = (pixels(loaded.sample(**draw, batch_size=size).images) for size in (4, 1))
    assert (first == second).all()
    picked = loaded.sample(**draw, pick=4).images
    assert (pixels(picked) == first[3:]).all()


def test_what_is_drawn_twice_is_not_seen(loaded: Weights) -> None:
    shown: list[tuple[int, int]] = []
    made = loaded.sample(
        classes=[8],
        n=5,
        seed=1,
        batch_size=2,
        on_step=lambda moment: shown.append((moment.batch, len(moment.images()))),
    )
    assert len(made.images) == len(made.bits_per_dim) == 5
    assert set(shown) == {(2, 2), (1, 1)}


def test_a_drawn_seed_draws_the_same_again(loaded: Weights) -> None:
    once = loaded.sample(n=2)
    assert once.classes == [None, None]
    assert (pixels(loaded.sample(n=2, seed=once.seed).images) == pixels(once.images)).all()


def test_progress(loaded: Weights) -> None:
    seen: list[SamplingProgress] = []
    loaded.sample(n=3, batch_size=2, on_step=seen.append)
    assert [(p.first, p.done, p.positions) for p in seen] == [
        (first, done, 16) for first in (0, 2) for done in range(17)
    ]
    assert [seen[k].share for k in (0, 16, -1)] == [0, 2 / 3, 1]
    assert [len(p.images()) for p in seen] == [2] * 17 + [1] * 17
    assert [int(p.pending().sum()) for p in seen] == 2 * list(range(16, -1, -1))


def test_an_error_of_a_callback_is_not_one_of_the_network(loaded: Weights) -> None:
    def fail(moment: SamplingProgress) -> None:
        raise IndexError("of the callback")

    with pytest.raises(IndexError, match="of the callback"):
        loaded.sample(seed=1, on_step=fail)


def test_frames_lead_from_class_to_class(loaded: Weights) -> None:
    there = loaded.interpolate(classes=[8, 207], steps=5, seed=3, guidance=2.0)
    back = loaded.interpolate(
        classes=["golden retriever", "hen"], steps=5, seed=3, guidance=2.0, batch_size=2
    )
    assert (pixels(there.images) == pixels(back.images)[::-1]).all()
    assert there.classes == [None] * 5
    assert there.parameters["steps"] == 5
    assert "n" not in there.parameters
    # The ends are what samples with the same numbers show.
    for index, frame in ((8, 0), (207, 4)):
        end = loaded.sample([index], seed=3, guidance=2.0)
        assert (pixels(end.images)[0] == pixels(there.images)[frame]).all()
        assert end.bits_per_dim[0] == pytest.approx(there.bits_per_dim[frame], rel=1e-5)
    still = pixels(loaded.interpolate(classes=[8, 8], steps=3, seed=3).images)
    assert (still == still[0]).all()
    with pytest.raises(PixelgenError, match="at least 2 classes"):
        loaded.interpolate(classes=[8])
    with pytest.raises(PixelgenError, match="steps must be at least 3, not 2"):
        loaded.interpolate(classes=[8, 207, 8], steps=2)


def test_weights_without_the_null_class(loaded: Weights, tmp_path: Path) -> None:
    folder = tmp_path / "strict"
    save_checkpoint(
        folder, loaded.checkpoint.model, labels=[8, 207], training={"class_dropout": 0.0}
    )
    strict = pixelgen.load(folder, "cpu")
    assert len(strict.sample([8]).images) == 1
    with pytest.raises(PixelgenError, match="strict needs a class"):
        strict.sample()
    with pytest.raises(PixelgenError, match="allows no guidance"):
        strict.sample([8], guidance=2.0)


def test_models_that_draw_something_else(tmp_path: Path) -> None:
    shape: dict[str, Any] = {"height": 4, "width": 4, "layers": 0}
    shape |= {"features": 6, "output_features": 6}
    for name, extra in (("vector", {"vector": 3}), ("codes", {"channels": 2})):
        model = build_model(GatedPixelCNNConfig(**shape | extra))
        save_checkpoint(tmp_path / name, model)
        with pytest.raises(PixelgenError) as caught:
            pixelgen.load(tmp_path / name, "cpu").sample()
        assert isinstance(caught.value, UsageError)


def test_unconditional_weights(tmp_path: Path) -> None:
    config = GatedPixelCNNConfig(
        channels=1, height=4, width=6, levels=4, layers=0, features=6, output_features=6
    )
    save_checkpoint(tmp_path / "grey", build_model(config))
    loaded = pixelgen.load(tmp_path / "grey", "cpu")
    (image,) = loaded.sample().images
    assert (image.mode, image.size) == ("L", (6, 4))
    for name in (207, "dog"):  # a class, and a group of some
        with pytest.raises(PixelgenError, match="grey takes no class"):
            loaded.sample([name])


def test_few_levels_span_the_whole_range() -> None:
    (image,) = to_images(torch.tensor([[[[0, 1, 2, 3]]]]), levels=4)
    assert list(image.tobytes()) == [0, 85, 170, 255]


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cuda:999", "CPU", "cuda:", "", "mps:1"):
        with pytest.raises(PixelgenError):
            pick_device(name)


def test_apples_device_has_the_name_that_tensors_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (True, False):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda there=there: there)
        for name in ("mps", "mps:0"):
            if there:
                assert pick_device(name) == torch.device(name)
                continue
            with pytest.raises(PixelgenError, match=f"device {name} is not available here"):
                pick_device(name)


def test_the_package_offers_it(weights: Path) -> None:
    assert pixelgen.Weights(load_checkpoint(weights)).sample([8], seed=1).seed == 1
    with pytest.raises(AttributeError):
        _ = pixelgen.nothing
