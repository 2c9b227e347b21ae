"""Numbers of a code that tell what a classifier sees, taught beside an auto-encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError
from pixelgen.metrics.latents import latents_and_means
from pixelgen.models import AutoencoderConfig, build_model, config_from_dict
from pixelgen.models.autoencoder import Autoencoder, on_sphere
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.publishing.export import export
from pixelgen.training import distillation
from pixelgen.training.distillation import FEATURES, Distillation, StudentHead
from pixelgen.training.loop import train
from pixelgen.training.recipe import AutoencoderRecipe, load_recipe
from pixelgen.training.state import part_of, read_state
from pixelgen.training.tasks.autoencoder import AutoencoderLoss, with_semantic_latents
from pixelgen.training.tasks.base import shapes

from .conftest import dark_and_bright, recipe_at
from .test_autoencoder import RECIPE, _pil

SEMANTIC = [
    "model.bottleneck=6",
    "model.inner=2",
    "model.principal=true",
    "model.mean_channels=4",
    "model.semantic=3",
    "model.semantic_wide_features=8",
    "model.semantic_deep_features=8",
    "model.semantic_deep_blocks=1",
]
TAUGHT = [*SEMANTIC, "autoencoder.semantic_weight=0.5"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    return dark_and_bright(write_pictures, tmp_path_factory.mktemp("seen"), 16, 60, 20, 140)


@pytest.fixture
def recipe_file(pictures: Path, tmp_path: Path) -> Path:
    text = RECIPE.replace('path = "{data}"', 'path = "{data}"\nsize = 8')
    return recipe_at(tmp_path / "autoencoder.toml", text, data=pictures)


def small(**more: Any) -> Autoencoder:
    torch.manual_seed(0)
    pixels = {"patch": 2, "features": 8, "layers": 1, "channel_order": "head", "head_features": 4}
    given = {"size": 8, "patch": 2, "wide_features": 8, "deep_features": 8, "bottleneck": 6}
    config = config_from_dict(
        {
            "model": "autoencoder",
            **given,
            "semantic_wide_features": 8,
            "semantic_deep_features": 8,
            **more,
            "pixels": pixels,
        }
    )
    assert isinstance(config, AutoencoderConfig)
    return build_model(config)


def disturbed(model: Autoencoder) -> Autoencoder:
    """Nothing of it is zero, as in a model that has learned."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    if model.principal is not None:
        for buffer in (model.principal.center, model.principal.components):
            nn.init.normal_(buffer, std=0.1)
    return model


@pytest.mark.parametrize("principal", [False, True])
def test_the_last_numbers_lie_on_a_sphere(principal: bool) -> None:
    model = disturbed(small(semantic=4, inner=1, principal=principal))
    images = torch.rand(5, 3, 8, 8) * 2 - 1
    h = model.encode(images)
    assert h.shape == (5, 6)
    torch.testing.assert_close(h[:, 2:].square().mean(1), torch.ones(5))
    assert not model.with_latent_dims(1).encode(images)[:, 1:].any()
    # Both decoders read them.
    x = torch.randint(256, (5, 3, 8, 8))
    other = torch.cat((h[:, :2], h[:, 2:].roll(1, 0)), 1)
    assert not torch.allclose(model.predict(h), model.predict(other))
    assert not torch.allclose(model.log_prob(x, h), model.log_prob(x, other))


def test_a_vector_of_zeros_is_no_failure() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    on_sphere(z).sum().backward()
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())


def test_a_point_between_two_codes_is_one_that_a_picture_might_have() -> None:
    model = small(semantic=4)
    h = torch.randn(3, 6)
    h[1, 2:] = 0  # not told
    found = model.project(h)
    assert torch.equal(found[:, :2], h[:, :2])
    torch.testing.assert_close(found[:, 2:].square().mean(1), torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(model.project(found), found)
    assert small().project(h) is h


@pytest.mark.parametrize("size", [6, 10])
def test_sizes_that_only_semantic_numbers_forbid(size: int) -> None:
    assert small(size=size, patch=1).config.size == size
    with pytest.raises(ValueError, match="semantic encoder: size"):
        small(size=size, patch=1, semantic=2)


@pytest.mark.parametrize("before", [3, 6])
def test_numbers_are_added_or_take_the_place_of_others(before: int) -> None:
    old = disturbed(small(bottleneck=before, principal=True))
    new = build_model(replace(old.config, bottleneck=6, semantic=3, pixels=small().config.pixels))
    new.load_state_dict(with_semantic_latents(old.state_dict(), new))
    x = torch.randint(256, (3, 3, 8, 8))
    h = old.truncate(old.encode(to_signed(x, 256)), 3)
    told = new.encode(to_signed(x, 256))
    torch.testing.assert_close(told[:, :3], h[:, :3])
    torch.testing.assert_close(new.predict(told), old.predict(h))
    torch.testing.assert_close(new.log_prob(x, told), old.log_prob(x, h))


@pytest.mark.parametrize("inner", [0, 1])
def test_a_model_learns_of_more_numbers_and_does_what_it_did(inner: int) -> None:
    """The numbers that become semantic are forgotten; the others mean what they meant."""
    old = disturbed(small(inner=inner, principal=True, mean_channels=4))
    new = build_model(replace(old.config, semantic=4))
    grown = with_semantic_latents(old.state_dict(), new)
    assert shapes(grown) == shapes(new.state_dict())
    new.load_state_dict(grown)
    x = torch.randint(256, (3, 3, 8, 8))
    h = new.encode(to_signed(x, 256))
    before = old.truncate(old.encode(to_signed(x, 256)), 2)
    torch.testing.assert_close(h[:, :2], before[:, :2])
    assert bool(h[:, 2:].any())
    torch.testing.assert_close(new.predict(h), old.predict(before))
    assert old.pixels.null_vector is not None
    old.pixels.null_vector.data[2:] = 0  # "nothing" is told in numbers that are forgotten too
    for a, b in ((h, before), (None, None)):
        told = [m.log_prob(x, v) if v is not None else m.pixels.log_prob(x) for m, v in
                ((new, a), (old, b))]  # fmt: skip
        torch.testing.assert_close(*told)
    # Nothing to do, and nothing that could be done.
    weights = new.state_dict()
    assert with_semantic_latents(weights, new) is weights
    for other in (small(semantic=4, principal=True), small(semantic=4, patch=1)):
        weights = old.state_dict()
        assert with_semantic_latents(weights, other) is weights


def test_the_divergence_is_that_of_two_distributions() -> None:
    torch.manual_seed(0)
    head = nn.Linear(5, 7)
    taught = Distillation(StudentHead(2, 7), head)
    h, features = torch.randn(4, 2, requires_grad=True), torch.randn(4, 5)
    p, q = head(features).softmax(1), taught.student_head(h).softmax(1)
    expected = (p * (p.log() - q.log())).sum(1)
    found = taught(h, features.half().float())
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(taught(h, features), expected)
    assert bool((found >= 0).all())
    taught(h, features).sum().backward()
    assert h.grad is not None
    assert h.grad.any()
    assert head.weight.grad is None
    assert all(p.grad is not None for p in taught.student_head.parameters())
    # It is nought where the guess is what the classifier says.
    same = Distillation(StudentHead(5, 7), nn.Identity())
    said = same.student_head(features)
    torch.testing.assert_close(same(features, said.detach()), torch.zeros(4), atol=1e-6, rtol=0)


def test_what_has_no_weight_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    model = disturbed(small(semantic=3, mean_channels=4, principal=True))
    x, seen = torch.randint(256, (4, 3, 8, 8)), torch.randn(4, 5)
    teacher = Distillation(StudentHead(3, 7), nn.Linear(5, 7))

    def moved(recipe: AutoencoderRecipe, teacher: Distillation | None = None) -> set[str]:
        model.zero_grad()
        AutoencoderLoss(model, recipe, teacher)(x, vector=seen).backward()
        named = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()]
        return {name.partition(".")[0] for name in named}

    every = {"encoder", "mean", "pixels", "map_of_mean"}
    assert moved(AutoencoderRecipe()) == every
    assert moved(AutoencoderRecipe(semantic_weight=1.0), teacher) == {*every, "semantic"}
    alone = AutoencoderRecipe(bits_weight=0.0)
    assert moved(alone) == {"encoder", "mean"}
    assert moved(replace(alone, semantic_weight=1.0), teacher) == {"encoder", "mean", "semantic"}
    # Each loss counts as the recipe says.
    bits, both = (AutoencoderLoss(model, AutoencoderRecipe(bits_weight=w))(x) for w in (1.0, 2.0))
    mean = AutoencoderLoss(model, alone)(x)
    torch.testing.assert_close(both - mean, 2 * (bits - mean))
    told = model.encode(to_signed(x, 256))[:, 3:]
    apart = AutoencoderLoss(model, replace(alone, semantic_weight=0.5), teacher)(x, vector=seen)
    torch.testing.assert_close(apart - mean, 0.5 * teacher(told, seen).mean())


def test_what_is_not_told_is_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    model = disturbed(small(semantic=3, mean_channels=4, principal=True))
    x = torch.randint(256, (4, 3, 8, 8))
    chance = torch.tensor([0.1, 0.9, 0.2, 0.3])[:, None]
    monkeypatch.setattr(torch, "rand", lambda *size, device=None: chance)
    told = AutoencoderLoss(model, AutoencoderRecipe(semantic_dropout=0.25))(x)
    h = model.encode(to_signed(x, 256)).clone()
    h[[0, 2], 3:] = 0
    error = (model.predict(h) - to_signed(x, 256)).square().mean()
    torch.testing.assert_close(told, bits_per_dim(model.log_prob(x, h)).mean() + error)


def test_a_run_that_a_classifier_teaches(
    recipe_file: Path, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sees is looked at once, of larger pictures; stopped and resumed changes nothing; and
    weights without semantic numbers are where a run with them may start."""
    taught = [*TAUGHT, "autoencoder.semantic_size=16", "autoencoder.bits_weight=0"]
    plain = [o for o in SEMANTIC if not o.startswith("model.semantic")]
    train(load_recipe(recipe_file, [*plain, "schedule.steps=3"]), tmp_path / "plain")
    first = str(export(tmp_path / "plain", tmp_path / "plain-weights"))
    sizes: list[tuple[int, int]] = []
    real = distillation.classifier_features

    def watched(images: torch.Tensor, size: int, *more: Any, **named: Any) -> torch.Tensor:
        sizes.append((images.shape[-1], size))
        return real(images, size, *more, **named)

    monkeypatch.setattr(distillation, "classifier_features", watched)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    recipe = load_recipe(recipe_file, [*taught, "schedule.steps=30"])
    train(recipe, whole, init=first)
    assert sizes == [(16, 32)]
    assert (whole / FEATURES).is_file()
    train(recipe, parts, init=first, max_minutes=0)
    for minutes in (0.001, None):
        train(recipe, parts, resume=True, max_minutes=minutes)
    assert len(sizes) == 2
    states = [read_state(run)[1] for run in (whole, parts)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert "critic.0.weight" in states[0]
    assert not any("head" in name for name in states[0] if name.startswith("critic"))
    model = load_checkpoint(export(whole, tmp_path / "weights")).autoencoders[6]
    # Its figure is not that of a PixelCNN that it does not teach.
    facts = json.loads((tmp_path / "weights" / "config.json").read_text())["training"]
    assert 5 < facts["held_out_psnr"] < 40
    assert "dB PSNR, given the 6 numbers of each" in (tmp_path / "weights/README.md").read_text()
    # Another teacher would not go on with what this one began.
    for other in ("semantic_weight=0", "semantic_size=8"):
        changed = load_recipe(recipe_file, [*taught, "schedule.steps=40", f"autoencoder.{other}"])
        with pytest.raises(PixelgenError, match="another teacher of"):
            train(changed, whole, resume=True)
    # The PixelCNN is the old one; the rest has learned.
    old = load_checkpoint(first).autoencoders[6]
    for name, tensor in old.pixels.state_dict().items():
        if "null_vector" not in name and "condition.linear" not in name and "project" not in name:
            assert torch.equal(model.pixels.state_dict()[name], tensor), name
    images = load_images(pictures, "train", size=8).images
    assert model.semantic is not None
    h, _ = latents_and_means(model, images, 8)
    teacher = distillation.load_distillation(3)
    teacher.student_head.load_state_dict(part_of(states[0], "critic"))
    seen = load_file(whole / FEATURES)["features"].float()
    mine = h[:, 3:].clone()
    with torch.no_grad():
        mean, rolled = (float(teacher(told, seen).mean()) for told in (mine, mine.roll(1, 0)))
    assert mean < rolled
    # Codes between two of them are on their way through the sphere.
    made = pixelgen.load(tmp_path / "weights", "cpu").interpolate(_pil(images[:2]), steps=3, seed=0)
    assert len(made.images) == 3
    # Nothing teaches them where weights without them are to be gone on with.
    with pytest.raises(PixelgenError, match="latents without a teacher"):
        train(load_recipe(recipe_file, SEMANTIC), tmp_path / "untaught", init=first)
    assert not (tmp_path / "untaught").exists()
    # Nor are those of another build taken over.
    smaller = load_recipe(recipe_file, [*SEMANTIC, "model.semantic=2"])
    with pytest.raises(PixelgenError, match="latents without a teacher"):
        train(smaller, tmp_path / "untaught", init=str(tmp_path / "weights"))
    # The next part leaves them as they are, and needs no classifier.
    goes_on = load_recipe(recipe_file, [*SEMANTIC, "schedule.steps=3"])
    train(goes_on, tmp_path / "next", init=str(tmp_path / "weights"))
    assert len(sizes) == 2
    last = load_checkpoint(export(tmp_path / "next", tmp_path / "last")).autoencoders[6]
    torch.testing.assert_close(latents_and_means(last, images, 8)[0][:, 3:], h[:, 3:])
    linear = "first.condition.linear.weight"
    assert not torch.equal(last.pixels.get_parameter(linear), model.pixels.get_parameter(linear))


def test_features_of_the_pictures_as_they_are_trained_on(recipe_file: Path, tmp_path: Path) -> None:
    cropped = [*TAUGHT, "data.size=16", "data.crop=8", "schedule.steps=1"]
    train(load_recipe(recipe_file, cropped), tmp_path / "run")
    assert (tmp_path / "run" / FEATURES).is_file()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.semantic=2"], "semantic must lie in 0 … bottleneck - 1"),
        ([*SEMANTIC, "model.inner=4"], r"inner is at most bottleneck - semantic \(3\)"),
        ([*SEMANTIC, "model.semantic_patch=3"], "semantic encoder: size .8. must be a multiple"),
        ([*SEMANTIC, "model.semantic_place_features=0"], "semantic_place_features must be at"),
        (["autoencoder.semantic_weight=1"], "autoencoder.semantic_weight needs model.semantic"),
        (["autoencoder.semantic_dropout=0.1"], "semantic_dropout needs model.semantic"),
        (
            [*SEMANTIC, "autoencoder.semantic_dropout=1"],
            "semantic_dropout must be at least 0 and below 1",
        ),
        (["autoencoder.semantic_weight=-1"], "semantic_weight must not be negative"),
        (["autoencoder.bits_weight=-1"], "bits_weight must not be negative"),
        (["autoencoder.semantic_size=-1"], "semantic_size must not be negative"),
        ([*TAUGHT, "autoencoder.semantic_size=12"], "12"),
        ([*TAUGHT, "data.holdout=60"], "data.holdout is 60, the data has 40 pictures"),
        (
            [*TAUGHT, "data.size=16", "data.crop=8", "autoencoder.semantic_size=16"],
            "autoencoder.semantic_size excludes data.crop",
        ),
        (
            ["autoencoder.joint=false", "autoencoder.bits_weight=0"],
            "joint = false trains the encoder by the PixelCNN alone",
        ),
        (SEMANTIC, "latents without a teacher are those of a random network"),
    ],
)
def test_what_does_not_fit(
    recipe_file: Path, tmp_path: Path, overrides: list[str], says: str
) -> None:
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(recipe_file, overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()
