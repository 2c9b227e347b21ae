"""Auto-encoders in training: two losses, one encoder, one folder for several bottlenecks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.metrics.latents import latents_and_means
from pixelgen.models import AutoencoderConfig, build_model, config_from_dict
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.publishing.export import export
from pixelgen.training.loop import train
from pixelgen.training.recipe import AutoencoderRecipe, load_recipe, recipe_text
from pixelgen.training.state import read_state
from pixelgen.training.tasks.autoencoder import AutoencoderLoss, AutoencoderTask, with_own_encoder

from .conftest import recipe_at

RECIPE = """
seed = 3
[model]
model = "autoencoder"
size = 8
patch = 2
wide_features = 8
wide_blocks = 0
deep_features = 8
deep_blocks = 1
place_features = 4
output_features = 4
bottleneck = 2
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
noise = 0.05
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


PRINCIPAL = ["model.principal=true", "model.mean_channels=4"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """60 pictures of two halves, each half of a colour of its own, with a little noise."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(60):
        picture = np.empty((8, 8, 3))
        picture[:, :4], picture[:, 4:] = draw.integers(20, 236, (2, 3))
        found.append((picture + draw.integers(-8, 9, (8, 8, 3))).astype(np.uint8))
    return write_pictures(tmp_path_factory.mktemp("halves"), "train", found)


@pytest.fixture
def recipe_file(pictures: Path, tmp_path: Path) -> Path:
    return recipe_at(tmp_path / "autoencoder.toml", RECIPE, data=pictures)


def random_model(**more: Any) -> Autoencoder:
    torch.manual_seed(0)
    pixels = {"patch": 2, "features": 8, "layers": 1, "channel_order": "head", "head_features": 4}
    small = {"size": 8, "patch": 2, "wide_features": 8, "deep_features": 8, "bottleneck": 3}
    config = config_from_dict({"model": "autoencoder", **small, **more, "pixels": pixels})
    assert isinstance(config, AutoencoderConfig)
    return build_model(config)


def gradient(objective: AutoencoderLoss, x: torch.Tensor, **more: Any) -> dict[str, torch.Tensor]:
    objective.zero_grad()
    objective(x, **more).backward()
    return {
        name: p.grad.clone()
        for name, p in objective.model.named_parameters()
        if p.grad is not None and p.grad.any()
    }


def test_the_loss_is_what_the_recipe_says() -> None:
    model, x = random_model(), torch.randint(256, (4, 3, 8, 8))
    images = to_signed(x, 256)
    h = model.encode(images)
    bits = bits_per_dim(model.log_prob(x, h)).mean()
    error = (model.mean(h) - images).square().mean()
    found = AutoencoderLoss(model, AutoencoderRecipe(mean_weight=0.5))(x)
    torch.testing.assert_close(found, bits + 0.5 * error)
    noisy = AutoencoderLoss(model, AutoencoderRecipe(noise=0.5))(x)
    assert not torch.allclose(noisy, bits + error)


def test_who_teaches_the_encoder() -> None:
    model, x = random_model(), torch.randint(256, (4, 3, 8, 8))
    every = torch.ones(4, dtype=torch.bool)
    joint = AutoencoderLoss(model, AutoencoderRecipe())
    apart = AutoencoderLoss(model, AutoencoderRecipe(joint=False))
    encoder = "encoder.out.weight"
    both, likelihood = gradient(joint, x), gradient(apart, x)
    assert not torch.allclose(both[encoder], likelihood[encoder])
    for name in both:  # the decoders themselves learn the same
        if not name.startswith("encoder."):
            torch.testing.assert_close(both[name], likelihood[name])
    # Where h is left out, only squared errors are left to teach it.
    assert encoder in gradient(joint, x, dropped=every)
    left = gradient(apart, x, dropped=every)
    assert not any(name.startswith("encoder.") for name in left)
    assert "pixels.null_vector" in left
    half = torch.tensor([True, False, False, False])
    assert {encoder, "pixels.null_vector"} <= gradient(apart, x, dropped=half).keys()


def test_bits_with_its_own_h_are_fewer(recipe_file: Path, tmp_path: Path, pictures: Path) -> None:
    run = tmp_path / "run"
    outcome = train(load_recipe(recipe_file, ["schedule.steps=150", "intervals.samples=100"]), run)
    (sheet,) = (run / "samples").iterdir()
    with Image.open(sheet) as shown:
        assert shown.size == (6 * 8, 8 * 8)
    model = load_checkpoint(export(run, tmp_path / "weights")).autoencoders[2]
    images = load_images(pictures, "train").images
    h, means = latents_and_means(model, images, 7)
    assert means.shape == images.shape
    own, other = (
        float(image_bits(model.pixels, images, Condition(vector=v), 16).mean())
        for v in (h, h.roll(1, 0))
    )
    without = float(image_bits(model.pixels, images, None, 16).mean())
    assert own < without < other
    assert outcome.counters.held_out is not None
    assert outcome.counters.held_out < without
    plain = images.double().mean(0, keepdim=True)
    errors = [(images - made.double()).square().mean() for made in (means, plain)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("more", [[], PRINCIPAL])
def test_stopped_and_resumed_is_bit_identical(
    recipe_file: Path, tmp_path: Path, more: list[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(load_recipe(recipe_file, more), whole)
    train(load_recipe(recipe_file, more), parts, max_minutes=0)
    for minutes in (0.001, None):
        train(load_recipe(recipe_file, more), parts, resume=True, max_minutes=minutes)
    first, second = read_state(whole)[1], read_state(parts)[1]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_folder_of_two_runs(recipe_file: Path, tmp_path: Path, pictures: Path) -> None:
    small, large, folder = tmp_path / "2", tmp_path / "5", tmp_path / "weights"
    train(load_recipe(recipe_file), small)
    train(load_recipe(recipe_file, ["model.bottleneck=5"]), large)
    export(large, folder, others=[small])
    loaded = load_checkpoint(folder)
    assert loaded.config.bottlenecks == (2, 5)
    assert loaded.config.training["steps"] == 20
    assert loaded.config.training["others"][0]["held_out_bits_per_dim"] > 0
    images = load_images(pictures, "train").images[:5]
    for run, size in ((small, 2), (large, 5)):
        alone = load_checkpoint(export(run, tmp_path / f"alone{size}")).autoencoders[size]
        together = latents_and_means(loaded.autoencoders[size], images, 5)
        for a, b in zip(latents_and_means(alone, images, 5), together, strict=True):
            assert torch.equal(a, b)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "8×8 pictures as 2 or 5 numbers, and back" in card
    assert "| bits/dim, given the 5 numbers of each, 12 pictures held out" in card
    for text, size in zip(card.split("```toml\n")[1:], (2, 5), strict=True):
        again = tmp_path / f"{size}.toml"
        again.write_text(text.split("```")[0], encoding="utf-8")
        recipe = load_recipe(again)
        public = f"data.path={Path(load_recipe(recipe_file).data.path).name}"
        assert recipe == load_recipe(recipe_file, [f"model.bottleneck={size}", public])
        assert recipe_text(recipe) == again.read_text(encoding="utf-8")
    # A new run finds the auto-encoder of its own size.
    train(load_recipe(recipe_file, ["schedule.steps=1"]), tmp_path / "more", init=str(folder))
    train(
        load_recipe(recipe_file, ["schedule.steps=1", "model.bottleneck=5"]),
        tmp_path / "larger",
        init=str(folder),
    )
    # It tells how its own auto-encoder was trained before.
    for part, size, known in (("more", 2, small), ("larger", 5, large)):
        before = read_state(tmp_path / part)[0].history
        assert f"bottleneck = {size}" in before["recipe"]
        assert "others" not in before
        assert before["minutes"] == round(read_state(known)[0].counters.seconds / 60, 1)
    export(tmp_path / "larger", folder, others=[tmp_path / "more"], overwrite=True)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert [line for line in card.split("\n") if line.startswith("### ")] == [
        "### 2 numbers",
        "### 5 numbers",
    ]
    assert card.count("Part 1: 20 steps") == card.count("Part 2: 1 steps") == 2
    wrong = load_recipe(recipe_file, ["schedule.steps=1", "model.pixels.features=4"])
    with pytest.raises(PixelgenError, match=r"tensor pixels\..* is \[16\], the model's is \[8"):
        train(wrong, tmp_path / "wrong", init=str(folder))


def test_another_build_begins_with_the_pixelcnn(
    recipe_file: Path, tmp_path: Path, pictures: Path
) -> None:
    """The PixelCNN is kept, but for what it read of an h that means something else now."""
    train(load_recipe(recipe_file), tmp_path / "old")
    old = load_checkpoint(export(tmp_path / "old", tmp_path / "old-weights"))
    more = [*PRINCIPAL, "model.bottleneck=3"]
    first = load_recipe(recipe_file, ["schedule.steps=0", "schedule.minutes=9", *more])
    train(first, tmp_path / "new", init=str(tmp_path / "old-weights"), max_minutes=0)
    weights = export(tmp_path / "new", tmp_path / "new-weights")
    new = load_checkpoint(weights)
    before, after = old.autoencoders[2].pixels, new.autoencoders[3].pixels
    assert before.map_network is not None
    torch.nn.init.zeros_(before.map_network.last.weight)  # of a map no bias can tell
    torch.nn.init.zeros_(before.map_network.get_parameter("last.bias"))
    # Whatever it is told, it draws as the old one does that is told nothing.
    x = load_images(pictures, "train").images[:6].long()
    expected = before.log_prob(x)
    assert before.null_vector is not None
    assert before.null_vector.any()
    told = new.autoencoders[3].condition(torch.randn(6, 3))
    for condition in (told, None):
        torch.testing.assert_close(after.log_prob(x, condition), expected, atol=0.02, rtol=0.01)
    # So it is known how the old one was trained, and the average begins with the new parts.
    state, _ = read_state(tmp_path / "new")
    assert "bottleneck = 2" in state.history["recipe"]
    assert state.ema_updates == 0
    # Weights of the same build are taken whole, with the principal components that they know.
    again = [*more, "schedule.steps=1", "data.holdout=30", "optimiser.lr=1e-9"]
    train(load_recipe(recipe_file, again), tmp_path / "more", init=str(weights))
    goes_on, found = read_state(tmp_path / "more")
    assert goes_on.ema_updates > 10
    for name, tensor in new.autoencoders[3].state_dict().items():
        if name.startswith("principal."):
            assert tensor.any()
            assert torch.equal(found[f"model.{name}"], tensor), name


def test_what_nothing_told_goes_into_the_biases() -> None:
    old, new = random_model(mean_channels=4), random_model(mean_channels=3, bottleneck=5)
    for parameter in (old.pixels.null_vector, old.pixels.null_map):
        assert parameter is not None
        torch.nn.init.normal_(parameter)
    new.load_state_dict(with_own_encoder(old.state_dict(), new))
    x = torch.randint(256, (2, 3, 8, 8))
    torch.testing.assert_close(new.pixels.log_prob(x), old.pixels.log_prob(x))
    assert with_own_encoder(old.state_dict(), old).keys() == old.state_dict().keys()


def test_a_pixelcnn_alone_becomes_a_decoder(recipe_file: Path, tmp_path: Path) -> None:
    """The PixelCNN is taken whole: layers that the recipe lacks are not left out in silence."""
    alone = load_recipe(recipe_file).model.to_dict()["pixels"]
    settings = {"schedule.steps": 3, "data.holdout": 12, "optimiser.batch": 8}
    model = {"model": "gated_pixelcnn", **alone, "map_channels": 0, "height": 8, "width": 8}
    lines = ["[model]", *(f"{k} = {json.dumps(v)}" for k, v in model.items())]
    path = tmp_path / "alone.toml"
    data = load_recipe(recipe_file).data.path
    path.write_text("\n".join([*lines, "[data]", f'path = "{data}"']), encoding="utf-8")
    train(load_recipe(path, [f"{k}={v}" for k, v in settings.items()]), tmp_path / "alone")
    weights = export(tmp_path / "alone", tmp_path / "alone-weights")
    run = tmp_path / "run"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run, init=str(weights), max_minutes=0)
    known = load_checkpoint(weights).network.state_dict()
    found = read_state(run)[1]
    same = [n for n, t in known.items() if torch.equal(found[f"model.pixels.{n}"], t.float())]
    assert len(same) == len(known)
    shallow = load_recipe(recipe_file, ["schedule.steps=1", "model.pixels.layers=0"])
    with pytest.raises(PixelgenError, match=r"pixels\.layers\.0\..* that the model lacks"):
        train(shallow, tmp_path / "shallow", init=str(weights))
    deep = load_recipe(recipe_file, ["schedule.steps=1", "model.pixels.layers=2"])
    with pytest.raises(PixelgenError, match=r"has no tensor pixels\.layers\.1\."):
        train(deep, tmp_path / "deep", init=str(weights))
    whole = str(export(run, tmp_path / "whole"))
    says = "whole is an autoencoder: a gated_pixelcnn cannot start from it"
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(path, ["data.holdout=12"]), tmp_path / "back", init=whole)


def test_held_out_figures_know_no_dropout(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["model.pixels.dropout=0.5", *PRINCIPAL])
    model = build_model(recipe.model)
    images = torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8)
    task = AutoencoderTask(recipe)
    in_training = task.held_out(model.train(), images, None)
    assert model.pixels.training
    assert torch.equal(in_training, task.held_out(model.eval(), images, None))


def test_too_few_pictures_for_principal_components(recipe_file: Path, tmp_path: Path) -> None:
    few = ["model.bottleneck=50", *PRINCIPAL]
    with pytest.raises(PixelgenError, match="50 principal components need more pictures than 48"):
        train(load_recipe(recipe_file, few), tmp_path / "run")


def test_one_run_of_two_bottlenecks(recipe_file: Path, tmp_path: Path, pictures: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    both = ["model.bottleneck=5", "model.inner=2", "schedule.steps=150"]
    train(load_recipe(recipe_file, both), run)
    loaded = load_checkpoint(export(run, folder))
    assert loaded.config.bottlenecks == (2, 5)
    assert loaded.config.training_of(2) == loaded.config.training_of(5) == loaded.config.training
    images = load_images(pictures, "train").images[:40]
    error = {}
    for size, model in loaded.autoencoders.items():
        h, means = latents_and_means(model, images, 20)
        assert bool((h[:, :size] != 0).all())
        assert not h[:, size:].any()
        error[size] = float((means.float() - images.float()).square().mean())
    # Six numbers make a picture; two leave out most, but tell more than none.
    plain = float((images.float() - images.float().mean(0)).square().mean())
    assert error[5] < error[2] < plain
    made = pixelgen.load(folder).reconstruct([*_pil(images[:2])], n=1, seed=0)
    assert [(r.bottleneck, len(r.samples)) for r in made.by_source[0]] == [(2, 1), (5, 1)]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "8×8 pictures as 2 or 5 numbers, and back" in card
    train(load_recipe(recipe_file, ["schedule.steps=1"]), tmp_path / "other")
    with pytest.raises(PixelgenError, match="has two bottlenecks already"):
        export(tmp_path / "other", tmp_path / "w", others=[run])


def _pil(images: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


def test_figures_enter_the_card(recipe_file: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    bits = {"bits_per_dim": 3.21, "standard_error": 0.01}
    judged = {"top1": 0.25, "top5": 0.5, "kid": {"mean": 0.01, "standard_error": None}}
    near = {"psnr": 20.5, "ssim": 0.7, "perceptual": None, "sharpness": 0.4}
    measured = {
        "pictures": 7,
        "sampling": {"temperature": 0.9, "top_p": 1.0, "guidance": 2.0, "seed": 0},
        "judge_size": 128,
        "bottlenecks": [
            {
                "bottleneck": 2,
                "given": bits,
                "shuffled": bits,
                "without": None,
                "mean": {**near, "judged": judged},
                "samples": {**near, "judged": None},
            }
        ],
    }
    values = {"data": "d", "split": "s", "images": 9, "reconstruction": None}
    values["autoencoders"] = measured
    (tmp_path / "e.json").write_text(json.dumps(values), encoding="utf-8")
    export(run, folder, evaluation=tmp_path / "e.json")
    card = (folder / "README.md").read_text(encoding="utf-8")
    again = "`pixelgen evaluate weights --data d --split s`"
    assert (
        f"| bits/dim, given the 2 numbers of another picture, s split, 9 pictures "
        f"| 3.2100 ± 0.0100 | {again} |" in card
    )
    assert "bits/dim, not told" not in card
    of = "the means of 2 numbers, 7 pictures of the s split"
    made = "--reconstructions 7 --quality --temperature 0.9 --top-p 1.0 --guidance 2.0 --seed 0` |"
    assert f"| dB PSNR / SSIM of {of} | 20.50 / 0.7000 | {again[:-1]} {made}" in card
    assert "| 25.0% / 50.0% |" in card
    of = "the PixelCNN samples of 2 numbers, 7 pictures of the s split"
    some = f"{again[:-1]} {made.replace('--quality ', '')[:-2]}"
    assert f"| gradient energy, originals = 1, of {of} | 0.400 | {some} |" in card


def test_runs_that_do_not_belong_together(recipe_file: Path, tmp_path: Path) -> None:
    steps = "schedule.steps=1"
    train(load_recipe(recipe_file, [steps]), tmp_path / "a")
    train(load_recipe(recipe_file, [steps, "seed=4"]), tmp_path / "b")
    warm = [steps, "model.bottleneck=5", "sampling.temperature=0.9"]
    train(load_recipe(recipe_file, warm), tmp_path / "c")
    for other, says in (("b", "two runs have the bottleneck 2"), ("c", r"differ in \[sampling\]")):
        with pytest.raises(PixelgenError, match=says) as caught:
            export(tmp_path / "a", tmp_path / "weights", others=[tmp_path / other])
        assert isinstance(caught.value, UsageError)
    with pytest.raises(PixelgenError, match="no run in"):
        export(tmp_path / "a", tmp_path / "weights", others=[tmp_path / "d"])
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("autoencoder.mean_weight=0", "mean_weight must be positive"),
        ("autoencoder.noise=-1", "noise must not be negative"),
        ("autoencoder.inner_share=1", "inner_share must lie between 0 and 1"),
        ("autoencoder.means=1", "unknown key 'autoencoder.means'"),
        ("data.embedder=x", "data.embedder does not apply to model 'autoencoder'"),
        ("data.tokenizer=x", "data.tokenizer does not apply to model 'autoencoder'"),
        ("losses.pixel=l2", r"\[losses\] requires a tokenizer"),
        ("model.pixels.feature=3", r"\[model\] pixels: unknown key 'feature'"),
        ("model.size=16", "the auto-encoder takes"),
    ],
)
def test_what_does_not_fit(recipe_file: Path, tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(recipe_file, [override]), tmp_path / "run")


def test_the_section_is_for_auto_encoders(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        '[model]\nmodel = "gated_pixelcnn"\noutput_features = 240\n[autoencoder]\nnoise = 0.1\n'
    )
    with pytest.raises(PixelgenError, match=r"\[autoencoder\] requires an auto-encoder"):
        load_recipe(path)
