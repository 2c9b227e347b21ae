"""What a run starts from: whose classes they were, and what pictures it knows already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelgen.checkpoints import load_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.models import GatedPixelCNNConfig, PixelCNNConfig, build_model
from pixelgen.models.conditioning import Condition
from pixelgen.publishing.export import export
from pixelgen.publishing.trained_run import TrainedRun
from pixelgen.training.folder import locked
from pixelgen.training.holdout_leakage import holdout_may_leak
from pixelgen.training.loop import TrainingRun, train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.state import read_state
from pixelgen.training.tasks.likelihood import (
    class_keys,
    with_class_tables,
    with_classes,
    with_more_layers,
    with_vectors,
    without_classes,
)

MODEL = '\n[model]\nmodel = "gated_pixelcnn"\noutput_features = 240'
SMALL: dict[str, Any] = {"channels": 3, "height": 4, "width": 4, "features": 6, "layers": 1}


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, *more: Any) -> None:
        pass


def test_numbers_are_not_names_of_ilsvrc() -> None:
    names = ["1", "25", "3-3", "Goldfish", "n02099601", "my cat"]
    assert class_keys(range(6), names) == ["1", "25", "3-3", 1, 207, "my cat"]
    assert class_keys([1, 25], []) == [1, 25]
    assert class_keys([0, 1], ["goldfish", "n01443537"]) == ["goldfish", "n01443537"]


@pytest.mark.parametrize("kind", [GatedPixelCNNConfig, PixelCNNConfig])
def test_every_class_keeps_its_own_embedding(kind: type[GatedPixelCNNConfig]) -> None:
    """Row by row, weights of other classes would give each picture the name of its neighbour."""
    torch.manual_seed(0)
    old = build_model(kind(**SMALL, output_features=6, levels=4, classes=3))
    new = build_model(kind(**SMALL, output_features=6, levels=4, classes=4))
    for parameter in (*old.parameters(), *new.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    weights = with_classes(old.state_dict(), new, [2, 5, 9], [5, 7, 9, 11])
    new.load_state_dict(weights)
    x = torch.randint(4, (3, 3, 4, 4))
    # Row 3 of the old one and row 4 of the new one stand for "no class".
    expected = old.log_prob(x, Condition(torch.tensor([1, 2, 3])))
    torch.testing.assert_close(new.log_prob(x, Condition(torch.tensor([0, 2, 4]))), expected)
    tables = [name for name, t in old.state_dict().items() if t.shape[0] == 4 and "table" in name]
    assert tables
    for name in tables:  # those that it never knew begin in the middle of the others
        middle = old.state_dict()[name][:3].mean(0).expand(2, -1)
        torch.testing.assert_close(new.state_dict()[name][[1, 3]], middle)


@pytest.mark.parametrize("kind", [GatedPixelCNNConfig, PixelCNNConfig])
def test_classes_that_are_new_change_nothing_at_first_and_learn(
    kind: type[GatedPixelCNNConfig],
) -> None:
    torch.manual_seed(0)
    old = build_model(kind(**SMALL, output_features=6, levels=4))
    new = build_model(kind(**SMALL, output_features=6, levels=4, classes=2))
    for parameter in (*old.parameters(), *new.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    new.load_state_dict(with_class_tables(old.state_dict(), new))
    x = torch.randint(4, (3, 3, 4, 4))
    likelihoods = new.log_prob(x, Condition(torch.tensor([0, 1, 2])))
    torch.testing.assert_close(likelihoods, old.log_prob(x))
    likelihoods.sum().backward()
    tables = [p for name, p in new.named_parameters() if name.endswith("table.weight")]
    assert tables
    for table in tables:
        assert table.grad is not None
        assert bool((table.grad != 0).any(1).all())


@pytest.mark.parametrize("vectors", [{}, {"vector": 3, "vector_components": 2}])
def test_a_model_without_classes_draws_as_of_no_class(vectors: dict[str, Any]) -> None:
    torch.manual_seed(0)
    small: dict[str, Any] = {**SMALL, "output_features": 6, "levels": 4}
    old = build_model(GatedPixelCNNConfig(**small, classes=3, **vectors))
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    new = build_model(GatedPixelCNNConfig(**small))
    new.load_state_dict(without_classes(old.state_dict()))
    x = torch.randint(4, (3, 3, 4, 4))
    torch.testing.assert_close(new.log_prob(x), old.log_prob(x))
    # Another vector is nothing yet.
    other = build_model(GatedPixelCNNConfig(**small, vector=5, map_channels=2))
    other.load_state_dict(with_vectors(without_classes(old.state_dict()), other))
    given = Condition(vector=torch.randn(3, 5))
    torch.testing.assert_close(other.log_prob(x, given), old.log_prob(x))


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_new_layers_change_nothing_at_first_and_learn(skips: bool, layers: int) -> None:
    torch.manual_seed(0)
    small: dict[str, Any] = {
        **SMALL,
        "output_features": 6,
        "levels": 4,
        "classes": 3,
        "vertical_residual": True,
        "skip_outputs": skips,
        "normalisation": "channel",
    }
    del small["layers"]
    old = build_model(GatedPixelCNNConfig(**small, layers=layers))
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    new: Any = build_model(GatedPixelCNNConfig(**small, layers=4))
    new.load_state_dict(with_more_layers(old.state_dict(), new))
    x, classes = torch.randint(4, (3, 3, 4, 4)), Condition(torch.tensor([0, 1, 3]))
    likelihoods = new.log_prob(x, classes)
    torch.testing.assert_close(likelihoods, old.log_prob(x, classes))
    likelihoods.sum().backward()
    for layer in new.layers[layers - 1 : -1]:
        outs = [layer.vertical_out, layer.out, *([layer.skip] if skips else [])]
        assert all(bool((out.weight.grad != 0).any()) for out in outs)
    assert with_more_layers(new.state_dict(), new).keys() == new.state_dict().keys()
    headed: dict[str, Any] = {**small, "channel_order": "head", "head_features": 4}
    old = build_model(GatedPixelCNNConfig(**headed, layers=layers))
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    new = build_model(GatedPixelCNNConfig(**headed, layers=4, head_layers=3))
    new.load_state_dict(with_more_layers(old.state_dict(), new))
    torch.testing.assert_close(new.log_prob(x, classes), old.log_prob(x, classes))
    new.log_prob(x, classes).sum().backward()
    assert all(bool((layer.weight.grad != 0).any()) for layer in new.head.hidden)
    weights = old.state_dict()  # stacks without residual connections would compute something else
    plain: Any = build_model(
        GatedPixelCNNConfig(**(small | {"layers": 4, "vertical_residual": False}))
    )
    kept = with_more_layers(weights, plain)
    assert kept.keys() == weights.keys()
    assert all(kept[name] is weights[name] for name in weights)


def test_a_run_of_other_classes(recipe_file: Path, tmp_path: Path) -> None:
    train(load_recipe(recipe_file, ["schedule.steps=3"]), tmp_path / "old")
    folder = export(tmp_path / "old", tmp_path / "weights")
    config = folder / "config.json"
    told = json.loads(config.read_text(encoding="utf-8"))
    told["labels"] = [7, 9]  # and not 4 and 7, as the data have them
    told["class_names"] = ["7", "9"]
    config.write_text(json.dumps(told), encoding="utf-8")
    once = load_recipe(recipe_file, ["schedule.steps=1"])
    train(once, tmp_path / "new", init=str(folder), max_minutes=0)
    state, found = read_state(tmp_path / "new")
    assert (state.labels, state.ema_updates) == ([4, 7], 0)
    known = load_checkpoint(folder).model.state_dict()
    name = next(n for n in known if n.endswith("condition.table.weight"))
    assert torch.equal(found[f"model.{name}"][1:], known[name][[0, 2]])
    assert not torch.equal(found[f"model.{name}"][0], known[name][1])


def test_a_run_of_classes_from_weights_without(recipe_file: Path, tmp_path: Path) -> None:
    none = load_recipe(recipe_file, ["model.classes=0", "schedule.steps=3"])
    train(none, tmp_path / "old")
    folder = export(tmp_path / "old", tmp_path / "weights")
    train(load_recipe(recipe_file, ["schedule.steps=2"]), tmp_path / "new", init=str(folder))
    state, found = read_state(tmp_path / "new")
    assert (state.labels, state.ema_updates) == ([4, 7], 2)
    tables = [t for name, t in found.items() if name.startswith("model.") and "table" in name]
    assert tables
    assert all(bool((table[:2] != 0).any(1).all()) for table in tables)


@pytest.mark.parametrize(
    ("before", "known"),
    [
        ('seed = 3\n[data]\npath = "DATA"\nholdout = 8', False),
        ('seed = 3\n[data]\npath = "elsewhere/NAME"\nholdout = 9', False),  # more were held out
        ('seed = 3\n[data]\npath = "DATA"\nholdout = 7', True),
        ('seed = 4\n[data]\npath = "DATA"\nholdout = 8', True),
        ('seed = 4\n[data]\npath = "another"\nholdout = 8', False),
        ('seed = 4\n[data]\npath = "DATA"\nsplit = "validation"', False),
        ('seed = 3\n[data]\npath = "DATA"\nholdout = 8\nembedder = "e"', True),  # people were
        ("no recipe", False),
        ("data = 3", False),
        ("[data]\npath = 3", False),
    ],
)
def test_what_was_trained_on_before(recipe_file: Path, before: str, known: bool) -> None:
    recipe = load_recipe(recipe_file)
    path = Path(recipe.data.path)
    text = before.replace("DATA", path.as_posix()).replace("NAME", path.name) + MODEL
    if "embedder" in text:
        text += "\nvector = 4"
    assert holdout_may_leak(recipe, {"recipe": text}, 40) == known
    assert holdout_may_leak(recipe, {"recipe": text, "pictures": 40}, 40) == known
    part = {"recipe": 'seed = 9\n[data]\npath = "other"' + MODEL, "before": {"recipe": text}}
    assert holdout_may_leak(recipe, part, 40) == known
    assert not holdout_may_leak(recipe, {}, 40)


def test_more_pictures_hold_out_others(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    text = f'seed = 3\n[data]\npath = "{Path(recipe.data.path).as_posix()}"\nholdout = 8{MODEL}'
    assert holdout_may_leak(recipe, {"recipe": text, "pictures": 39}, 40)


def test_no_figure_of_pictures_that_were_trained_on(recipe_file: Path, tmp_path: Path) -> None:
    train(load_recipe(recipe_file, ["schedule.steps=2"]), tmp_path / "old")
    folder = export(tmp_path / "old", tmp_path / "weights")
    assert load_checkpoint(folder).config.training["held_out_bits_per_dim"] > 0
    assert load_checkpoint(folder).config.training["held_out_pictures"] == 8
    for seed, told in ((3, True), (4, False)):
        notes = Notes()
        run = tmp_path / f"seed{seed}"
        recipe = load_recipe(recipe_file, ["schedule.steps=2", f"seed={seed}"])
        train(recipe, run, init=str(folder), watcher=notes)
        facts = TrainedRun.read(run).facts()
        assert (facts["held_out_bits_per_dim"] is not None) == told
        assert any("held out now" in line for line in notes.lines) != told
        card = (export(run, tmp_path / f"w{seed}") / "README.md").read_text(encoding="utf-8")
        assert ("pictures held out" in card) == told


def test_no_figure_of_weights_that_were_trained_further(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    train(load_recipe(recipe_file, ["schedule.steps=2"]), run)
    assert TrainedRun.read(run).facts()["held_out_bits_per_dim"] > 0
    longer = load_recipe(recipe_file, ["schedule.steps=4000"])
    with monkeypatch.context() as patched:  # as after a signal
        patched.setattr(TrainingRun, "_validate", lambda self: None)
        assert train(longer, run, resume=True, max_minutes=0.02).counters.step > 2
    assert TrainedRun.read(run).facts()["held_out_bits_per_dim"] is None
    assert "pictures held out" not in (export(run, tmp_path / "w") / "README.md").read_text()
    train(longer, run, resume=True, max_minutes=0.001)
    assert TrainedRun.read(run).facts()["held_out_bits_per_dim"] > 0


def test_two_processes_do_not_train_in_one_folder(recipe_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = load_recipe(recipe_file, ["schedule.steps=1"])
    with locked(run), pytest.raises(PixelgenError, match="another process is training in"):
        train(recipe, run)
    assert not run.exists()
    train(recipe, run)
    with locked(run), pytest.raises(PixelgenError, match="another process is training in"):
        train(recipe, run, resume=True)
