"""What is exported is what was trained."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.checkpoints.storage import StorageType, storage_types
from pixelgen.cli.app import main
from pixelgen.errors import PixelgenError
from pixelgen.files import public_path
from pixelgen.models import build_model
from pixelgen.publishing.export import export, export_weights
from pixelgen.publishing.model_card import card_from_config
from pixelgen.training.loop import train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.state import part_of, read_state

PNG = b"\x89PNG\r\n\x1a\na picture"


def test_the_averaged_weights_come_back(recipe_file: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    recipe = load_recipe(recipe_file, ["sampling.top_p=0.9", "card.limits=['Stripes only.']"])
    outcome = train(recipe, run)
    assert export(run, folder) == folder
    loaded = load_checkpoint(folder)
    expected = part_of(read_state(run)[1], "ema")
    for name, tensor in loaded.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-4, rtol=1e-3)
    assert loaded.config.labels == (4, 7)
    assert loaded.config.sampling.top_p == 0.9
    assert loaded.config.training["steps"] == 30
    assert loaded.config.training["held_out_bits_per_dim"] == outcome.counters.held_out
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "30 steps" in card
    assert "Stripes only." in card
    assert str(card_from_config(loaded.config, "weights", sheet=False)) == card
    text = card.split("```toml\n")[1].split("```")[0]
    again = tmp_path / "again.toml"
    again.write_text(text, encoding="utf-8")
    shown = replace(recipe, data=replace(recipe.data, path=public_path(recipe.data.path)))
    assert load_recipe(again) == shown


def test_no_path_of_this_computer_is_exported(recipe_file: Path, tmp_path: Path) -> None:
    first, second, folder = tmp_path / "first", tmp_path / "second", tmp_path / "weights"
    recipe = load_recipe(recipe_file, ["schedule.steps=1"])
    assert Path(recipe.data.path).is_relative_to(tmp_path.parent)
    train(recipe, first)
    export(first, folder)
    train(recipe, second, init=str(folder))
    measured = {"data": str(tmp_path / "data"), "split": "s", "images": 9, "reconstruction": None}
    measured["conditional"] = {"bits_per_dim": 3.21, "standard_error": 0.01}
    (tmp_path / "e.json").write_text(json.dumps(measured), encoding="utf-8")
    export(second, folder, evaluation=tmp_path / "e.json", overwrite=True)
    (tmp_path / "again").mkdir()
    export_weights(str(folder), tmp_path / "again", overwrite=True)
    assert "--data data --split s" in (folder / "README.md").read_text(encoding="utf-8")
    for exported in (folder, tmp_path / "again"):
        card = (exported / "README.md").read_text(encoding="utf-8")
        assert "pixelgen train --init weights" in card
        for file in exported.iterdir():
            assert os.fsencode(tmp_path.parent) not in file.read_bytes()


def test_figures_and_samples_enter_the_card(recipe_file: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=1", "card.data=Squares."]), run)
    figure = {"bits_per_dim": 3.21, "standard_error": 0.01}
    measured = {"data": "d", "split": "s", "images": 9, "conditional": figure}
    measured |= {"reconstruction": {"psnr": 20.5, "ssim": 0.7, "perceptual": None}}
    (tmp_path / "e.json").write_text(json.dumps(measured), encoding="utf-8")
    (tmp_path / "s.png").write_bytes(PNG)
    export(run, folder, evaluation=tmp_path / "e.json", sheet=tmp_path / "s.png")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "3.2100 ± 0.0100" in card
    assert re.search(r"\n\nSquares\. \d+ pictures, \d+ of them held out\.\n", card)
    assert "| dB PSNR of reconstructions, s split, 9 pictures | 20.50 |" in card
    assert "pixelgen evaluate weights --data d --split s" in card
    assert (folder / "samples.png").read_bytes() == PNG
    (folder / "tokenizer.safetensors").write_bytes(b"of a model that was here before")
    again = folder / "samples.png"
    export(run, folder, sheet=again, overwrite=True)  # from where it goes
    assert again.read_bytes() == PNG
    assert not (folder / "tokenizer.safetensors").exists()
    export(run, folder, overwrite=True)
    assert not again.exists()


def test_figures_of_other_weights_are_refused(recipe_file: Path, tmp_path: Path) -> None:
    run, folder, file = tmp_path / "run", tmp_path / "weights", tmp_path / "e.json"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    export(run, folder)
    measured = {"data": "d", "split": "s", "images": 9, "reconstruction": None, "limit": 9}
    measured["revision"] = load_checkpoint(folder).revision
    measured["conditional"] = {"bits_per_dim": 3.21, "standard_error": 0.01}
    file.write_text(json.dumps(measured), encoding="utf-8")
    export(run, folder, evaluation=file, overwrite=True)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "`pixelgen evaluate weights --data d --split s --limit 9`" in card
    train(load_recipe(recipe_file, ["schedule.steps=2"]), run, resume=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(PixelgenError, match="are of other weights than these"):
        export(run, folder, evaluation=file, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    export(run, folder, overwrite=True)


def test_quality_enters_the_card(recipe_file: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    real = {"pictures": 24, "top1": 0.5, "top5": 0.75, "kid": None, "diversity": 1.0}
    kid = {"mean": 0.0123, "standard_error": 0.0004}
    options = {"samples_per_class": 4, "temperature": 0.9, "top_p": 1.0, "guidance": 2.0, "seed": 0}
    measured = {"data": "d", "split": "s", "images": 9, "reconstruction": None}
    measured["quality"] = {
        "part": "report",
        "classes": 2,
        "judge_size": 128,
        "real": real,
        "reconstructed": None,
        "samples": {**real, "pictures": 8, "top1": 0.25, "kid": kid, "diversity": 0.9},
        "sampling": options,
    }
    (tmp_path / "e.json").write_text(json.dumps(measured), encoding="utf-8")
    export(run, folder, evaluation=tmp_path / "e.json")
    card = (folder / "README.md").read_text(encoding="utf-8")
    of = "of 8 samples, 2 classes (report half) of the s split"
    assert f"| recognised, top-1 / top-5, {of} | 25.0% / 75.0% |" in card
    assert f"| KID (EfficientNet-lite2) {of} | 0.0123 ± 0.0004 |" in card
    assert f"| diversity, real = 1, {of} | 0.900 |" in card
    assert "of 24 real pictures" in card
    assert "reconstructions" not in card
    assert (
        "`pixelgen evaluate weights --data d --split s --quality --no-likelihood --part report "
        "--samples-per-class 4 --temperature 0.9 --top-p 1.0 --guidance 2.0 --seed 0`"
    ) in card


def test_identity_enters_the_card(recipe_file: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)

    def estimate(value: float, error: float | None = 0.01) -> dict[str, float | None]:
        return {"value": value, "standard_error": error}

    def marks(pictures: int, auc: float, diversity: float | None) -> dict[str, object]:
        spread = None if diversity is None else estimate(diversity)
        likeness = {"auc": estimate(auc), "rank1": estimate(auc / 2), "diversity": spread}
        kid = {"mean": 0.0123, "standard_error": 0.0004}
        seen = {"independent": likeness, "embedder": likeness | {"auc": estimate(auc + 0.05)}}
        rest = {"diversity": spread, "kid": kid, "copies": estimate(0.02, None)}
        return {"pictures": pictures, **seen, **rest}

    measured: dict[str, Any] = {"data": "d", "split": "s", "images": 9, "reconstruction": None}
    measured["identity"] = {
        "part": "report",
        "judge": "dlib",
        "photos": 99,
        "gallery": 90,
        "gallery_people": 9,
        "copy_distance": 0.4,
        "false_copies": estimate(0.004),
        "sources": marks(4, 0.94, None),
        "reconstructed": None,
        "portraits": marks(8, 0.88, 0.9),
        "sampling": {
            "people": 4,
            "portraits": 2,
            "candidates": 4,
            "temperature": 0.9,
            "top_p": 1.0,
            "guidance": 2.0,
            "seed": 0,
        },
    }
    (tmp_path / "e.json").write_text(json.dumps(measured), encoding="utf-8")
    export(run, folder, evaluation=tmp_path / "e.json")
    card = (folder / "README.md").read_text(encoding="utf-8")
    made = "of 8 portraits, each the nearest of 4, 4 people (report half) of the s split"
    same = "same person, AUC / rank-1 of 9"
    assert f"| {same} (dlib, never trained on), {made} | 0.880 ± 0.010 / 44.0% ± 1.0% |" in card
    assert f"| {same} (embedder), {made} | 0.930 ± 0.010 / 44.0% ± 1.0% |" in card
    assert f"(embedder), of 4 real photos, {made.split(', ')[2]} | 0.990 ± 0.010" in card
    assert f"| KID (EfficientNet-lite2) {made} | 0.0123 ± 0.0004 |" in card
    assert f"| diversity within a person, real = 1 (dlib), {made} | 0.900 ± 0.010 |" in card
    assert f"| copies of the photo, {made} | 2.0%; 0.4% ± 1.0% of real photos |" in card
    assert "reconstructions" not in card
    assert (
        "`pixelgen evaluate weights --data d --split s --identity --no-likelihood --part report "
        "--people 4 --portraits 2 --candidates 4 --temperature 0.9 --top-p 1.0 --guidance 2.0 "
        "--seed 0`"
    ) in card
    del measured["identity"]["sampling"]["candidates"]  # as figures were before there were any
    (tmp_path / "e.json").write_text(json.dumps(measured), encoding="utf-8")
    export(run, folder, evaluation=tmp_path / "e.json", overwrite=True)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "of 8 portraits, 4 people (report half) of the s split" in card


def test_a_run_as_whole_numbers(recipe_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(load_recipe(recipe_file, ["schedule.steps=1", "model.features=24"]), run)
    half, whole = export(run, tmp_path / "half"), export(run, tmp_path / "whole", storage="int8")
    first, second = load_checkpoint(half), load_checkpoint(whole)
    assert first.config.training == second.config.training
    assert storage_types(first) == {"model.safetensors": "float16"}
    assert storage_types(second) == {"model.safetensors": "int8"}
    expected = first.network.state_dict()
    for name, tensor in second.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=4e-3, rtol=0.01)
    with pytest.raises(PixelgenError, match="no tokenizer beside the model"):
        export(run, tmp_path / "no", tokenizer_storage="int8")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_weights_are_stored_as_before(
    dtype: StorageType, face_weights: Path, tmp_path: Path
) -> None:
    loaded = load_checkpoint(face_weights)
    codec = build_model(replace(loaded.codec.config, wide_features=24))
    before = save_checkpoint(
        tmp_path / "before",
        loaded.network,
        tokenizer=codec,
        embedder=loaded.embedder,
        dtype={"model.safetensors": "float32", "tokenizer.safetensors": dtype},
    )
    again = export_weights(str(before), tmp_path / "again")
    for path in before.glob("*.safetensors"):
        assert (again / path.name).read_bytes() == path.read_bytes()
    other = export_weights(
        str(before), tmp_path / "other", storage="float16", tokenizer_storage="int8"
    )
    types = storage_types(load_checkpoint(other))
    assert types == {
        "model.safetensors": "float16",
        "tokenizer.safetensors": "int8",
        "embedder.safetensors": "float16",
    }
    # So is a better decoder, with the very encoder, which the export of its run has rounded.
    better, old = load_checkpoint(before).codec, load_checkpoint(before).codec.state_dict()
    for parameter in better.decoder.parameters():
        parameter.add_(0.01)
    save_checkpoint(tmp_path / "better", better)
    replaced = load_checkpoint(
        export_weights(str(before), tmp_path / "replaced", tokenizer=str(tmp_path / "better"))
    )
    assert storage_types(replaced)["tokenizer.safetensors"] == dtype
    for name, tensor in replaced.codec.state_dict().items():
        assert torch.equal(tensor, old[name]) == name.startswith("encoder."), name


def test_smoothing(face_weights: Path, recipe_file: Path, tmp_path: Path) -> None:
    smooth = load_checkpoint(export_weights(str(face_weights), tmp_path / "smooth", smoothing=0.5))
    assert smooth.config.tokenizer is not None
    assert smooth.config.tokenizer.smoothing == smooth.codec.decoder.smoothing == 0.5
    # The tokenizer alone, and smoothed again.
    save_checkpoint(tmp_path / "codec", smooth.codec)
    again = load_checkpoint(
        export_weights(str(tmp_path / "codec"), tmp_path / "again", smoothing=0.25)
    )
    assert again.codec.config.smoothing == 0.25
    kept = load_checkpoint(export_weights(str(tmp_path / "codec"), tmp_path / "kept"))
    assert kept.codec.config.smoothing == 0.5
    with pytest.raises(PixelgenError, match=r"smoothing must lie between 0 and 1, not 1\.5"):
        export_weights(str(face_weights), tmp_path / "no", smoothing=1.5)
    run = tmp_path / "run"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    with pytest.raises(PixelgenError, match="smoothing requires a tokenizer"):
        export(run, tmp_path / "no", smoothing=0.5)
    assert not (tmp_path / "no").exists()


def test_errors(recipe_file: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "weights"
    with pytest.raises(PixelgenError, match="no run in"):
        export(run, folder)
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    (tmp_path / "e.json").write_text("[]", encoding="utf-8")
    with pytest.raises(PixelgenError, match="is not the output of"):
        export(run, folder, evaluation=tmp_path / "e.json")
    with pytest.raises(PixelgenError, match="no picture"):
        export(run, folder, sheet=tmp_path / "none.png")
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(PixelgenError, match="is not a PNG picture"):
        export(run, folder, sheet=tmp_path / "no.png")
    assert not folder.exists()
    export(run, folder)
    with pytest.raises(PixelgenError, match="not empty"):
        export(run, folder)
    export(run, folder, overwrite=True)
    # What is in the folder of a run would be exported in its place the next time.
    before = {path.name for path in run.iterdir()}
    with pytest.raises(PixelgenError, match="is the folder of a run"):
        export(run, run, overwrite=True)
    with pytest.raises(PixelgenError, match="is the folder of a run"):
        export_weights(str(folder), run, overwrite=True)
    assert {path.name for path in run.iterdir()} == before


def test_a_run_that_claims_a_huge_model_is_not_built(recipe_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(load_recipe(recipe_file, ["schedule.steps=1"]), run)
    path = run / "state.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["run"])
    claims = {"features": 3000, "layers": 30}
    header["recipe"]["model"] |= claims
    save_file(load_file(path), path, metadata={"run": json.dumps(header)})
    with pytest.raises(PixelgenError, match=r"does not fit its weights: .* 31 layers"):
        export(run, tmp_path / "weights")
    huge = load_recipe(recipe_file, [f"model.{key}={value}" for key, value in claims.items()])
    with pytest.raises(PixelgenError, match=r"does not fit its weights: .* 31 layers"):
        train(huge, run, resume=True)
    header["recipe"]["model"] |= {"layers": 1}
    save_file(load_file(path), path, metadata={"run": json.dumps(header)})
    with pytest.raises(PixelgenError, match="no model of this size can be built"):
        export(run, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_name_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", "imagenet46", "-o", "out"])
    assert ended.value.code == 2
    says = "no run imagenet46, and no weights of this name, did you mean imagenet64?"
    assert says in capsys.readouterr().err
