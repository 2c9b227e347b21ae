"""Comparisons of two tiny networks: equal budgets, turns, and an interrupted one that goes on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.comparison import measure, slices
from pixelgen.comparison.budget import Budget
from pixelgen.comparison.compare import ComparisonOutcome, compare
from pixelgen.comparison.entries import prepare_entry, read_recipes
from pixelgen.comparison.measure import draw_samples
from pixelgen.comparison.results import Comparison
from pixelgen.data import evenly_spread
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.models import AutoencoderConfig, GatedPixelCNNConfig, build_model
from pixelgen.models.autoregressive import GridNetwork
from pixelgen.publishing.export import export
from pixelgen.publishing.trained_run import TrainedRun
from pixelgen.training.logs import SilentWatcher
from pixelgen.training.recipe import Recipe
from pixelgen.training.recipe_files import table_recipes
from pixelgen.training.state import read_state

from .conftest import RECIPE
from .test_peers import write_first

BUDGET = "1e8flop"


def run(recipes: list[str], data: Path, folder: Path, **options: Any) -> ComparisonOutcome:
    values: dict[str, Any] = {"budget": BUDGET, "samples": 2} | options
    return compare(recipes, str(data), values.pop("budget"), folder, **values)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, recipes: list[str], pictures: Path
) -> tuple[Path, ComparisonOutcome]:
    folder = tmp_path_factory.mktemp("comparison") / "out"
    return folder, run(recipes, pictures, folder)


def test_rows(finished: tuple[Path, ComparisonOutcome], pictures: Path) -> None:
    folder, outcome = finished
    comparison = outcome.comparison
    assert comparison is not None
    assert (comparison.training_pictures, comparison.test_pictures) == (40, 12)
    assert (comparison.test_total, comparison.classes, comparison.train_measured) == (12, 2, 36)
    rows: dict[str, Any] = {row.name: row for row in comparison.rows}
    assert [*rows] == ["uniform", "gaussian", "pixelcnn", "row_lstm"]
    assert rows["uniform"].test.bits_per_dim == 8
    assert rows["gaussian"].bound
    assert rows["gaussian"].parameters == 48 + 48 * 49 // 2
    for name in ("pixelcnn", "row_lstm"):
        row = rows[name]
        assert (row.kind, row.bound, row.sampler) == ("trained", False, "incremental")
        steps = read_state(folder / "runs" / name)[0].counters.step
        assert steps == math.floor(1e8 / (8 * row.flops_per_picture))
        assert row.pictures == 8 * steps
        assert 1e8 - 8 * row.flops_per_picture < row.flops <= 1e8
        assert row.epochs == pytest.approx(row.pictures / 36)
        assert row.curve[-1] == (row.flops, read_state(folder / "runs" / name)[0].counters.held_out)
        assert row.seconds_per_sample > 0
        assert row.test.standard_error > 0


def test_figures_are_exact_likelihoods_of_the_averaged_weights(
    finished: tuple[Path, ComparisonOutcome], pictures: Path
) -> None:
    from pixelgen.data import load_images
    from pixelgen.training.batches import hold_out

    folder, outcome = finished
    trained = TrainedRun.read(folder / "runs" / "pixelcnn")
    row = next(row for row in outcome.comparison.rows if row.name == "pixelcnn")
    assert isinstance(trained.model, GridNetwork)
    assert row.parameters == sum(p.numel() for p in trained.model.parameters())
    tested = image_bits(trained.model, load_images(pictures, "test").images, None, 5)
    assert row.test.bits_per_dim == pytest.approx(float(tested.mean()), abs=1e-6)
    assert row.test.standard_error == pytest.approx(float(tested.std()) / math.sqrt(12), abs=1e-6)
    kept, held = hold_out(40, 4, 3)
    assert len(held) == trained.recipe.data.holdout
    images = load_images(pictures, "train").images[kept[evenly_spread(36, 36)]]
    bits = float(image_bits(trained.model, images, None, 5).mean())
    assert row.train.bits_per_dim == pytest.approx(bits, abs=1e-6)


def test_files(finished: tuple[Path, ComparisonOutcome]) -> None:
    folder, outcome = finished
    saved = json.loads((folder / "table.json").read_text("utf-8"))
    assert saved["rows"][2]["test"]["bits_per_dim"] == pytest.approx(
        outcome.comparison.rows[2].test.bits_per_dim
    )
    assert Comparison.from_dict(saved) == outcome.comparison
    table = (folder / "table.md").read_text("utf-8")
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| Multivariate Gaussian | ≤ " in table
    assert "![" in table
    assert "Row LSTM" in (folder / "curves.svg").read_text("utf-8")
    with Image.open(folder / "samples.png") as sheet:
        assert sheet.size == (2 * 4, 4 + 2 + 4)


def test_samples_are_in_the_order_of_the_table(
    finished: tuple[Path, ComparisonOutcome], recipes: list[str], pictures: Path, tmp_path: Path
) -> None:
    whole, outcome = finished
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    again = run(recipes[::-1], pictures, folder).comparison
    assert again is not None
    assert [row.name for row in again.rows] == [row.name for row in outcome.comparison.rows]
    assert (folder / "samples.png").read_bytes() == (whole / "samples.png").read_bytes()


def test_interrupted_and_continued_is_the_same(
    finished: tuple[Path, ComparisonOutcome], recipes: list[str], pictures: Path, tmp_path: Path
) -> None:
    whole, outcome = finished
    turns: list[str] = []

    class Watcher(SilentWatcher):
        def note(self, text: str) -> None:
            if "of the budget" in text:
                turns.append(text.partition(":")[0])

    parts = tmp_path / "parts"
    short = {"slice_minutes": 0.003, "watcher": Watcher()}
    first = run(recipes, pictures, parts, max_minutes=0.003, **short)
    assert first.reason in ("max-minutes", "finished")
    again = run(recipes, pictures, parts, **short)
    assert again.reason == "finished"
    assert {*turns} == {"pixelcnn", "row_lstm"}
    for name in ("pixelcnn", "row_lstm"):
        a, b = (read_state(folder / "runs" / name)[1] for folder in (whole, parts))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    figures = [
        [(row.test, row.train, row.pictures, row.flops) for row in each.comparison.rows]
        for each in (outcome, again)
    ]
    assert figures[0] == figures[1]
    assert (whole / "samples.png").read_bytes() == (parts / "samples.png").read_bytes()


def test_what_was_measured_is_not_measured_again(
    finished: tuple[Path, ComparisonOutcome],
    recipes: list[str],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, outcome = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    monkeypatch.setattr("pixelgen.comparison.measure.fit_gaussian", None)
    monkeypatch.setattr("pixelgen.comparison.measure.draw_samples", None)
    assert run(recipes, pictures, copy).comparison == outcome.comparison
    monkeypatch.undo()
    limited = run(recipes[:1], pictures, copy, limit=5).comparison
    assert limited is not None
    assert (limited.test_pictures, limited.test_total, limited.train_measured) == (5, 12, 5)
    assert "5 of them" in (copy / "table.md").read_text("utf-8")


def test_damaged_figures_sheets_and_logs(
    finished: tuple[Path, ComparisonOutcome], recipes: list[str], pictures: Path, tmp_path: Path
) -> None:
    whole, outcome = finished
    folder = tmp_path / "copy"
    shutil.copytree(whole, folder)
    (folder / "samples" / "pixelcnn.png").write_bytes(b"no picture")
    figures = folder / "figures" / "row_lstm.json"
    figures.write_text(figures.read_text().replace('"parameters": ', '"parameters": "x", "a": '))

    with (folder / "runs" / "pixelcnn" / "log.jsonl").open("a") as log:
        for images in ("1e400", "1" + "0" * 400, "1" + "0" * 290):
            log.write(f'{{"kind": "validation", "images": {images}, "bits_per_dim": 8}}\n')
    again = run(recipes, pictures, folder).comparison
    assert again is not None
    assert outcome.comparison is not None
    for old, new in zip(outcome.comparison.rows, again.rows, strict=True):
        assert (old.test, old.train, old.parameters) == (new.test, new.train, new.parameters)
    assert (folder / "samples.png").read_bytes() == (whole / "samples.png").read_bytes()


def test_other_pictures_are_noticed(
    recipes: list[str], pictures: Path, write_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "out"
    shutil.copytree(pictures, data)
    options: dict[str, Any] = {"budget": "2e7flop", "samples": 0}
    before = run(recipes[:1], data, folder, **options).comparison
    white, labels = [np.full((4, 4, 3), 255, np.uint8)] * 12, [i % 2 for i in range(12)]
    write_pictures(data, "test", white, labels)
    after = run(recipes[:1], data, folder, **options).comparison
    assert before is not None
    assert after is not None
    for old, new in zip(before.rows[1:], after.rows[1:], strict=True):
        assert old.test != new.test
        assert old.train == new.train
    write_pictures(data, "train", white * 4, labels * 4)
    with pytest.raises(UsageError, match="trained with other pictures of") as caught:
        run(recipes[:1], data, folder, **options)
    assert caught.value.code == "other-runs"
    shutil.rmtree(folder / "runs")
    anew = run(recipes[:1], data, folder, **options).comparison
    assert anew is not None
    for old, new in zip(after.rows[1:], anew.rows[1:], strict=True):
        assert old.train != new.train


def test_labels_of_the_test_split_are_checked_before_training(
    recipes: list[str], pictures: Path, write_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "out"
    shutil.copytree(pictures, data)
    write_pictures(data, "test", [np.zeros((4, 4, 3), np.uint8)] * 3, [0, 1, 2])
    with pytest.raises(PixelgenError, match="class '2' of the data is not a class"):
        run(recipes[:1], data, folder, overrides=["model.classes=2"])
    assert not folder.exists()


def test_columns_that_no_model_reads_may_hold_anything(recipes: list[str], tmp_path: Path) -> None:
    for split in ("train", "test"):
        made = [np.full((4, 4, 3), 20 * i, np.uint8) for i in range(10)]
        rows = {"image": [Image.fromarray(one) for one in made], "target": [0.5] * 10}
        datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "data" / split)
    (tmp_path / "data" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', "utf-8")
    options: dict[str, Any] = {"budget": "2e7flop", "samples": 0}
    comparison = run(recipes[:1], tmp_path / "data", tmp_path / "out", **options).comparison
    assert comparison is not None
    assert comparison.classes is None


def test_without_the_memory_for_a_gaussian(
    recipes: list[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "memory_size", lambda: 1000)
    comparison = run(recipes[:1], pictures, tmp_path, budget="2e7flop", samples=0).comparison
    assert comparison is not None
    assert [row.name for row in comparison.rows] == ["uniform", "pixelcnn"]


def test_recipes_of_other_pictures(recipes: list[str], pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "small.toml"
    text = Path(recipes[0]).read_text("utf-8").replace("[data]", "[data]\nsize = 2")
    other.write_text(text.replace("= 4", "= 2"), "utf-8")
    said = "pixelcnn and small take different pictures: model.height is 4 and 2"
    with pytest.raises(UsageError, match=said):
        run([recipes[0], str(other)], pictures, tmp_path / "out")


def test_a_turn_is_that_of_the_model_that_is_behind(
    recipes: list[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixelgen.training.loop import Outcome
    from pixelgen.training.state import Counters

    found = read_recipes(recipes, str(pictures))
    entries = [
        prepare_entry(
            name, recipe, Budget(minutes=1), torch.device("cpu"), hold_out=True, note=print
        )
        for name, recipe in found.items()
    ]
    asked: list[tuple[str, float]] = []
    seconds = dict.fromkeys(found, 0.0)

    def train(recipe: Recipe, folder: Path, *, max_minutes: float, **_: Any) -> Outcome:
        asked.append((folder.name, max_minutes))
        pace = 30 if folder.name == "pixelcnn" else 15
        seconds[folder.name] += pace
        return Outcome("max-minutes", Counters(step=len(asked), seconds=seconds[folder.name]))

    monkeypatch.setattr(slices, "train", train)
    slices.train_in_slices(entries, tmp_path, 0.3, max_minutes=None, watcher=SilentWatcher())
    names = [name for name, _ in asked]
    assert names == ["pixelcnn", "row_lstm", "row_lstm", "pixelcnn", "row_lstm", "row_lstm"]
    assert {minutes for _, minutes in asked} == {0.3}


def test_peers_are_trained_and_measured(
    recipes: list[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = write_first(tmp_path / "checkout")
    model = checkout / "pixelcnn" / "model.py"
    text = model.read_text()
    model.write_text("\n".join(line for line in text.splitlines() if "assert cfg" not in line))
    options: dict[str, Any] = {"peers": {"theirs": checkout}, "samples": 1}
    outcome = run(recipes[:1], pictures, tmp_path / "out", **options)
    rows = {row.name: row for row in outcome.comparison.rows}
    assert rows["theirs"].title == "theirs"
    assert rows["theirs"].sampler == "naive"
    assert rows["theirs"].parameters == 3 * 256 * (3 * 9 + 1) + 3 * 256
    assert 6 < rows["theirs"].test.bits_per_dim < 12  # hardly trained
    assert run(recipes[:1], pictures, tmp_path / "out", **options).reason == "finished"
    options |= {"overrides": ["optimiser.batch=4"], "budget": "2e7flop"}
    run(recipes[:1], pictures, tmp_path / "other", **options)
    assert read_state(tmp_path / "other" / "runs" / "theirs")[0].recipe["optimiser"]["batch"] == 4


LATER_MODELS = {
    "pixelcnn_pp": "resolutions = 2\nfeatures = 4\nmixtures = 2",
    "multiscale": "features = 12\nkernel = 3\nfirst_kernel = 3\noutput_features = 12",
    "pixelvae": "wide_features = 4\ndeep_features = 4\nwide_blocks = 0\ndeep_blocks = 0\n"
    "bottleneck = 2\n[model.pixels]\nfeatures = 6\nkernel = 3\nfirst_kernel = 3\n"
    "output_features = 6",
}


def test_models_after_the_paper(pictures: Path, tmp_path: Path) -> None:
    paths = []
    for name, sizes in LATER_MODELS.items():
        sides = "size = 4\npatch = 1" if name == "pixelvae" else "height = 4\nwidth = 4"
        text = RECIPE.replace("batch = 8", "batch = 2").partition("[model]")
        recipe = f'{text[0]}[model]\nmodel = "{name}"\n{sides}\n{sizes}\nlayers = 1\n'
        path = tmp_path / f"{name}.toml"
        path.write_text(recipe + text[2][text[2].index("[data]") :], encoding="utf-8")
        paths.append(str(path))
    folder = tmp_path / "out"
    outcome = run(paths, pictures, folder, budget="6e6flop", samples=1, limit=4)
    trained = [row for row in outcome.comparison.rows if row.kind == "trained"]
    rows: dict[str, Any] = {row.name: row for row in trained}
    assert [*rows] == [*LATER_MODELS]
    for row in rows.values():
        assert row.bound == (row.name == "pixelvae")
        assert 5 < row.test.bits_per_dim < 10
        assert row.sampler == "incremental"
        assert row.seconds_per_sample > 0
    assert "| PixelVAE | ≤ " in (folder / "table.md").read_text("utf-8")
    with Image.open(folder / "samples.png") as sheet:
        assert sheet.size == (4, 3 * 4 + 2 * 2)
    for name in rows:  # their runs become weights like all others
        export(folder / "runs" / name, tmp_path / name)
        weights = pixelgen.load(tmp_path / name)
        (drawn,) = weights.sample(seed=1)
        (score,) = weights.score(drawn.image)
        assert score.is_bound == (name == "pixelvae")
        if name == "pixelvae":
            assert len(weights.interpolate([drawn.image] * 2, steps=2, seed=1)) == 2
        else:
            assert score.bits_per_dim == pytest.approx(drawn.bits_per_dim, rel=1e-3)
            card = (tmp_path / name / "README.md").read_text("utf-8")
            assert f"An unconditional autoregressive model ({name}) of 4×4 pictures." in card


def test_classes_are_given(recipes: list[str], pictures: Path, tmp_path: Path) -> None:
    outcome = run(recipes[:1], pictures, tmp_path / "out", overrides=["model.classes=2"], samples=2)
    row = next(row for row in outcome.comparison.rows if row.kind == "trained")
    assert row.title == "PixelCNN, given the class"
    assert row.test.bits_per_dim < 8.1


def test_pictures_without_labels_are_of_one_class(
    recipes: list[str], write_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    for split, count in (("train", 20), ("test", 4)):
        write_pictures(tmp_path / "data", split, [np.full((4, 4, 3), 9, np.uint8)] * count)
    options: dict[str, Any] = {"overrides": ["model.classes=1"], "samples": 0}
    comparison = run(recipes[:1], tmp_path / "data", tmp_path / "out", **options).comparison
    assert comparison is not None
    assert comparison.rows[-1].title == "PixelCNN, given the class"


def test_samples_of_a_model_with_latents() -> None:
    pixels = GatedPixelCNNConfig(
        height=8, width=8, features=6, layers=1, kernel=3, first_kernel=3, output_features=6,
        vector=4,
    )  # fmt: skip
    config = AutoencoderConfig(
        size=8, patch=2, wide_features=4, wide_blocks=1, deep_features=4, deep_blocks=1,
        bottleneck=4, pixels=pixels,
    )  # fmt: skip
    drawn, sampler = draw_samples(build_model(config), Recipe(model=config), 3)
    assert drawn.shape == (3, 3, 8, 8)
    assert sampler == "incremental"


def test_other_sizes(recipes: list[str], pictures: Path) -> None:
    found = read_recipes(recipes, str(pictures), size=2)
    for recipe in found.values():
        assert (recipe.model.height, recipe.model.width, recipe.data.size) == (2, 2, 2)


def test_the_size_of_the_paper() -> None:
    names = [*table_recipes()]
    assert {"pixelcnn", "row_lstm", "diagonal_bilstm", "gated_pixelcnn", "patch_head"} <= {*names}
    small, large = read_recipes(names, "x"), read_recipes(names, "x", paper=True)
    assert [*small] == [*large] == names
    for name in names:
        assert type(small[name].model) is type(large[name].model)
        pair = [getattr(each[name].model, "pixels", each[name].model) for each in (small, large)]
        assert pair[0].features < pair[1].features
        assert pair[0].layers < pair[1].layers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipes": []}, "no recipe to compare"),
        ({"recipes": ["pixelcn"]}, "no recipe 'pixelcn', did you mean pixelcnn?"),
        ({"recipes": ["autoencoder32"]}, "autoencoder32 has no likelihood of pixels"),
        ({"recipes": ["imagenet64"]}, "imagenet64 has no likelihood of pixels"),
        ({"recipes": ["pixelcnn", "pixelcnn"]}, "two recipes are called 'pixelcnn'"),
        ({"recipes": ["imagenet32"], "paper": True}, "no variant of imagenet32"),
        ({"budget": "0m"}, "trains nothing"),
        ({"budget": "1flop"}, "pixelcnn: the budget of 1 FLOP is less than one step"),
        ({"recipes": ["pixelcnn"]}, "pixelcnn: the data is 256 levels of (3, 4, 4)"),
        ({"split": "validation"}, "validation"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"samples": 10**9}, "2000000000 pictures of 4×4 pixels are too many at once"),
        ({"overrides": ["data.holdout=39"]}, "fewer than two pictures to train on"),
        ({"overrides": ["data.crop=1" + "0" * 30]}, "'data.crop' must be below 2^63"),
        ({"overrides": ["model.layers=1" + "0" * 30]}, "layers must be below 2^63"),
        ({"max_minutes": -1.0}, "max_minutes must be positive"),
        ({"slice_minutes": math.nan}, "slice_minutes must be positive"),
        ({"size": 3}, "3"),
        ({"overrides": ["schedule.steps=3"]}, "sets schedule.steps itself"),
        ({"peers": {"a/b": Path(".")}}, "cannot be called 'a/b'"),
        ({"peers": {"pixelcnn": Path(".")}}, "a recipe and a peer are called 'pixelcnn'"),
        ({"peers": {"theirs": Path("no-such-folder")}}, "no-such-folder is not a checkout"),
    ],
)  # fmt: skip
def test_bad_input(
    options: dict[str, Any], said: str, recipes: list[str], pictures: Path, tmp_path: Path
) -> None:
    options = dict(options)
    names = options.pop("recipes", recipes)
    with pytest.raises(PixelgenError) as caught:
        run(names, pictures, tmp_path / "out", **options)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "runs", "figures", "table.md"])
def test_places_that_are_taken(
    name: str, recipes: list[str], pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    if name:
        folder.mkdir()
    (folder / name).mkdir() if name == "table.md" else (folder / name).touch()
    with pytest.raises(UsageError, match=f"{name or 'out'} is (not )?a folder"):
        run(recipes, pictures, folder)


def test_runs_of_another_budget(
    finished: tuple[Path, ComparisonOutcome], recipes: list[str], pictures: Path
) -> None:
    folder, _ = finished
    with pytest.raises(UsageError, match=r"pixelcnn was trained with another schedule\.steps"):
        run(recipes, pictures, folder, budget="2e8flop")
