"""A tokenizer's losses: who learns from what, and what a stopped run keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.metrics.perceptual import (
    FaceDistance,
    class_divergence,
    load_perceptual,
)
from pixelgen.models import build_model
from pixelgen.models.config import FaceEmbedderConfig, TokenizerConfig
from pixelgen.models.efficientnet import feature_distance
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.publishing.export import export
from pixelgen.training.discriminator import Discriminator
from pixelgen.training.loop import train
from pixelgen.training.recipe import LossesRecipe, load_recipe
from pixelgen.training.state import read_state
from pixelgen.training.tasks.tokenizer import (
    TokenizerLoss,
    face_weights,
    pixel_loss,
    with_fine_stage,
    with_more_channels,
)

from .conftest import recipe_at

RECIPE = """
seed = 2
[model]
model = "tokenizer"
size = 32
patch = 4
wide_features = 8
wide_blocks = 1
deep_features = 8
deep_blocks = 1
output_features = 4
code_size = 4
code_channels = 2
[data]
path = "{data}"
holdout = 0
[losses]
adversarial = 0.1
perceptual = 0.5
perceptual_share = 0.5
[optimiser]
batch = 4
lr = 1e-2
warmup = 2
[schedule]
steps = 6
[intervals]
samples = 0
"""
CONFIG = TokenizerConfig(
    size=32, wide_features=8, wide_blocks=1, deep_features=8, deep_blocks=1, code_size=4
)


@pytest.fixture
def recipe_file(tmp_path: Path, write_pictures: Callable[..., Path]) -> Path:
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(12)]
    write_pictures(tmp_path / "data", "train", pictures, [0] * 12)
    path = tmp_path / "tokenizer.toml"
    recipe_at(path, RECIPE, data=tmp_path / "data")
    return path


@pytest.mark.parametrize("critic_loss", ["hinge", "paired"])
def test_critic_and_tokenizer_learn_from_opposite_sides(critic_loss: str) -> None:
    torch.manual_seed(0)
    perceptual = load_perceptual()
    critic = Discriminator(perceptual.widths, paired=critic_loss == "paired")
    losses = LossesRecipe(perceptual=1e-9, pixel_weight=0.0, adversarial=0.5, perceptual_share=1.0)
    objective = TokenizerLoss(build_model(CONFIG), losses, perceptual, critic)
    x = torch.randint(256, (4, 3, 32, 32))

    def gradients(module: torch.nn.Module) -> torch.Tensor:
        found = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
        return torch.cat(found) if found else torch.zeros(1)

    objective(x).backward()
    both = gradients(critic), gradients(objective.model)
    assert all(g.abs().max() > 0 for g in both)
    objective.zero_grad()
    with torch.no_grad():
        images = x / 127.5 - 1
        real = perceptual.features(images)
    made = perceptual.features(objective.model(images)[0])
    critic.loss(real, made).backward(retain_graph=True)
    torch.testing.assert_close(gradients(critic), both[0])
    assert not gradients(objective.model).any()
    objective.zero_grad()
    (0.5 * critic.fooled(real, made)).backward()
    assert not gradients(critic).any()
    torch.testing.assert_close(gradients(objective.model), both[1], atol=1e-6, rtol=1e-3)


def test_smoothness_holds_the_critic_back_where_features_change_a_little() -> None:
    torch.manual_seed(0)
    features = [torch.nn.functional.normalize(torch.randn(2, 8, 4, 4), dim=1) for _ in range(2)]
    steep = Discriminator([8], smoothness=1.0)
    flat = Discriminator([8])
    flat.load_state_dict(steep.state_dict())
    torch.manual_seed(0)
    penalty = steep.loss(features[:1], features[1:]) - flat.loss(features[:1], features[1:])
    assert penalty > 0
    # With noise so small the change of a mark is that of its gradient: |gradient of a unit|².
    total = 0.0
    for x in features:
        x = (x * 8**0.5).requires_grad_()
        marks = steep([x / 8**0.5])[0]
        for place in range(16):
            (g,) = torch.autograd.grad(marks[:, 0].flatten(1)[:, place].sum(), x, retain_graph=True)
            total += float(g.square().sum()) / marks.numel()
    assert float(penalty.detach()) == pytest.approx(total, rel=0.6)


def test_the_classifier_compares_what_it_says_of_picture_and_reconstruction() -> None:
    perceptual = load_perceptual(logits=True)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    features, logits = perceptual.see(images)
    assert len(features) == len(perceptual.widths) + 1
    assert logits is not None
    assert logits.shape == (2, 1000)
    assert class_divergence(logits, logits) == pytest.approx(0, abs=1e-6)
    said, real = logits.softmax(1), logits.flip(0).softmax(1)
    expected = (real * (real.log() - said.log())).sum(1).mean()
    torch.testing.assert_close(class_divergence(logits, logits.flip(0)), expected)
    assert load_perceptual().see(images)[1] is None


def small_embedder() -> FaceEmbedder:
    torch.manual_seed(5)
    config = FaceEmbedderConfig(
        size=32, wide_features=8, wide_blocks=1, deep_features=8, deep_blocks=1, embedding=4
    )
    return FaceEmbedder(config)


def test_the_face_distance_is_that_of_features_and_embeddings() -> None:
    embedder = small_embedder()
    faces, others = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    faces.requires_grad_()
    distances = FaceDistance(embedder)(faces, others)
    assert distances.shape == (2,)
    apart = (embedder(faces) - embedder(others)).square().sum(1)
    features, other_features = (
        [torch.nn.functional.normalize(x, dim=1) for x in embedder.features(images)]
        for images in (faces, others)
    )
    torch.testing.assert_close(distances, feature_distance(features, other_features) + apart)
    distances.sum().backward()
    assert faces.grad is not None
    assert faces.grad.abs().max() > 0
    assert all(p.grad is None for p in embedder.parameters())
    assert FaceDistance(embedder)(others, others).abs().max() == 0


def test_eyes_and_mouth_count_more_and_the_mean_stays() -> None:
    weights = face_weights(64, 2.0)
    assert weights.shape == (1, 1, 64, 64)
    assert float(weights.mean()) == pytest.approx(1)
    for x, y in ((22, 27), (41, 26), (24, 50)):
        assert float(weights[0, 0, y, x] / weights[0, 0, 0, 0]) == pytest.approx(3, rel=0.02)
    torch.testing.assert_close(face_weights(8, 0.0), torch.ones(1, 1, 8, 8))
    difference = torch.rand(2, 3, 64, 64) - 0.5
    weighted = pixel_loss(difference, "l1", weights)
    torch.testing.assert_close(weighted, (difference.abs() * weights).mean())
    a, b = torch.rand(2, 3, 5, 4, 4)
    equal = feature_distance([a], [b], torch.ones(1, 1, 64, 64))
    torch.testing.assert_close(equal, feature_distance([a], [b]))
    places = torch.zeros(1, 1, 8, 8)
    places[:, :, 2:4, 4:6] = 16  # of the features: row 1, column 2
    torch.testing.assert_close(
        feature_distance([a], [b], places), (a - b)[:, :, 1, 2].square().sum(1)
    )


def test_faces_are_compared_by_an_embedder(recipe_file: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "embedder", small_embedder(), card_text="# Embedder\n")
    losses = [f"losses.embedder={tmp_path.as_posix()}/embedder", "losses.identity=0.5"]
    train(load_recipe(recipe_file, [*losses, "losses.face_focus=2"]), tmp_path / "run")
    loaded = load_checkpoint(export(tmp_path / "run", tmp_path / "weights"))
    assert loaded.config.kind == "tokenizer"
    assert not (tmp_path / "weights" / "embedder.safetensors").exists()
    # The run has a copy of the embedder, which another name would not replace.
    other = load_recipe(recipe_file, ["losses.embedder=faces64", *losses[1:]])
    with pytest.raises(PixelgenError, match=r"started with another losses\.embedder"):
        train(other, tmp_path / "run", resume=True)
    smaller = ["model.size=16", "data.crop=16", "model.code_size=2"]
    recipe = load_recipe(recipe_file, [*losses, *smaller])
    with pytest.raises(PixelgenError, match=r"embeds faces of 32×32 pixels, model\.size is 16"):
        train(recipe, tmp_path / "no")
    for alone in losses:
        with pytest.raises(PixelgenError, match="identity and embedder need each other"):
            load_recipe(recipe_file, [alone])


def test_some_codes_are_moved_by_one_level() -> None:
    torch.manual_seed(0)
    model: Any = build_model(replace(CONFIG, code_channels=3))
    images = torch.rand(64, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        plain, moved = model(images)[1], model(images, 0.2)[1]
    levels = (moved - plain) * (model.config.levels - 1) / 2
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert levels.abs().max() == pytest.approx(1, abs=1e-4)
    assert moved.abs().max() <= 1
    assert 0.15 < float((levels.abs() > 0.5).double().mean()) <= 0.25
    assert abs(float(levels.mean())) < 0.05
    assert torch.equal(plain, model(images, 0.0)[1])


def test_a_new_fine_stage_changes_nothing_and_then_learns() -> None:
    torch.manual_seed(0)
    old = build_model(CONFIG)
    new = build_model(replace(CONFIG, fine_features=6, fine_blocks=1))
    new.load_state_dict(with_fine_stage(old.state_dict(), new))
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(old(images)[0], new(images)[0])
    new(images)[0].square().mean().backward()
    last = new.get_parameter("decoder.fine.3.weight").grad
    assert last is not None
    assert last.abs().max() > 0
    weights = new.state_dict()
    assert with_fine_stage(weights, new) is weights


def test_the_critic_is_saved_and_resumed_with_the_run(recipe_file: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(load_recipe(recipe_file), whole)
    train(load_recipe(recipe_file, ["schedule.steps=3", "schedule.decay=none"]), parts)
    train(load_recipe(recipe_file, ["schedule.decay=none"]), tmp_path / "undecayed")
    train(load_recipe(recipe_file, ["schedule.decay=none"]), parts, resume=True)
    first, second = read_state(tmp_path / "undecayed")[1], read_state(parts)[1]
    assert any(name.startswith("critic.") for name in first)
    assert any(name.startswith("optimiser.critic.") for name in first)
    assert all(torch.equal(first[name], second[name]) for name in first)
    exported = load_checkpoint(export(whole, tmp_path / "weights")).network.state_dict()
    assert not any("critic" in name for name in exported)


def test_a_critic_may_come_in_a_later_part(recipe_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def critic_after(steps: int, adversarial: float) -> list[torch.Tensor]:
        part = [f"schedule.steps={steps}", f"losses.adversarial={adversarial}"]
        outcome = train(load_recipe(recipe_file, part), run, resume=steps > 2)
        assert outcome.counters.step == steps
        tensors = read_state(run)[1]
        return [t for name, t in tensors.items() if name.startswith("critic.")]

    assert not critic_after(2, 0)
    first = critic_after(4, 0.1)
    assert first
    assert not critic_after(5, 0)
    again = critic_after(7, 0.1)
    assert len(again) == len(first)


def test_a_step_that_would_ruin_the_critic_is_skipped(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, calls = Discriminator.loss, iter(range(10**9))

    def bad(self: Discriminator, *features: Any) -> torch.Tensor:
        total = loss(self, *features)
        # A term of 0 whose gradient is not finite, in the third step.
        infinitely_steep = (next(self.parameters()).sum() * 0).abs().sqrt()
        return total + infinitely_steep if next(calls) == 3 else total

    monkeypatch.setattr(Discriminator, "loss", bad)
    counters = train(load_recipe(recipe_file), tmp_path / "run").counters
    assert (counters.step, counters.skipped) == (6, 1)
    assert all(tensor.isfinite().all() for tensor in read_state(tmp_path / "run")[1].values())


def test_decoder_only_keeps_every_code(recipe_file: Path, tmp_path: Path) -> None:
    train(load_recipe(recipe_file), tmp_path / "run")
    before = export(tmp_path / "run", tmp_path / "before")
    recipe = load_recipe(recipe_file, ["losses.decoder_only=true"])
    with pytest.raises(PixelgenError, match="decoder_only keeps the encoder"):
        train(recipe, tmp_path / "again")
    train(recipe, tmp_path / "again", init=str(before))
    networks: list[Any] = [
        load_checkpoint(folder).network
        for folder in (before, export(tmp_path / "again", tmp_path / "after"))
    ]
    old, new = networks
    for name, weights in old.encoder.state_dict().items():
        assert torch.equal(weights, new.encoder.state_dict()[name]), name
    assert not torch.equal(old.decoder.stem.weight, new.decoder.stem.weight)


def test_more_channels_begin_where_few_ended(recipe_file: Path, tmp_path: Path) -> None:
    train(load_recipe(recipe_file), tmp_path / "run")
    before = export(tmp_path / "run", tmp_path / "before")
    few: Any = load_checkpoint(before).network.float()
    many: Any = build_model(replace(few.config, code_channels=5))
    many.load_state_dict(with_more_channels(few.state_dict(), many))
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    codes = many.encode(images)
    assert torch.equal(codes[:, :2], few.encode(images))
    assert len(codes[:, 2:].unique()) > 1, "new channels say something"
    torch.testing.assert_close(many.decode(codes), few.decode(codes[:, :2]))

    more = ["model.code_channels=5", "schedule.steps=3"]
    train(load_recipe(recipe_file, more), tmp_path / "again", init=str(before))
    after: Any = load_checkpoint(export(tmp_path / "again", tmp_path / "after")).network
    assert after.decoder.stem.weight[:, 2:].abs().amax() > 0, "and are learnt to be read"
    for wrong in ("model.code_channels=1", "losses.decoder_only=true"):
        with pytest.raises(PixelgenError, match=r"decoder\.stem|encoder\.out"):
            train(load_recipe(recipe_file, [*more, wrong]), tmp_path / "no", init=str(before))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("adversarial=-1", "adversarial must"),
        ("perceptual=0", "adversarial needs"),
        ("code_noise=2", "code_noise must"),
    ],
)
def test_bad_losses(recipe_file: Path, value: str, says: str) -> None:
    with pytest.raises(PixelgenError, match=says):
        load_recipe(recipe_file, [f"losses.{value}"])
