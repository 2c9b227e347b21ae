"""The figure is exact: every row counts once, whatever the batches."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.cli.app import app
from pixelgen.data import cut, load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.dataset import load_matching_images
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.imaging import DataFit
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.conditioning import Condition

LABELS = (2, 5, 6)
SIZES = ((8, 5), (4, 9), (6, 6))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_pictures) -> Path:  # type: ignore[no-untyped-def]
    """11 pictures of 8×8, twice the model's size."""
    draw = np.random.default_rng(1)
    pictures = [draw.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(11)]
    folder = tmp_path_factory.mktemp("data")
    write_pictures(folder / "labelled", "validation", pictures, [LABELS[i % 3] for i in range(11)])
    write_pictures(folder / "bare", "validation", pictures)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> LoadedCheckpoint:
    config = GatedPixelCNNConfig(
        height=4,
        width=4,
        features=6,
        layers=1,
        kernel=3,
        first_kernel=3,
        output_features=6,
        channel_order="head",
        head_features=4,
        classes=3,
    )
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = build_model(config)
    for parameter in model.parameters():  # classes that make a difference
        torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp("weights")
    save_checkpoint(folder, model, labels=LABELS, dtype="float32")
    return load_checkpoint(folder)


def test_every_row_counts_once(data: Path, weights: LoadedCheckpoint) -> None:

    pictures = load_images(data / "labelled", "validation", size=4)
    rows = pictures.rows(LABELS)
    one_by_one = []
    for x, row in zip(pictures.images.long(), rows, strict=True):
        log_prob = weights.model.log_prob(x[None], Condition(classes=row[None]))
        one_by_one.append(-float(log_prob.double().sum()) / (48 * math.log(2)))
    for batch in (1, 4, 11, 100):
        result = evaluate(weights, data / "labelled", "validation", batch=batch)
        assert result.images == 11
        assert result.conditional is not None
        assert result.unconditional is not None
        assert result.conditional.bits_per_dim == pytest.approx(np.mean(one_by_one), abs=1e-5)
        error = np.std(one_by_one, ddof=1) / math.sqrt(11)
        assert result.conditional.standard_error == pytest.approx(error, rel=1e-3)
        assert result.unconditional.bits_per_dim != result.conditional.bits_per_dim
        assert result.main == result.conditional


def test_steps_without_codes_are_not_recorded(data: Path, weights: LoadedCheckpoint) -> None:
    assert evaluate(weights, data / "labelled", "validation", code_steps=3).code_steps is None


def test_without_classes(data: Path, weights: LoadedCheckpoint) -> None:
    both = evaluate(weights, data / "labelled", "validation")
    alone = evaluate(weights, data / "bare", "validation", unconditional=True)
    assert alone.conditional is None
    assert alone.unconditional == both.unconditional
    with pytest.raises(PixelgenError, match="no column of labels"):
        evaluate(weights, data / "bare", "validation")


def test_weights_that_were_never_trained_without_a_class(
    data: Path, weights: LoadedCheckpoint, tmp_path: Path
) -> None:
    training = {"class_dropout": 0.0}
    save_checkpoint(tmp_path / "w", weights.model, labels=LABELS, training=training)
    always = load_checkpoint(tmp_path / "w")
    found = evaluate(always, data / "labelled", "validation")
    assert found.conditional is not None
    assert found.unconditional is None
    for message, unconditional in (
        ("w was never trained without a class", True),
        ("no column of labels", False),
    ):
        with pytest.raises(PixelgenError, match=message) as error:
            evaluate(always, data / "bare", "validation", unconditional=unconditional)
        assert "unconditional" not in error.value.hint
    words = ["evaluate", str(tmp_path / "w"), "--data", str(data / "bare"), "--unconditional"]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.message == "w was never trained without a class"


def test_pictures_are_averaged_and_cut_as_in_training(
    data: Path, weights: LoadedCheckpoint
) -> None:
    def holdout_may_leak(**told: int) -> LoadedCheckpoint:
        return replace(weights, config=replace(weights.config, data=told))

    def found(told: LoadedCheckpoint) -> torch.Tensor:
        return load_matching_images(told, data / "labelled", "validation").images

    pictures = load_images(data / "labelled", "validation").images
    side = pictures.shape[-1]
    averaged = load_images(data / "labelled", "validation", size=4).images
    assert torch.equal(found(weights), averaged)
    assert torch.equal(found(holdout_may_leak(size=4, crop=4)), averaged)
    assert torch.equal(found(holdout_may_leak(size=0, crop=4)), cut(pictures, 4))
    assert torch.equal(found(holdout_may_leak(size=side, crop=4)), cut(pictures, 4))


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_pictures_of_any_sizes_are_made_square_as_in_training(
    weights: LoadedCheckpoint, tmp_path: Path, write_pictures: Callable[..., Path], fit: DataFit
) -> None:
    pictures = [np.full((*size, 3), 60 * i, dtype=np.uint8) for i, size in enumerate(SIZES)]
    pictures[0][:, 0] = 255
    folder = write_pictures(tmp_path / "mixed", "validation", pictures)
    trained = replace(weights, config=replace(weights.config, data={"size": 4, "fit": fit}))
    found = load_matching_images(trained, folder, "validation").images
    assert torch.equal(found, load_images(folder, "validation", size=4, fit=fit).images)
    with pytest.raises(PixelgenError):
        load_matching_images(weights, folder, "validation")


def test_a_single_picture_has_no_standard_error(data: Path, weights: LoadedCheckpoint) -> None:
    assert evaluate(weights, data / "labelled", "validation", limit=1).main.standard_error is None


def test_the_command(data: Path, weights: LoadedCheckpoint) -> None:
    arguments = ["evaluate", str(weights.path), "--data", str(data / "labelled"), "--device", "cpu"]
    printed = CliRunner().invoke(app, [*arguments, "--json", "--batch-size", "4"])
    assert printed.exit_code == 0, printed.output
    values = json.loads(printed.stdout)
    result = evaluate(weights, data / "labelled", "validation")
    assert values["images"] == 11
    assert values["bits_per_dim"] == pytest.approx(result.main.bits_per_dim)
    assert values["unconditional"]["standard_error"] > 0
    text = CliRunner().invoke(app, [*arguments, "--limit", "3"])
    assert f"{3} pictures" in text.stdout
    assert "bits/dim" in text.stdout


def test_a_network_that_gives_no_numbers(data: Path, weights: LoadedCheckpoint) -> None:
    broken = copy.deepcopy(weights.model)
    for parameter in broken.parameters():
        parameter.data.mul_(1e30)
    with pytest.raises(PixelgenError, match="outputs of the network are not finite"):
        evaluate(replace(weights, network=broken), str(data / "labelled"), "validation")
