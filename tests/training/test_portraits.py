"""Models conditioned on the embedding of a face: another photo of the person, people held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.data import cut, load_images
from pixelgen.data.same_person_index import SamePersonIndex
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.metrics.verification import embed
from pixelgen.models import FaceEmbedderConfig, TokenizerConfig, build_model
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.publishing.export import export
from pixelgen.training.batches import Batches, ConditionVectors
from pixelgen.training.embedder_alignment import average_embedders
from pixelgen.training.logs import SilentWatcher
from pixelgen.training.loop import TrainingRun, train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.state import read_state

from .conftest import recipe_at

RECIPE = """
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
vector = 4
[data]
path = "{data}"
label = "label"
crop = 8
tokenizer = "{tokenizer}"
embedder = "{embedder}"
holdout = 8
[optimiser]
batch = 8
lr = 1e-2
warmup = 5
[schedule]
steps = 20
[intervals]
samples = 100
"""


def test_companions_are_other_pictures_of_the_person() -> None:
    who = torch.tensor([5, 2, 5, 9, 5, 2, 7, 7])
    companions = SamePersonIndex(who)
    index = torch.arange(8).repeat(400)
    chance = torch.rand(len(index), generator=torch.Generator().manual_seed(0))
    other = companions.other(index, chance)
    assert torch.equal(who[other], who[index])
    alone = who[index] == 9
    assert torch.equal(other == index, alone)
    counts = torch.bincount(other[index == 0], minlength=8)
    assert set(counts.nonzero().flatten().tolist()) == {2, 4}
    assert counts[counts > 0].min() > 150
    assert torch.equal(companions.other(index, torch.full_like(chance, 1 - 2**-24)) == index, alone)
    few = SamePersonIndex(who, torch.tensor([0, 2, 3, 6]))
    assert few.other(torch.tensor([0, 2, 3, 6]), torch.zeros(4)).tolist() == [2, 0, 3, 6]


def test_batches_mix_own_and_other_vectors() -> None:
    who = torch.arange(40) // 2
    embeddings = torch.arange(40.0)[:, None]
    images = torch.arange(40, dtype=torch.uint8).view(1, 40, 1, 1, 1)
    vectors = ConditionVectors(embeddings, SamePersonIndex(who), other=0.75, noise=0.0)
    options: dict[str, Any] = {"seed": 1, "flip": False, "class_dropout": 0.25}
    batches = Batches(images, None, torch.arange(40), vectors=vectors, **options)
    batch = batches.draw(0, 0, 4000)
    assert batch.vector is not None
    assert batch.dropped is not None
    source, own = batch.vector[:, 0].long(), batch.x.flatten().long()
    assert torch.equal(who[source], who[own])
    assert abs(float((source != own).float().mean()) - 0.75) < 0.03
    assert abs(float(batch.dropped.float().mean()) - 0.25) < 0.03
    halves = [batches.draw(0, 0, 2000, rank, 2) for rank in range(2)]
    joined = torch.cat([h.vector for h in halves if h.vector is not None])
    assert torch.equal(joined, batch.vector)
    noisy = Batches(
        images,
        None,
        torch.arange(40),
        vectors=ConditionVectors(embeddings, SamePersonIndex(who), other=0.0, noise=0.5),
        **options,
    ).draw(0, 0, 4000)
    assert noisy.vector is not None
    difference = noisy.vector[:, 0] - noisy.x.flatten()
    assert abs(float(difference.std()) - 0.5) < 0.03


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """8 "people", each of a brightness of their own, 6 pictures each, 10×10."""
    draw = np.random.default_rng(0)
    pictures, people = [], []
    for person in range(8):
        for _ in range(6):
            noise = draw.integers(0, 20, (10, 10, 3))
            pictures.append((noise + 30 * person).astype(np.uint8))
            people.append(person)
    folder = tmp_path_factory.mktemp("faces")
    for split in ("train", "validation"):
        write_pictures(folder, split, pictures, people)
    return folder


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer and an embedder with random weights."""
    folder = tmp_path_factory.mktemp("parts")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "size": 8,
        "patch": 2,
        "wide_features": 8,
        "wide_blocks": 1,
        "deep_features": 8,
    }
    codec = TokenizerConfig(
        **sizes, deep_blocks=1, output_features=4, code_size=2, code_channels=2, levels=5
    )
    embedder = FaceEmbedderConfig(**sizes, deep_blocks=1, place_features=4, embedding=4)
    save_checkpoint(folder / "tokenizer", build_model(codec))
    save_checkpoint(folder / "embedder", build_model(embedder))
    return folder


@pytest.fixture
def recipe_file(tmp_path: Path, faces: Path, parts: Path) -> Path:
    names = {"data": faces, "tokenizer": parts / "tokenizer", "embedder": parts / "embedder"}
    return recipe_at(tmp_path / "portraits.toml", RECIPE, **names)


def test_people_are_held_out_whole_and_vectors_are_theirs(
    recipe_file: Path, faces: Path, parts: Path, tmp_path: Path
) -> None:
    data = load_images(faces, "train")
    run = TrainingRun(
        load_recipe(recipe_file), tmp_path / "run", data, Accelerator(), SilentWatcher()
    )
    assert data.labels is not None
    trained = set(data.labels[run.batches.rows].tolist())
    assert len(trained) == 6
    assert len(run.data.held) == 12  # two people: the second one passes the eight
    assert run.data.held_condition is not None
    assert run.data.held_condition.vector is not None
    embedder = load_checkpoint(parts / "embedder").embedder
    everything = embed(embedder, cut(data.images, 8), 7)
    own = [i for i in range(48) if int(data.labels[i]) not in trained]
    distances = torch.cdist(run.data.held_condition.vector, everything)
    nearest = distances.argmin(1)
    assert distances.min() < 1e-4
    assert (data.labels[nearest] == data.labels[own]).all()
    assert (nearest != torch.tensor(own)).all()


def test_one_folder_holds_all_three(recipe_file: Path, faces: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=150"]), run)
    assert len(list((run / "samples").iterdir())) == 1
    loaded = load_checkpoint(export(run, folder))
    assert loaded.config.kind == "coded-pixelcnn"
    assert loaded.config.embedder is not None
    assert loaded.embedder.config.embedding == 4
    assert loaded.codec.config.code_shape == (2, 2, 2)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "An autoregressive model of 8×8 portraits of the person in a photo." in card
    assert "pixelgen portrait photo.jpg --weights weights" in card
    assert "pixelgen sample" not in card
    result = evaluate(loaded, faces, "validation")
    assert result.conditional is not None
    assert result.unconditional is not None
    assert result.conditional.bits_per_dim < result.unconditional.bits_per_dim
    assert result.verification is not None
    assert result.verification.pairs == 8 * 15  # eight people, six pictures each
    # One picture of each: there is no other one that could tell of it.
    assert evaluate(loaded, faces, "validation", limit=8).conditional is None
    (folder / "embedder.safetensors").unlink()
    with pytest.raises(PixelgenError, match=r"no embedder\.safetensors in"):
        load_checkpoint(folder)


def begun(recipe: Path, folder: Path, data: Path, weights: str, *overrides: str) -> TrainingRun:
    """A run that has taken `weights`."""
    run = TrainingRun(
        load_recipe(recipe, overrides),
        folder,
        load_images(data, "train"),
        Accelerator(),
        SilentWatcher(),
    )
    run.begin(weights)
    return run


def test_weights_go_on_with_another_embedder(
    recipe_file: Path, faces: Path, parts: Path, tmp_path: Path
) -> None:
    """Two embedders lie to each other as chance would have it, here in a mirror, and say the same:
    so the model begins where it was, and not anew."""
    run, weights = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=150", "data.other_photo=0"]), run)
    export(run, weights)
    embedder = load_checkpoint(parts / "embedder").embedder
    with torch.no_grad():
        turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0))).Q
        embedder.out.weight.copy_(turn @ embedder.out.weight)
        embedder.out.bias.copy_(turn @ embedder.out.bias)
    save_checkpoint(tmp_path / "turned", embedder, dtype="float32")

    def bits(name: str, given: Path) -> float:
        run = begun(recipe_file, tmp_path / name, faces, str(weights), f"data.embedder={given}")
        return float(run.task.held_out(run.model, run.data.held, run.data.held_condition).mean())

    assert bits("other", tmp_path / "turned") == pytest.approx(bits("same", weights), abs=1e-3)


def test_an_ensemble_conditions_by_its_first_network(
    recipe_file: Path, faces: Path, parts: Path, tmp_path: Path
) -> None:
    first = load_checkpoint(parts / "embedder").embedder
    torch.manual_seed(4)
    other = FaceEmbedder(first.config).eval()
    faces_seen = cut(load_images(faces, "train").images, 8)
    save_checkpoint(tmp_path / "both", average_embedders([first, other], faces_seen))
    run, weights = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=1", f"data.embedder={tmp_path}/both"]), run)
    loaded = load_checkpoint(export(run, weights))
    assert len(loaded.embedder.ensemble) == 1

    def held(name: str, given: Path) -> torch.Tensor:
        run = begun(recipe_file, tmp_path / name, faces, str(weights), f"data.embedder={given}")
        assert run.data.held_condition is not None
        assert run.data.held_condition.vector is not None
        for key, tensor in loaded.network.state_dict().items():  # not rotated
            assert torch.equal(run.model.state_dict()[key], tensor)
        return run.data.held_condition.vector

    torch.testing.assert_close(held("a", tmp_path / "both"), held("b", parts / "embedder"))
    text = (
        f'[model]\nmodel = "face_embedder"\n[data]\npath = "{faces}"\nlabel = "label"\n'
        "[[model.ensemble]]\npatch = 2\n"
    )
    with pytest.raises(UsageError, match="an ensemble is not trained as one"):
        load_recipe(recipe_at(tmp_path / "ensemble.toml", text))


@pytest.mark.parametrize("kind", ["embedder", "tokenizer"])
def test_init_takes_the_part_that_is_trained(
    recipe_file: Path, faces: Path, parts: Path, tmp_path: Path, kind: str
) -> None:
    run, weights = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    export(run, weights)
    part = load_checkpoint(parts / kind)
    model = "\n".join(
        f"{name} = {json.dumps(v)}" for name, v in part.config.to_dict()["model"].items()
    )
    text = f'[model]\n{model}\n[data]\npath = "{faces}"\nlabel = "label"\ncrop = 8\nholdout = 8\n'
    recipe = recipe_at(tmp_path / "part.toml", text)
    again = begun(recipe, tmp_path / "again", faces, str(weights))
    for name, tensor in part.network.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)
    with pytest.raises(PixelgenError, match=f"has no .*{kind}"):
        again.begin("imagenet32")


def test_stopped_and_resumed_is_bit_identical(
    recipe_file: Path, parts: Path, tmp_path: Path
) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    train(load_recipe(recipe_file), whole)
    train(load_recipe(recipe_file), half, max_minutes=0)
    hidden = parts.rename(parts.with_name("hidden"))
    try:
        train(load_recipe(recipe_file), half, resume=True)
    finally:
        hidden.rename(parts)
    first, second = read_state(whole)[1], read_state(half)[1]
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.vector=5", "have 4 dimensions, model.vector is 5"),
        ("model.vector=0", "data.embedder needs model.vector"),
        ("data.embedder=''", "model.vector needs data.embedder"),
        ("data.embedder=nowhere", "no weights called nowhere"),
        ("data.other_photo=2", "other_photo must lie in 0 … 1"),
        ("data.vector_noise=-1", "vector_noise must not be negative"),
        ("sampling.candidates=0", "candidates must be a whole number above 0"),
        ("data.label=nobody", "has no column 'nobody'"),
    ],
)
def test_what_does_not_fit(recipe_file: Path, tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(recipe_file, [override]), tmp_path / "run")
