"""PixelVAE in training: the ELBO, free bits, and a latent that is used."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.autoencoders import measure_autoencoders
from pixelgen.models import PixelVAEConfig, build_model
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.models.pixelvae import PixelVAE
from pixelgen.publishing.export import export
from pixelgen.training.loop import train
from pixelgen.training.recipe import AutoencoderRecipe, load_recipe
from pixelgen.training.state import read_state
from pixelgen.training.tasks import kind_of_task
from pixelgen.training.tasks.pixelvae import PixelVAELoss, PixelVAETask

from .conftest import recipe_at

RECIPE = """
seed = 3
[model]
model = "pixelvae"
size = 8
patch = 2
wide_features = 8
wide_blocks = 0
deep_features = 8
deep_blocks = 1
place_features = 4
output_features = 4
bottleneck = 3
[model.pixels]
patch = 2
features = 8
layers = 1
kernel = 3
first_kernel = 3
output_features = 16
channel_order = "head"
head_features = 8
likelihood = "logistic"
mixtures = 2
map_channels = 3
[data]
path = "{data}"
holdout = 12
[autoencoder]
mean_weight = 2.0
joint = false
free_bits = 1.0
[optimiser]
batch = 8
lr = 1e-2
warmup = 5
ema = 0.9
[schedule]
steps = 20
[intervals]
samples = 0
"""
VALUES = 3 * 8 * 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """60 pictures of one colour each, with a little noise."""
    draw = np.random.default_rng(0)
    made = [
        (draw.integers(20, 236, 3) + draw.integers(-8, 9, (8, 8, 3))).astype(np.uint8)
        for _ in range(60)
    ]
    return write_pictures(tmp_path_factory.mktemp("colours"), "train", made)


@pytest.fixture
def recipe_file(pictures: Path, tmp_path: Path) -> Path:
    return recipe_at(tmp_path / "pixelvae.toml", RECIPE, data=pictures)


def model_of(recipe_file: Path) -> PixelVAE:
    torch.manual_seed(0)
    config = load_recipe(recipe_file).model
    assert isinstance(config, PixelVAEConfig)
    return build_model(config)


def test_the_loss_is_the_elbo_and_the_error_of_the_mean(recipe_file: Path) -> None:
    model, x = model_of(recipe_file), torch.randint(256, (4, 3, 8, 8))
    images = to_signed(x, 256)
    q = model.posterior(images)
    torch.manual_seed(7)
    h = q.at(torch.randn(4, 3))
    elbo = bits_per_dim(model.log_prob(x, h)).mean()
    elbo = elbo + q.kl().sum(1).mean() / math.log(2) / VALUES
    error = (model.predict(h) - images).square().mean()
    torch.manual_seed(7)
    found = PixelVAELoss(model, AutoencoderRecipe(mean_weight=0.5))(x)
    torch.testing.assert_close(found, elbo + 0.5 * error)


def test_the_encoder_learns_from_the_elbo_alone(recipe_file: Path) -> None:
    model, x = model_of(recipe_file), torch.randint(256, (4, 3, 8, 8))
    gradients = []
    for weight in (0.5, 50.0):
        objective = PixelVAELoss(model, AutoencoderRecipe(mean_weight=weight, joint=False))
        objective.zero_grad()
        torch.manual_seed(7)
        objective(x).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
        gradients[-1] = {name: g.clone() for name, g in gradients[-1].items()}
    first, second = gradients
    assert "encoder.out.weight" in first
    differing = [name for name in first if not torch.equal(first[name], second[name])]
    assert differing
    assert all(name.startswith("mean.") for name in differing)


def test_free_bits_cost_nothing_and_dropped_latents_neither(recipe_file: Path) -> None:
    model, x = model_of(recipe_file), torch.randint(256, (2, 3, 8, 8))
    kl = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 5.0]]).requires_grad_()
    bits = math.log(2)
    loss = PixelVAELoss(model, AutoencoderRecipe(free_bits=1.0, bits_weight=3.0))
    cost = loss.latent_cost(kl * bits, x, None)
    assert float(cost.detach()) == pytest.approx(3 * (1 + 3 + 5) / VALUES)
    (gradient,) = torch.autograd.grad(cost, kl)
    assert not gradient[:, 0].any()
    assert bool((gradient[:, 1:] > 0).all())
    plain = PixelVAELoss(model, AutoencoderRecipe())
    without = plain.latent_cost(kl * bits, x, torch.tensor([True, False]))
    assert float(without.detach()) == pytest.approx((1 + 4 + 5) / 2 / VALUES)


def test_stopped_and_resumed_is_bit_identical(recipe_file: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(load_recipe(recipe_file), whole)
    train(load_recipe(recipe_file), parts, max_minutes=0)
    for minutes in (0.001, None):
        train(load_recipe(recipe_file), parts, resume=True, max_minutes=minutes)
    first, second = read_state(whole)[1], read_state(parts)[1]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_latent_is_used_and_paid_for(recipe_file: Path, tmp_path: Path, pictures: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "vae"
    recipe = load_recipe(recipe_file, ["schedule.steps=100", "intervals.samples=100"])
    outcome = train(recipe, run)
    assert len([*(run / "samples").iterdir()]) == 1
    weights = load_checkpoint(export(run, folder))
    measured = measure_autoencoders(weights, pictures, "train", reconstructions=4)
    assert measured.bound is not None
    assert measured.autoencoders is not None
    (latent,) = measured.autoencoders.bottlenecks
    assert latent.given is not None
    assert latent.shuffled is not None
    own, other = latent.given.bits_per_dim, latent.shuffled.bits_per_dim
    assert own < min(other, measured.bound.prior.bits_per_dim)
    bound = measured.bound
    assert bound.kl.bits_per_dim > 0
    assert bound.elbo.bits_per_dim == pytest.approx(own + bound.kl.bits_per_dim)
    assert bound.importance_weighted.bits_per_dim < bound.elbo.bits_per_dim
    # The held-out figure is a bound too, and the card says so.
    held = weights.config.training["held_out_bits_per_dim_bound"]
    assert held == outcome.counters.held_out
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| bits/dim (upper bound, ELBO), 12 pictures held out" in card
    assert "pixelgen sample -n 16 --weights vae" in card
    assert "exact" not in card
    assert len(pixelgen.load(folder, "cpu").sample(n=2, seed=1)) == 2
    images = load_images(pictures, "train").images[:5]
    task = PixelVAETask(recipe)
    figures = task.held_out(weights.pixelvae, images, None)
    assert torch.equal(figures, task.held_out(weights.pixelvae, images, None))
    # Another run starts from it, an auto-encoder from its PixelCNN alone.
    short = ["schedule.steps=1"]
    train(load_recipe(recipe_file, short), tmp_path / "more", init=str(folder))
    assert read_state(tmp_path / "more")[0].ema_updates > 10
    with pytest.raises(UsageError, match="is not the run of an auto-encoder"):
        export(run, tmp_path / "both", others=[tmp_path / "more"])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["autoencoder.free_bits=-1"], "free_bits must not be negative"),
        (["autoencoder.noise=0.1"], "autoencoder.noise does not apply to model 'pixelvae'"),
        (
            ["autoencoder.bits_weight=0", "autoencoder.joint=true"],
            "model 'pixelvae' needs autoencoder.bits_weight",
        ),
        (["model.model=autoencoder"], "autoencoder.free_bits requires model 'pixelvae'"),
        (["model.inner=1"], r"inner requires model = \"autoencoder\""),
        (["model.size=16"], "the auto-encoder takes"),
    ],
)
def test_what_does_not_fit(
    recipe_file: Path, tmp_path: Path, overrides: list[str], says: str
) -> None:
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(recipe_file, overrides), tmp_path / "run")


def test_the_task_is_its_own(recipe_file: Path) -> None:
    assert kind_of_task(load_recipe(recipe_file)) is PixelVAETask
