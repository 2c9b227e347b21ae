"""Recipes for own pictures fit them, and a folder of photos of any sizes becomes weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.checkpoints import read_config, resolve_weights, save_checkpoint
from pixelgen.data import DataSummary, ImageData, load_images, summarise
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging.padding import pad_square
from pixelgen.models import GatedPixelCNNConfig, TokenizerConfig, build_model
from pixelgen.training.photo_recipe import PhotoTraining, photo_recipe
from pixelgen.training.plan import plan_training
from pixelgen.training.recipe import Recipe
from pixelgen.training.state import Counters, RunState
from pixelgen.training.training_data import by_picture


def summary(pictures: int = 500, classes: int = 5) -> DataSummary:
    each = pictures // max(classes, 1)
    return DataSummary("photos", "train", pictures, counts={f"c{i}": each for i in range(classes)})


def photos(folder: Path, counts: dict[str, int]) -> Path:
    """Pictures of many sizes in class folders."""
    draw = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            height, width = draw.integers(20, 90, 2)
            pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.jpg")
    return folder


def test_a_run_starts_from_the_bundled_weights() -> None:
    recipe = photo_recipe(summary(), PhotoTraining())
    assert recipe.model.classes == 5
    assert recipe.data.tokenizer == recipe.data.vectors == "imagenet64"
    assert recipe.data.holdout == 50
    assert recipe.schedule.minutes == 20
    assert recipe.compute.compile
    assert recipe.card.license == "unknown"
    assert recipe.sampling.vector_temperature == 0.3  # no classifier knows these classes
    small = photo_recipe(summary(), PhotoTraining(size=32, minutes=2, license="cc0-1.0"))
    assert (small.model.height, small.data.tokenizer, small.data.size) == (32, "", 32)
    assert not small.compute.compile
    assert small.card.license == "cc0-1.0"
    assert photo_recipe(summary(40000, 0), PhotoTraining()).data.holdout == 2000
    assert photo_recipe(summary(100, 0), PhotoTraining()).model.classes == 1


@pytest.mark.parametrize(
    ("pictures", "minutes", "gpu", "preset", "features"),
    [
        (500, 20, False, "auto", 64),
        (5000, 20, False, "auto", 96),
        (5000, 2, False, "auto", 64),
        (50000, 20, False, "auto", 96),
        (50000, 60, False, "auto", 192),
        (50000, 2, True, "auto", 192),
        (5000, 60, True, "auto", 96),
        (500, 20, False, "base", 192),
    ],
)
@pytest.mark.parametrize("size", [32, 64])
def test_a_network_from_nothing_follows_pictures_and_time(
    pictures: int,
    minutes: float,
    gpu: bool,
    preset: Any,
    features: int,
    size: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    options = PhotoTraining(start="none", preset=preset, size=size, minutes=minutes)
    recipe = photo_recipe(summary(pictures), options)
    assert isinstance(recipe, Recipe)
    assert getattr(recipe.model, "features", 0) == features
    assert not recipe.data.vectors


def test_weights_of_the_same_classes_keep_their_vectors(tmp_path: Path) -> None:
    """Their p(h | class) is taken, however few pictures there are now."""
    config = read_config(resolve_weights("imagenet64").path, "imagenet64")
    components, names = config.model.vector_components, map(config.classes.name, config.labels)
    few = DataSummary("photos", "train", 2000, counts=dict.fromkeys(names, 10))
    assert photo_recipe(few, PhotoTraining()).model.vector_components == components > 1
    assert photo_recipe(summary(2000, 200), PhotoTraining()).model.vector_components == 1

    # Pictures without labels are of one class, that of their folder.
    grid = GatedPixelCNNConfig(
        channels=3, height=32, width=32, features=6, layers=1, output_features=6,
        classes=1, vector=2, vector_components=3, vector_features=4,
    )  # fmt: skip
    save_checkpoint(tmp_path / "mine", build_model(grid), labels=[0], class_names=["photos"])
    options = PhotoTraining(size=32, start=str(tmp_path / "mine"))
    for path, expected in (("my/photos", 3), ("photos.csv", 3), ("others", 1)):
        recipe = photo_recipe(DataSummary(path, "train", 40), options)
        assert recipe.model.vector_components == expected


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("coded", [False, True])
def test_codes_are_modelled_where_the_weights_do(size: Any, coded: bool, tmp_path: Path) -> None:
    small: dict[str, Any] = {"features": 6, "layers": 1, "output_features": 6, "classes": 1}
    codec = TokenizerConfig(
        size=size, patch=4, wide_features=4, wide_blocks=1, deep_features=4, deep_blocks=1,
        output_features=4, code_size=8, code_channels=2, levels=5,
    )  # fmt: skip
    grid = (
        GatedPixelCNNConfig(channels=2, height=8, width=8, levels=5, **small)
        if coded
        else GatedPixelCNNConfig(channels=3, height=size, width=size, **small)
    )
    tokenizer = build_model(codec) if coded else None
    weights = str(tmp_path / "mine")
    save_checkpoint(weights, build_model(grid), tokenizer=tokenizer, labels=[0])
    recipe = photo_recipe(summary(), PhotoTraining(size=size, start=weights))
    assert recipe.data.tokenizer == (weights if coded else "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 48}, "no size 48"),
        ({"minutes": 0}, "minutes must be a positive number"),
        ({"preset": "small"}, "starts from scratch"),
        ({"preset": "huge", "start": "none"}, "no preset 'huge'"),
        ({"start": "faces64"}, "training cannot start from it"),
        ({"start": "imagenet32"}, "draws pictures of 32×32 pixels, not 64×64"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        photo_recipe(summary(), PhotoTraining(**options))


def test_classes_of_one_picture_each_say_what_is_missing() -> None:
    lonely = DataSummary("photos", "train", 2, counts={"cat": 1, "dog": 1})
    with pytest.raises(PixelgenError, match="class 'cat' of photos has one picture") as caught:
        photo_recipe(lonely, PhotoTraining())
    assert "at least two" in caught.value.hint
    assert caught.value.message.endswith(", and so has 'dog'")
    with pytest.raises(PixelgenError, match="has one picture"):
        photo_recipe(DataSummary("photos", "train", 1), PhotoTraining())


def test_pictures_of_any_sizes_are_made_square(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", {"cat": 5, "dog": 4})
    (folder / "cat" / "broken.jpg").write_bytes(b"no picture")
    notes: list[str] = []
    data = load_images(
        folder, "train", size=32, fit="crop", skip_unreadable=True, note=notes.append
    )
    again = load_images(
        folder, "train", size=32, fit="crop", skip_unreadable=True, note=notes.append
    )
    assert data.images.shape == again.images.shape == (9, 3, 32, 32)
    assert data.labels is not None
    assert data.labels.tolist() == [0] * 5 + [1] * 4
    expected = (
        "1 of 10 pictures cannot be read and are left out: cat/broken.jpg; the first: it is not a "
        "picture in a known format"
    )
    assert notes == [expected, expected]
    padded = load_images(folder, "train", size=32, fit="pad", skip_unreadable=True)
    with Image.open(folder / "dog" / "1.jpg") as photo:
        by_hand = np.asarray(pad_square(photo, 32))
    assert (padded.images[6].permute(1, 2, 0).numpy() == by_hand).all()
    assert not padded.images.equal(data.images)  # nor is one taken for the other in the cache
    with pytest.raises(PixelgenError, match=r"row 5 of .* is not a readable picture"):
        load_images(folder, "train", size=32, fit="crop")
    with pytest.raises(PixelgenError, match="the first row is") as caught:
        load_images(folder, "train", skip_unreadable=True)
    assert "set fit" in caught.value.hint
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    for _ in range(2):
        with pytest.raises(PixelgenError, match=r"none of the .* it is a HEIC picture") as caught:
            load_images(tmp_path / "broken", "train", skip_unreadable=True)
    (tmp_path / "list.csv").write_bytes(b"image\n\xff\xfe\n")
    with pytest.raises(PixelgenError, match=r"cannot read the data set .*csv: .*utf-8"):
        load_images(tmp_path / "list.csv", "train")


def test_a_class_without_a_readable_picture_is_named() -> None:
    recipe = photo_recipe(summary(6, 2), PhotoTraining(start="none", size=32))
    pictures = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    data = ImageData(pictures, torch.zeros(3, dtype=torch.int64), ("cat", "dog"))
    with pytest.raises(PixelgenError, match="no readable picture of class 'dog'"):
        by_picture(recipe, data, pictures[None])


def test_a_list_of_files_names_pictures_and_classes(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", {"a": 2, "b": 1})
    lines = ["a/0.jpg,pizza", "a/1.jpg,cat", "b/0.jpg,pizza"]
    (folder / "list.csv").write_text("\n".join(["photo,kind", *lines]))
    data = summarise(folder / "list.csv")
    assert (data.image_column, data.label_column) == ("photo", "kind")
    assert data.counts == {"cat": 1, "pizza": 2}
    loaded = load_images(
        folder / "list.csv", "train", size=32, fit="crop", image_column="photo", label_column="kind"
    )
    assert loaded.images.shape == (3, 3, 32, 32)
    assert loaded.class_names() == ["cat", "pizza"]
    with pytest.raises(PixelgenError, match="has no column 'image'") as caught:
        summarise(folder / "list.csv", image_column="image")
    assert "photo, kind" in caught.value.hint


def test_the_recipe_of_a_run_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state.safetensors").touch()
    state = RunState({"model": {}, "later": 1}, [], Counters(), 0)
    monkeypatch.setattr("pixelgen.training.plan.read_run", lambda folder: state)
    with pytest.raises(PixelgenError, match="does not fit: unknown key 'later'"):
        plan_training(str(tmp_path), tmp_path, resume=True)


def test_a_run_of_pictures_resumes_with_the_options_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photos(tmp_path / "mine", {"cat": 12, "dog": 8})
    first: dict[str, Any] = {"size": 32, "fit": "pad", "start": "none", "preset": "tiny"}
    run = tmp_path / "run"
    recipe = plan_training(str(folder), run, minutes=5.0, **first).recipe
    run.mkdir()
    (run / "state.safetensors").touch()
    state = RunState(recipe.to_dict(), [], Counters(), 0)
    monkeypatch.setattr("pixelgen.training.plan.read_run", lambda folder: state)
    again = plan_training(f"{folder}/", run, resume=True, **first)
    assert (again.recipe, again.start) == (recipe, None)
    changed = plan_training(str(folder), run, resume=True, minutes=9.0, license="cc0-1.0").recipe
    assert (changed.schedule.minutes, changed.card.license) == (9.0, "cc0-1.0")
    for options in ({"size": 64}, {"fit": "crop"}, {"start": "imagenet32"}, {"preset": "base"}):
        with pytest.raises(UsageError, match="cannot change while a run is resumed"):
            plan_training(str(folder), run, resume=True, **options)
    with pytest.raises(UsageError, match=r"trains on .*mine, not on "):
        plan_training(str(tmp_path), run, resume=True)


def test_columns_are_guessed_and_said(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", {"a": 4})
    # A spreadsheet's file: semicolons, names of its own, and a row without a picture.
    rows = ["A;a/0.jpg;cat", "B;a/1.jpg;cat", "C;;dog", "D;a/3.jpg;dog"]
    (folder / "list.csv").write_text("\n".join(["Who;Picture File;What", *rows]))
    data = summarise(folder / "list.csv")
    assert (data.image_column, data.label_column) == ("Picture File", "What")
    plan = plan_training(str(folder / "list.csv"), tmp_path / "run", start="none", size=32)
    assert plan.lines[:2] == (
        "4 pictures of 2 classes: cat (2), dog (2)",
        "pictures from column 'Picture File', classes from 'What'; not used: 'Who'",
    )
    notes: list[str] = []
    loaded = load_images(
        folder / "list.csv",
        "train",
        size=8,
        fit="crop",
        image_column="Picture File",
        skip_unreadable=True,
        note=notes.append,
    )
    assert len(loaded) == 3
    (note,) = notes
    assert note == "1 of 4 pictures cannot be read and are left out: row 2; the first: it is empty"
    (folder / "list.csv").write_text("Who;Picture File\n")
    with pytest.raises(PixelgenError, match=r"list.csv has no rows"):
        summarise(folder / "list.csv")


def test_places_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PixelgenError, match="there are no pictures in"):
        summarise(tmp_path / "empty")
    (tmp_path / "photos.zip").touch()
    with pytest.raises(UsageError, match="neither a folder of pictures nor") as caught:
        summarise(tmp_path / "photos.zip")
    assert "unpack the archive" in caught.value.hint


def test_a_plan_names_pictures_outside_of_the_splits(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", {"train": 4, "bus": 3, "tram/old": 1, "test/bus": 2})
    plan = plan_training(str(folder), tmp_path / "run")
    assert plan.lines[:2] == (
        "4 pictures",
        f"not read: 4 pictures in {folder / 'bus'}, {folder / 'tram' / 'old'}, outside of the "
        "folders of splits (train, validation, test); rename such a folder if it is no split",
    )
    whole = photos(tmp_path / "whole", {"steam train": 3, "bus": 2})
    assert plan_training(str(whole), tmp_path / "run").lines[0] == (
        "5 pictures of 2 classes: bus (2), steam train (3)"
    )


def test_pictures_at_different_depths_have_no_classes(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", {"": 2, "cat": 2})
    plan = plan_training(str(folder), tmp_path / "run")
    assert plan.lines[1] == (
        f"no classes, since pictures lie at different depths, in {folder} and in {folder / 'cat'}: "
        "move each into the folder of its class"
    )


def test_a_plan_says_what_will_happen(tmp_path: Path) -> None:
    folder = photos(tmp_path / "mine", {"cat": 12, "dog": 8})
    plan = plan_training(str(folder), tmp_path / "run", minutes=5.0)
    assert plan.start == "imagenet64"
    assert len(plan.dataset or ()) == 20
    assert plan.lines == (
        "20 pictures of 2 classes: cat (12), dog (8)",
        "made 64×64 (crop), 2 of them held out to validate",
        "gated_pixelcnn, 9 layers, 9.30 M parameters, from the weights imagenet64, 5 minutes",
        "imagenet64 has none of these classes: each starts from the mean of the classes of "
        "imagenet64",
    )
    (folder / "cat").rename(folder / "Tabby cat")
    known = plan_training(str(folder), tmp_path / "run").lines[-1]
    assert known == (
        "classes that start as those of imagenet64: Tabby cat; others from the mean of its classes"
    )
    assert (
        plan.recipe.card.data == "Pictures of 2 classes (cat, dog), cropped to their middle, 64×64."
    )
    short = plan_training(
        str(folder),
        tmp_path / "run",
        overrides=["model.layers=1"],
        minutes=1.0,
        start="none",
        size=32,
    )
    network, layers, parameters, *rest = short.lines[2].split(", ")
    assert (network, layers, rest) == ("gated_pixelcnn", "1 layer", ["from scratch", "1 minute"])
    assert parameters.endswith(" M parameters")
    (folder / "Tabby cat").rename(folder / "cat")
    padded = plan_training(str(folder), tmp_path / "run", minutes=5.0, size=32, fit="pad")
    assert padded.lines[1] == "made 32×32 (pad), 2 of them held out to validate"
    assert padded.recipe.data.fit == "pad"
    assert padded.recipe.card.data == (
        "Pictures of 2 classes (cat, dog), padded to squares with the colour of their edges, 32×32."
    )
    by_recipe = plan_training("imagenet32", tmp_path / "run", overrides=["data.path=x"])
    recipe = by_recipe.recipe
    assert by_recipe.lines == (
        "pictures of x (train), made 32×32, 2000 of them held out to validate",
        "gated_pixelcnn, 8 layers, 3.38 M parameters, from scratch, 92 minutes",
    )
    assert recipe.data.path == "x"
    assert recipe.card.summary == ""
    from_nothing = plan_training("imagenet32", tmp_path / "run", start="none")
    assert (from_nothing.start, from_nothing.lines[1]) == (None, by_recipe.lines[1])
    for source, options, says in (
        ("imagenet23", {}, "no pictures and no recipe 'imagenet23', did you mean imagenet32"),
        ("imagenet32", {"size": 32}, "size is for pictures"),
        ("imagenet32", {"license": "mine\nand yours"}, "is not a licence id"),
        (str(tmp_path / "nothing"), {}, "no pictures and no recipe"),
    ):
        with pytest.raises(UsageError, match=says):
            plan_training(source, tmp_path / "run", **options)
