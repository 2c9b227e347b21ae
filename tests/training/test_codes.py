"""From a tokenizer's recipe to a model of its codes, in one folder that draws pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.models.likelihood import to_signed
from pixelgen.publishing.export import export, export_weights
from pixelgen.publishing.model_card import card_from_config
from pixelgen.training.batches import Batches, hold_out
from pixelgen.training.codes import CODES, EncodedBatches
from pixelgen.training.logs import SilentWatcher
from pixelgen.training.loop import TrainingRun, train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.state import read_state

from .conftest import dark_and_bright, recipe_at

TOKENIZER = """
seed = 2
[model]
model = "tokenizer"
size = 8
patch = 2
wide_features = 16
wide_blocks = 1
deep_features = 16
deep_blocks = 1
output_features = 4
code_size = 2
code_channels = 2
levels = 5
[data]
path = "{data}"
crop = 8
jitter = 1
holdout = 8
[losses]
perceptual = 0.0
[optimiser]
batch = 8
lr = 1e-2
warmup = 5
ema = 0.9
[schedule]
steps = 60
[intervals]
samples = 0
"""
PRIOR = """
seed = 3
[model]
model = "gated_pixelcnn"
channels = 2
height = 2
width = 2
levels = 5
features = 8
layers = 1
kernel = 3
first_kernel = 3
output_features = 16
channel_order = "head"
head_features = 8
classes = 2
[data]
path = "{data}"
crop = 8
jitter = 1
tokenizer = "{tokenizer}"
views = 3
holdout = 8
[optimiser]
batch = 8
lr = 1e-2
warmup = 5
ema = 0.9
[schedule]
steps = 20
[intervals]
samples = 100
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    return dark_and_bright(write_pictures, tmp_path_factory.mktemp("pictures"), 10, 8, 20, 180)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Exported weights of a tokenizer trained for a second."""
    folder = tmp_path_factory.mktemp("tokenizer")
    recipe_at(folder / "t.toml", TOKENIZER, data=pictures)
    outcome = train(load_recipe(folder / "t.toml"), folder / "run")
    assert outcome.counters.held_out is not None
    assert outcome.counters.held_out > 15  # dB; a grey picture reaches 9
    return export(folder / "run", folder / "weights")


@pytest.fixture
def prior_recipe(tmp_path: Path, pictures: Path, tokenizer: Path) -> Path:
    return recipe_at(tmp_path / "prior.toml", PRIOR, data=pictures, tokenizer=tokenizer)


def test_one_folder_draws_pictures_and_is_measured(
    prior_recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(prior_recipe, ["schedule.steps=150"]), run)
    assert [p.name for p in (run / "samples").iterdir()] == ["00000150.png"]
    export(run, folder)
    loaded = load_checkpoint(folder)
    assert loaded.config.kind == "coded-pixelcnn"
    assert loaded.config.image_shape == (3, 8, 8)
    seen: list[tuple[int, int, tuple[int, int]]] = []
    loaded_weights = pixelgen.load(folder)
    result = loaded_weights.sample(
        classes=[4, 7],
        n=3,
        seed=1,
        on_step=lambda p: seen.append((p.done, int(p.pending().sum()), p.images()[0].size)),
    )
    assert [i.size for i in result.images] == [(8, 8)] * 6
    assert seen == [(done, 64 - 16 * done, (8, 8)) for done in range(5)]
    one_by_one = loaded_weights.sample(classes=[4, 7], n=3, seed=1, batch_size=1).images
    assert [i.tobytes() for i in result.images] == [i.tobytes() for i in one_by_one]
    means = [np.asarray(i).mean() for i in result.images]
    assert max(means[:3]) < min(means[3:])  # dark ones, then bright ones

    figures = evaluate(loaded, pictures, "validation")
    assert figures.main is not None
    assert 0 < figures.main.bits_per_dim < 3
    assert figures.reconstruction is not None
    assert figures.reconstruction.psnr > 15
    (tmp_path / "e.json").write_text(
        json.dumps(
            {
                "data": "d",
                "split": "s",
                "images": 40,
                "conditional": {"bits_per_dim": 1.5, "standard_error": None},
                "reconstruction": {"psnr": 20.0, "ssim": 0.5, "perceptual": 0.25},
            }
        )
    )
    export(run, folder, evaluation=tmp_path / "e.json", overwrite=True)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| bits/code, conditional, s split, 40 pictures | 1.5000 |" in card


def test_a_tokenizer_alone_is_measured_but_draws_nothing(tokenizer: Path, pictures: Path) -> None:
    loaded = load_checkpoint(tokenizer)
    assert loaded.config.kind == "tokenizer"
    figures = evaluate(loaded, pictures, "validation")
    assert figures.main is None
    assert figures.reconstruction is not None
    assert 0 < figures.reconstruction.ssim <= 1
    with pytest.raises(PixelgenError, match="is a tokenizer"):
        pixelgen.load(tokenizer).sample(n=1)


def test_codes_are_those_of_the_pictures_and_kept(
    prior_recipe: Path, pictures: Path, tokenizer: Path, tmp_path: Path
) -> None:
    from accelerate import Accelerator

    recipe, folder = load_recipe(prior_recipe), tmp_path / "run"
    data = load_images(pictures, "train")
    run: Any = TrainingRun(recipe, folder, data, Accelerator(), SilentWatcher())
    codec = load_checkpoint(tokenizer).codec
    middle = data.images[:, :, 1:9, 1:9]
    assert run.batches.views.shape == (3, 40, 2, 2, 2)
    plain = codec.encode(to_signed(middle, 256))
    mirrored = codec.encode(to_signed(middle.flip(-1), 256))
    # A few numbers may lie at the border of two levels, where the batch decides.
    assert (run.batches.views[0] == plain).float().mean() > 0.99
    assert (run.batches.views[1] == mirrored).float().mean() > 0.99
    assert not torch.equal(run.batches.views[2], run.batches.views[0])
    written = (folder / CODES).stat().st_mtime_ns
    again: Any = TrainingRun(recipe, folder, data, Accelerator(), SilentWatcher())
    assert torch.equal(again.batches.views, run.batches.views)
    assert (folder / CODES).stat().st_mtime_ns == written
    (folder / CODES).write_bytes(b"nonsense")
    again = TrainingRun(recipe, folder, data, Accelerator(), SilentWatcher())
    assert torch.equal(again.batches.views, run.batches.views)


def test_without_views_pictures_are_encoded_when_drawn(
    prior_recipe: Path, pictures: Path, tokenizer: Path, tmp_path: Path
) -> None:
    from accelerate import Accelerator

    recipe, folder = load_recipe(prior_recipe, ["data.views=0"]), tmp_path / "run"
    data = load_images(pictures, "train")
    run = TrainingRun(recipe, folder, data, Accelerator(), SilentWatcher())
    assert not (folder / CODES).exists()
    codec = load_checkpoint(tokenizer).codec
    _, held = hold_out(len(data), recipe.data.holdout, recipe.seed)
    plain = codec.encode(to_signed(data.images[held, :, 1:9, 1:9], 256))
    assert (run.data.held == plain).float().mean() > 0.99
    # One epoch shows every picture of the rest once, moved and mirrored.
    count = len(run.batches.rows)
    epoch = run.batches.draw(0, 0, count)
    forms = {
        tuple(codec.encode(to_signed(x[None], 256)).flatten().tolist())
        for picture in data.images[run.batches.rows]
        for top in range(3)
        for left in range(3)
        for cut_out in [picture[:, top : top + 8, left : left + 8]]
        for x in (cut_out, cut_out.flip(-1))
    }
    found = [tuple(codes.flatten().tolist()) in forms for codes in epoch.x]
    assert sum(found) > 0.95 * count
    options: dict[str, Any] = {"seed": 1, "flip": True, "crop": 8, "jitter": 1}
    one = Batches(data.images[None], None, torch.tensor([0]), **options)
    often = EncodedBatches(one, codec, recipe.compute)
    assert len({tuple(often.draw(i, i, 1).x.flatten().tolist()) for i in range(20)}) > 1
    whole = run.batches.draw(3, 0, 6)
    halves = [run.batches.draw(3, 0, 3, rank, 2).x for rank in range(2)]
    assert (torch.cat(halves) == whole.x).float().mean() > 0.99
    none = load_recipe(prior_recipe, ["data.views=0", "data.holdout=0", "schedule.steps=2"])
    assert train(none, tmp_path / "none").counters.held_out is None


@pytest.mark.parametrize("views", [3, 0])
def test_stopped_and_resumed_is_bit_identical_without_the_tokenizer(
    prior_recipe: Path, tokenizer: Path, tmp_path: Path, views: int
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    recipe = load_recipe(prior_recipe, [f"data.views={views}"])
    train(recipe, whole)
    train(recipe, parts, max_minutes=0)
    hidden = tokenizer.rename(tokenizer.with_name("hidden"))
    try:
        train(recipe, parts, resume=True)
    finally:
        hidden.rename(tokenizer)
    first, second = read_state(whole)[1], read_state(parts)[1]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_export_takes_a_better_decoder_of_the_same_codes(
    prior_recipe: Path, tokenizer: Path, tmp_path: Path
) -> None:
    train(load_recipe(prior_recipe), tmp_path / "run")
    config = (tokenizer.parent / "t.toml").as_posix()
    better = load_recipe(Path(config), ["losses.decoder_only=true", "schedule.steps=5"])
    train(better, tmp_path / "decoder", init=str(tokenizer))
    new = export(tmp_path / "decoder", tmp_path / "better")
    folder = export(tmp_path / "run", tmp_path / "weights", tokenizer=str(new))
    loaded = load_checkpoint(folder)
    made = loaded.codec.state_dict()
    assert all(torch.equal(made[n], t) for n, t in load_checkpoint(new).codec.state_dict().items())
    told = loaded.config.training["parts"]["tokenizer"]
    assert told["steps"] == 5
    assert "decoder_only = true" in told["recipe"]
    assert told["before"]["recipe"], "and what the decoder began as"
    card = (folder / "README.md").read_text()
    assert "### Training of the tokenizer" in card
    assert f"--init {tokenizer.name}" in card
    assert str(card_from_config(loaded.config, "weights", sheet=False)) == card
    plain = load_checkpoint(export(tmp_path / "run", tmp_path / "plain")).config.training
    assert "decoder_only = true" not in plain["parts"]["tokenizer"]["recipe"]
    train(load_recipe(prior_recipe), tmp_path / "more", init=str(folder))
    assert "parts" not in read_state(tmp_path / "more")[0].history
    train(load_recipe(Path(config), ["schedule.steps=5"]), tmp_path / "other")
    other = export(tmp_path / "other", tmp_path / "other-weights")
    with pytest.raises(PixelgenError, match="another encoder"):
        export(tmp_path / "run", tmp_path / "wrong", tokenizer=str(other))
    with pytest.raises(PixelgenError, match="requires a model of codes"):
        export(tmp_path / "other", tmp_path / "wrong", tokenizer=str(other))
    # Weights get a better decoder as their run does.
    same = export_weights(str(tmp_path / "plain"), tmp_path / "same", tokenizer=str(new))
    assert load_checkpoint(same).config == loaded.config
    assert load_checkpoint(same).revision == loaded.revision
    assert (same / "README.md").read_text() == card.replace("# weights", "# same").replace(
        "--weights weights", "--weights same"
    )
    with pytest.raises(PixelgenError, match="another encoder"):
        export_weights(str(folder), tmp_path / "wrong", tokenizer=str(other))
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.levels=6", "the codes of .* are"),
        ("data.crop=9", "the tokenizer takes 8×8"),
        ("data.tokenizer=nowhere", "no weights called nowhere"),
        ("data.views=-1", "views must not be negative"),
        ("losses.perceptual=0.1", "losses.* requires a tokenizer"),
    ],
)
def test_what_does_not_fit(prior_recipe: Path, tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(prior_recipe, [override]), tmp_path / "run")
    assert not (tmp_path / "run" / "state.safetensors").exists()
