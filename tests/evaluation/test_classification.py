"""How often classes are found by likelihood, and probabilities that fit how often."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import pixelgen
from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.checkpoints.classification import ClassificationScores
from pixelgen.cli.app import app
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.classification import measure_classification, score_classes
from pixelgen.pipelines.class_posterior import (
    class_bits,
    class_probabilities,
    fit_temperature,
)


def test_shares_by_hand() -> None:
    bits = torch.tensor(
        [
            [1.0, 2, 3, 4, 5, 6, 7],  # the first is right: first
            [1.0, 2, 3, 4, 5, 6, 7],  # the fifth
            [1.0, 2, 3, 4, 5, 6, 7],  # the seventh
            [3.0, 1, 2, 4, 5, 6, 7],  # the second: first
        ],
        dtype=torch.float64,
    )
    scores = score_classes(bits, torch.tensor([0, 4, 6, 1]))
    assert (scores.pictures, scores.classes) == (4, 7)
    assert (scores.top1, scores.top5) == (0.5, 0.75)


def test_probabilities_at_a_temperature_by_hand() -> None:
    bits = torch.tensor([3.0, 5.0], dtype=torch.float64)
    assert class_probabilities(bits).tolist() == pytest.approx([0.8, 0.2])
    assert class_probabilities(bits, 2).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_temperature_of_a_model_that_is_too_sure_is_found() -> None:
    draw = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(20_000, 5, generator=draw, dtype=torch.float64)
    right = torch.multinomial(class_probabilities(honest), 1, generator=draw)[:, 0]
    assert fit_temperature(30 * honest, right) == pytest.approx(30, rel=0.05)
    scores = score_classes(30 * honest, right)
    entropy = -(class_probabilities(honest) * class_probabilities(honest).log2()).sum(1).mean()
    assert scores.bits == pytest.approx(float(entropy), abs=0.02)


def test_bits_that_say_nothing_are_a_guess() -> None:
    bits = 50 * torch.randn(400, 8, generator=torch.Generator().manual_seed(1)).double()
    scores = score_classes(bits, torch.arange(400) % 8)
    assert scores.bits == pytest.approx(math.log2(8), abs=0.02)
    assert 0 < scores.temperature < math.inf


def test_bits_of_a_surely_wrong_class_are_finite() -> None:
    """exp(-150 / 0.12 · ln 2) is 0 in float64, its logarithm is not."""
    bits = torch.tensor([[0.0, 150]] * 2, dtype=torch.float64)
    assert class_bits(bits, 0.12)[0].tolist() == pytest.approx([0, 1250])
    probabilities = class_probabilities(bits / 100, 2)
    assert torch.allclose(class_bits(bits / 100, 2), -probabilities.log2())
    # The even rows, all right by little, ask for a low temperature, at which row 1 is hopeless.
    near = torch.tensor([[0.0, 0.5], [150.0, 0.0]] * 4, dtype=torch.float64)
    scores = score_classes(near, torch.zeros(8, dtype=torch.int64))
    assert 1000 < scores.bits < math.inf
    training = {"evaluation": {"classification": asdict(scores)}}
    assert ClassificationScores.from_training(training) == scores


def test_the_bits_are_those_of_the_score(pixels: LoadedCheckpoint, grey: Path) -> None:
    scores = measure_classification(pixels, grey, "validation", pictures=6, batch=3)
    images = load_images(grey, "validation", limit=6)
    loaded = pixelgen.Weights(pixels)
    assert images.labels is not None
    hits = 0
    for image, label in zip(images.images, images.labels.tolist(), strict=True):
        (score,) = loaded.score(image, classify=True)
        hits += score.ranking[0].index == label
    assert scores.top1 == pytest.approx(hits / 6)
    assert (scores.pictures, scores.classes) == (6, 4)
    for batch in (1, 64):
        again = measure_classification(pixels, grey, "validation", pictures=6, batch=batch)
        assert asdict(again) == pytest.approx(asdict(scores), rel=1e-4)


def test_codes(coded: LoadedCheckpoint, grey: Path) -> None:
    progress: list[tuple[str, int, int]] = []
    scores = measure_classification(
        coded, grey, "validation", pictures=4, progress=lambda *step: progress.append(step)
    )
    assert scores.pictures == 4
    assert progress[-1] == ("ranking classes", 4, 4)


def test_what_cannot_be_measured(
    classless: LoadedCheckpoint, pixels: LoadedCheckpoint, grey: Path
) -> None:
    with pytest.raises(UsageError, match="knows no classes to rank"):
        measure_classification(classless, grey, "validation")
    with pytest.raises(PixelgenError, match="the data has no labels"):
        measure_classification(pixels, grey.parent / "bare", "validation")
    with pytest.raises(PixelgenError, match="one picture"):
        measure_classification(pixels, grey, "validation", pictures=1)


def test_the_command_and_what_score_makes_of_it(
    pixels: LoadedCheckpoint,
    coded: LoadedCheckpoint,
    classless: LoadedCheckpoint,
    grey: Path,
    tmp_path: Path,
) -> None:
    def run(*words: object) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.stdout

    command = ("evaluate", pixels.path, "--data", grey, "--classify", "6", "--no-likelihood")
    values = json.loads(run(*command, "--json"))
    expected = measure_classification(pixels, grey, "validation", pictures=6)
    assert values["classification"] == pytest.approx(asdict(expected))
    assert (values["images"], values["conditional"]) == (6, None)
    assert "6 pictures of 4 classes: top-1 " in run(*command)

    folder = tmp_path / "measured"
    save_checkpoint(
        folder, pixels.model, labels=pixels.config.labels, training={"evaluation": values}
    )
    measured = load_checkpoint(folder)
    assert measured.config.classification == expected
    photo = load_images(grey, "validation", limit=6).images[3]
    plain = pixelgen.Weights(pixels).score(photo, classify=True)
    calibrated = pixelgen.Weights(measured).score(photo, classify=True)
    assert plain.classification is None
    assert calibrated.classification == expected
    probabilities = [one.probability for one in plain[0].ranking]
    powers = [p ** (1 / expected.temperature) for p in probabilities]
    assert [one.probability for one in calibrated[0].ranking] == pytest.approx(
        [p / sum(powers) for p in powers], rel=1e-3
    )

    both = json.loads(run(*command[:-1], "--limit", "5", "--json"))  # the likelihood is of five
    assert (both["images"], both["classification"]["pictures"]) == (5, 6)
    for option in ("--limit", "--code-steps"):
        words = [*map(str, command), option, "5"]
        bad = CliRunner().invoke(app, ["evaluate", str(coded.path), *words[2:]])
        assert isinstance(bad.exception, UsageError)
        assert bad.exception.message == f"{option} has no effect here"

    bad = CliRunner().invoke(
        app, ["evaluate", str(classless.path), "--data", str(grey), "--classify", "6"]
    )
    assert isinstance(bad.exception, UsageError)
    assert bad.exception.message == "classless knows no classes to rank"


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"temperature": "hot"},
        {"top1": 0.9},
        {"top5": 1.5},
        {"pictures": None},
        {"bits": []},
    ],
)
def test_scores_that_make_no_sense_count_as_not_measured(changed: dict[str, object]) -> None:
    good = asdict(ClassificationScores(10, 4, 0.5, 0.75, 20.0, 1.5))
    assert ClassificationScores.from_training({"evaluation": {"classification": good}}) is not None
    training = {"evaluation": {"classification": good | changed}}
    assert ClassificationScores.from_training(training) is None
    for free in ({}, {"evaluation": 3}, {"evaluation": {"classification": None}}):
        assert ClassificationScores.from_training(free) is None
