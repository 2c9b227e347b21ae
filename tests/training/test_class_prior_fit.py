"""Vectors made of what a classifier sees: p(h | class), and models that are told h."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition
from pixelgen.publishing.export import export
from pixelgen.training.batches import Batches, ConditionVectors
from pixelgen.training.class_prior_fit import VECTORS, fit_class_prior, principal
from pixelgen.training.embedder_alignment import rotation_between
from pixelgen.training.loop import train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.tasks.likelihood import with_rotated_vectors, with_vectors

from .conftest import dark_and_bright, recipe_at

SIZE: dict[str, Any] = {
    "height": 4, "width": 4, "levels": 4, "features": 6, "layers": 1, "output_features": 6,
    "classes": 2,
}  # fmt: skip

RECIPE = """
seed = 1
[model]
model = "gated_pixelcnn"
height = 16
width = 16
patch = 4
features = 12
layers = 1
kernel = 3
first_kernel = 3
channel_order = "head"
likelihood = "logistic"
mixtures = 2
head_features = 8
output_features = 12
classes = 2
[data]
path = "{data}"
features_scale = 2
holdout = 8
[optimiser]
batch = 8
lr = 1e-2
warmup = 5
ema = 0.9
[schedule]
steps = 30
[intervals]
samples = 100
"""
GIVEN = ["model.vector=3", "model.vector_components=2", "model.map_channels=2"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    return dark_and_bright(write_pictures, tmp_path_factory.mktemp("pictures"), 16, 30, 10, 170)


@pytest.fixture
def recipe_file(tmp_path: Path, pictures: Path) -> Path:
    return recipe_at(tmp_path / "r.toml", RECIPE, data=pictures)


def test_the_mixture_is_found_again() -> None:
    truth = ClassPrior(3, 2, 3)
    generator = torch.Generator().manual_seed(0)
    truth.means = 4 * torch.randn(3, 2, 3, generator=generator)
    truth.scale = torch.tensor([[0.8, 0, 0], [0.3, 0.6, 0], [0.1, -0.2, 0.5]])
    classes = torch.arange(3).repeat_interleave(1500)
    h, fresh = truth.draw(classes, generator), truth.draw(classes, generator)
    config = GatedPixelCNNConfig(**{**SIZE, "classes": 3}, vector=3, vector_components=2)
    found = fit_class_prior(h, classes, config, seed=0)
    best = float(truth.log_prob(fresh, classes).mean())
    assert float(found.log_prob(fresh, classes).mean()) > best - 0.02
    single = GatedPixelCNNConfig(**{**SIZE, "classes": 3}, vector=3, vector_components=1)
    worse = fit_class_prior(h, classes, single, seed=0)
    assert float(worse.log_prob(fresh, classes).mean()) < best - 0.2
    torch.testing.assert_close(
        worse.means[:, 0], torch.stack([part.mean(0) for part in h.split(1500)]), atol=1e-3, rtol=0
    )


def test_a_class_without_pictures_and_one_with_a_single_one_can_be_drawn() -> None:
    config = GatedPixelCNNConfig(**{**SIZE, "classes": 3}, vector=2, vector_components=2)
    h = torch.randn(21, 2, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0] * 20 + [1])
    found = fit_class_prior(h, classes, config, seed=0)
    drawn = found.draw(torch.tensor([0, 1, 2]), torch.Generator().manual_seed(0))
    assert bool(drawn.isfinite().all())
    assert bool(found.log_prob(drawn, torch.tensor([0, 1, 2])).isfinite().all())


def test_what_varies_most_is_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(800, 3, generator=generator) * torch.tensor([8.0, 4.0, 2.0])
    features = true @ torch.linalg.qr(torch.randn(40, 3, generator=generator)).Q.t() + 5
    features += 0.05 * torch.randn(800, 40, generator=generator)
    rows = torch.arange(0, 800, 2)
    centre, directions = principal(features[rows], 3)
    h = (features - centre) @ directions
    assert h.shape == (800, 3)
    torch.testing.assert_close(h[rows].mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    covariance = h[rows].t().cov(correction=0)
    torch.testing.assert_close(covariance, covariance.diagonal().diag(), atol=1e-3, rtol=0)
    torch.testing.assert_close(covariance.trace(), torch.tensor(3.0), atol=1e-3, rtol=0)
    both = torch.cat((h, true), 1)[1::2].t().corrcoef()[:3, 3:].abs()
    assert float(both.diagonal().min()) > 0.99


def test_vectors_are_left_out_beside_classes() -> None:
    images = torch.arange(40, dtype=torch.uint8).view(1, 40, 1, 1, 1)
    vectors = ConditionVectors(torch.arange(40.0)[:, None], dropout=0.25)
    batches = Batches(
        images, torch.arange(40) % 4, torch.arange(40),
        seed=1, flip=False, null_class=4, class_dropout=0.2, vectors=vectors,
    )  # fmt: skip
    batch = batches.draw(0, 0, 4000)
    assert batch.classes is not None
    assert batch.vector is not None
    assert batch.dropped is not None
    assert torch.equal(batch.vector[:, 0].long(), batch.x.flatten())
    null = batch.classes == 4
    assert bool(batch.dropped[null].all())  # never a vector without its class
    assert abs(float(null.float().mean()) - 0.2) < 0.03
    assert abs(float(batch.dropped[~null].float().mean()) - 0.25) < 0.03
    halves = [batches.draw(0, 0, 2000, rank, 2).dropped for rank in range(2)]
    assert torch.equal(torch.cat([h for h in halves if h is not None]), batch.dropped)


def test_a_model_that_is_given_vectors_starts_as_what_it_was() -> None:
    torch.manual_seed(0)
    old = build_model(GatedPixelCNNConfig(**SIZE))
    new: Any = build_model(
        GatedPixelCNNConfig(**SIZE, vector=3, vector_components=2, map_channels=2)
    )
    new.load_state_dict(with_vectors(old.state_dict(), new))
    x, classes = torch.randint(4, (2, 3, 4, 4)), torch.tensor([0, 1])
    expected = old.log_prob(x, Condition(classes))
    assert torch.equal(new.log_prob(x, Condition(classes, torch.randn(2, 3))), expected)
    placeless = build_model(GatedPixelCNNConfig(**SIZE, vector=3, vector_components=2))
    new.load_state_dict(with_vectors(placeless.state_dict(), new))
    condition = Condition(classes, torch.randn(2, 3))
    assert torch.equal(new.log_prob(x, condition), placeless.log_prob(x, condition))
    same = new.state_dict()
    assert with_vectors(same, new).keys() == same.keys()
    assert all(torch.equal(tensor, same[name]) for name, tensor in with_vectors(same, new).items())


def test_vectors_that_are_turned_give_the_same_probabilities() -> None:
    torch.manual_seed(0)
    model: Any = build_model(
        GatedPixelCNNConfig(**SIZE, vector=3, vector_components=2, map_channels=2)
    )
    torch.nn.init.normal_(model.null_vector)
    old = torch.nn.functional.normalize(torch.randn(50, 3), dim=1)
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    new = old @ turn
    assert torch.allclose(rotation_between(new, old), turn, atol=1e-6)
    x, classes = torch.randint(4, (2, 3, 4, 4)), torch.tensor([0, 1])
    expected = [model.log_prob(x, Condition(classes, h)) for h in (None, old[:2])]
    other = model.log_prob(x, Condition(classes, new[:2]))
    assert not torch.allclose(other, expected[1])
    model.load_state_dict(with_rotated_vectors(model.state_dict(), turn))
    found = [model.log_prob(x, Condition(classes, h)) for h in (None, new[:2])]
    assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-5, atol=1e-4)


def test_from_features_to_pictures(recipe_file: Path, pictures: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, GIVEN), run)
    kept = (run / VECTORS).read_bytes()
    export(run, folder)
    loaded = pixelgen.load(folder)
    fitted = loaded.checkpoint.model.state_dict()
    assert float(fitted["class_prior.scale"].diagonal().min()) > 0

    result = loaded.sample(classes=[4, 7], n=3, seed=1, temperature=0.5)
    again = loaded.sample(classes=[4, 7], n=3, seed=1, temperature=0.5)
    assert [i.tobytes() for i in result.images] == [i.tobytes() for i in again.images]
    other = loaded.sample(classes=[4, 7], n=3, seed=2, temperature=0.5)
    assert [i.tobytes() for i in result.images] != [i.tobytes() for i in other.images]
    assert len(loaded.sample(n=2, seed=1).images) == 2  # without a class there is no vector either
    wide = loaded.sample(classes=[4, 7], n=3, seed=1, temperature=0.5, vector_temperature=4)
    assert [i.tobytes() for i in result.images] != [i.tobytes() for i in wide.images]
    assert (wide.parameters["vector_temperature"], result.parameters["vector_temperature"]) == (
        4,
        1,
    )
    assert "vector_temperature" not in loaded.sample(n=1, seed=1).parameters
    wrongs: list[dict[str, Any]] = [{"classes": []}, {"classes": [4], "vector_temperature": 0}]
    for wrong in wrongs:
        with pytest.raises(PixelgenError, match=r"no vectors|must be above 0"):
            loaded.sample(**{"vector_temperature": 0.5, **wrong})
    way = loaded.interpolate(classes=[4, 7], steps=3, seed=1)
    assert len({i.tobytes() for i in way.images}) == 3

    figures = evaluate(load_checkpoint(folder), pictures, "validation")
    assert figures.conditional is not None
    rows = torch.tensor([0, 1])
    x = torch.zeros(2, 3, 16, 16, dtype=torch.int64)
    given = loaded.checkpoint.model.class_prior
    assert given is not None
    vector = given.draw(rows, torch.Generator().manual_seed(0))
    alone = loaded.checkpoint.model.log_prob(x, Condition(rows))
    assert not torch.equal(alone, loaded.checkpoint.model.log_prob(x, Condition(rows, vector)))

    train(load_recipe(recipe_file, [*GIVEN, "schedule.steps=35"]), run, resume=True)
    assert (run / VECTORS).read_bytes() == kept
    resumed = export(run, tmp_path / "more")
    assert torch.equal(
        pixelgen.load(resumed).checkpoint.model.state_dict()["class_prior.means"],
        fitted["class_prior.means"],
    )


def test_a_run_goes_on_with_the_vectors_of_weights(
    recipe_file: Path, pictures: Path, tmp_path: Path
) -> None:
    kept = [*GIVEN, "model.vector_features=1280"]
    train(load_recipe(recipe_file, kept), tmp_path / "first")
    folder = export(tmp_path / "first", tmp_path / "weights")
    first = load_checkpoint(folder).model.state_dict()
    again = load_recipe(
        recipe_file, [*kept, f"data.vectors={folder.as_posix()}", "data.holdout=10", "seed=2"]
    )
    train(again, tmp_path / "second", init=str(folder))
    second = load_checkpoint(export(tmp_path / "second", tmp_path / "more")).model
    for name, tensor in second.state_dict().items():
        if name.startswith("class_prior."):
            assert torch.equal(tensor, first[name]), name
    # The same pictures are about the same, but for the rounding of what the weights keep.
    a, b = (load_file(tmp_path / run / VECTORS)["vectors"] for run in ("first", "second"))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0.05)
    assert isinstance(second.class_prior, ClassPrior)
    assert len(pixelgen.load(folder).interpolate(classes=[4, 7], steps=3).images) == 3
    figures = evaluate(load_checkpoint(folder), pictures, "train")
    assert figures.given_vectors is not None
    assert figures.conditional is not None
    assert figures.given_vectors.bits_per_dim != figures.conditional.bits_per_dim
    images = load_images(pictures, "train").images
    h = load_file(tmp_path / "first" / VECTORS)["vectors"]
    given = Condition(torch.tensor([0, 1]).repeat(20), h)
    expected = float(image_bits(load_checkpoint(folder).model, images, given, 20).mean())
    assert abs(figures.given_vectors.bits_per_dim - expected) < 0.02
    features = second.class_prior.centre + torch.randn(2, 1280)
    assert second.class_prior.project(features).shape == (2, 3)
    # The run goes on as it began, whatever becomes of the weights that it took its vectors from.
    vectors = (tmp_path / "second" / VECTORS).read_bytes()
    folder.rename(tmp_path / "gone")
    longer = [*kept, f"data.vectors={folder.as_posix()}", "data.holdout=10", "seed=2"]
    train(
        load_recipe(recipe_file, [*longer, "schedule.steps=35"]), tmp_path / "second", resume=True
    )
    assert (tmp_path / "second" / VECTORS).read_bytes() == vectors
    (tmp_path / "gone").rename(folder)
    other = load_recipe(
        recipe_file, [*kept, "model.vector_components=1", f"data.vectors={folder.as_posix()}"]
    )
    with pytest.raises(PixelgenError, match=r"model\.vector_components is 1, that of .* is 2"):
        train(other, tmp_path / "third")
    # Two pictures have no three principal components of their own, and need none.
    few = [*kept, f"data.vectors={folder.as_posix()}", "data.holdout=38", "schedule.steps=1"]
    train(load_recipe(recipe_file, few), tmp_path / "few")
    with pytest.raises(PixelgenError, match=r"model\.vector is 3, at most 2 is possible"):
        train(load_recipe(recipe_file, [*kept, "data.holdout=38"]), tmp_path / "own")


def test_a_run_begins_with_weights_that_knew_no_vectors(recipe_file: Path, tmp_path: Path) -> None:
    train(load_recipe(recipe_file), tmp_path / "old")
    export(tmp_path / "old", tmp_path / "weights")
    old = load_checkpoint(tmp_path / "weights").model
    recipe = load_recipe(recipe_file, [*GIVEN, "schedule.steps=1", "optimiser.lr=1e-9"])
    train(recipe, tmp_path / "new", init=str(tmp_path / "weights"))
    export(tmp_path / "new", tmp_path / "more")
    new = load_checkpoint(tmp_path / "more").model
    x, condition = torch.randint(256, (2, 3, 16, 16)), Condition(torch.tensor([0, 1]))
    expected = old.log_prob(x, condition)
    torch.testing.assert_close(new.log_prob(x, condition), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.vector=3"], "model.vector needs data.embedder or vector_components"),
        (["model.vector_components=2"], "vector_components needs classes and a condition vector"),
        ([*GIVEN, "data.embedder=faces"], "model.vector_components excludes data.embedder"),
        (["data.vectors=imagenet32"], "data.vectors needs model.vector_features"),
        ([*GIVEN, "model.vector_features=7"], "vector_features is 7, the classifier has 1280"),
        (
            [*GIVEN, "model.vector_features=1280", "data.vectors=faces64"],
            "faces64 has no projection from classifier features",
        ),
        ([*GIVEN, "data.vector_dropout=2"], "vector_dropout must lie in 0 … 1"),
        ([*GIVEN, "model.vector=4000"], "model.vector"),
    ],
)
def test_what_does_not_fit(
    recipe_file: Path, tmp_path: Path, overrides: list[str], says: str
) -> None:
    with pytest.raises(PixelgenError) as caught:
        train(load_recipe(recipe_file, overrides), tmp_path / "run")
    assert says in str(caught.value)
