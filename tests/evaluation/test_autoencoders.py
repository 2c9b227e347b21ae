"""What auto-encoders reach: every figure is what its name says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.cli.app import app
from pixelgen.data import load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation import autoencoders as module
from pixelgen.evaluation.autoencoders import gradient_energy, measure_autoencoders
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.evaluation.quality import measure_quality
from pixelgen.evaluation.results import AutoencoderScores, BitsPerDim
from pixelgen.metrics.judge import Judge
from pixelgen.metrics.reconstruction import psnr
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.pipelines import Weights
from pixelgen.pipelines.conversion import to_images, to_tensor
from pixelgen.sampling import SamplingOptions


@pytest.fixture(scope="module")
def weights(autoencoders: Path) -> LoadedCheckpoint:
    return load_checkpoint(autoencoders)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """9 pictures of noise around different greys."""
    draw = np.random.default_rng(1)
    pictures = [
        (draw.integers(0, 30, (8, 8, 3)) + 20 * place).astype(np.uint8) for place in range(9)
    ]
    return write_pictures(tmp_path_factory.mktemp("data"), "validation", pictures)


def figures(found: object) -> AutoencoderScores:
    told = getattr(found, "autoencoders", None)
    assert isinstance(told, AutoencoderScores)
    return told


def test_bits_are_exact_whatever_the_batches(data: Path, weights: LoadedCheckpoint) -> None:
    x = load_images(data, "validation").images
    measured = [figures(evaluate(weights, data, "validation", batch=b)) for b in (1, 4, 100)]
    for place, (numbers, model) in enumerate(weights.autoencoders.items()):
        h = model.encode(to_signed(x, 256))
        own = bits_per_dim(model.log_prob(x.long(), h)).double()
        null = bits_per_dim(model.pixels.log_prob(x.long())).double()
        for found in measured:
            each = found.bottlenecks[place]
            assert each.bottleneck == numbers
            assert each.given is not None
            assert each.given.bits_per_dim == pytest.approx(float(own.mean()), abs=1e-5)
            error = float(own.std()) / math.sqrt(len(x))
            assert each.given.standard_error == pytest.approx(error, rel=1e-3)
            assert each.without is not None
            assert each.without.bits_per_dim == pytest.approx(float(null.mean()), abs=1e-5)
            assert each.shuffled is not None
            assert each.shuffled.bits_per_dim != pytest.approx(each.given.bits_per_dim, abs=1e-4)


@pytest.mark.parametrize("option", [{"unconditional": True}, {"code_steps": 2}])
def test_options_without_effect(
    data: Path, weights: LoadedCheckpoint, option: dict[str, Any]
) -> None:
    says = f"{next(iter(option))} has no effect: .* is an autoencoder"
    with pytest.raises(UsageError, match=says):
        evaluate(weights, data, "validation", **option)


def test_the_schedule_of_guidance_is_recorded(data: Path, weights: LoadedCheckpoint) -> None:
    for guidance, recorded in ((2.0, "linear"), (1.0, None)):
        defaults = SamplingOptions(guidance=guidance, guidance_schedule="linear")
        guided = replace(weights, config=replace(weights.config, sampling=defaults))
        found = measure_autoencoders(
            guided, data, "validation", limit=1, reconstructions=1, likelihood=False
        )
        assert figures(found).sampling.guidance_schedule == recorded


def test_remarks_are_passed_on(
    data: Path, weights: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, notes = module.load_matching_images, list[str]()

    def load(*args: Any) -> Any:
        args[4]("remark")
        return real(*args)

    monkeypatch.setattr(module, "load_matching_images", load)
    evaluate(weights, data, "validation", limit=1, note=notes.append)
    assert notes == ["remark"]


def test_no_picture_keeps_its_own_code(
    data: Path, weights: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    untold: list[torch.Tensor] = []

    def bits(model: object, images: torch.Tensor, condition: object, *_: object, **__: object):  # type: ignore[no-untyped-def]
        if callable(condition):
            seen.append(condition(slice(None)).vector)
        else:
            assert condition is None
            untold.append(images)
        return torch.zeros(len(images), dtype=torch.float64)

    monkeypatch.setattr(module, "image_bits", bits)
    measure_autoencoders(weights, data, "validation")
    assert [len(images) for images in untold] == [9, 9]  # once for each network
    own, other = seen[:2]
    assert not (own == other).all(1).any()
    assert torch.equal(own.sort(0).values, other.sort(0).values)


def test_both_decoders_on_the_same_pictures(data: Path, weights: LoadedCheckpoint) -> None:
    found = measure_autoencoders(weights, data, "validation", seed=5, reconstructions=4)
    told = figures(found)
    assert (found.images, told.pictures, told.judge_size) == (9, 4, None)
    assert (told.sampling.seed, told.sampling.temperature) == (5, 0.9)
    x = load_images(data, "validation").images[[0, 3, 5, 8]]
    result = Weights(weights).reconstruct(to_images(x, 256), n=1, seed=5)
    for place, each in enumerate(told.bottlenecks):
        means = to_tensor([row[place].image for row in result.by_source])
        samples = to_tensor([row[place].samples[0] for row in result.by_source])
        for decoder, made in ((each.mean, means), (each.samples, samples)):
            assert decoder.psnr == pytest.approx(float(psnr(x, made).mean()), abs=1e-3)
            ratio = gradient_energy(made) / gradient_energy(x)
            assert decoder.sharpness == pytest.approx(ratio, rel=1e-3)
            assert decoder.judged is None


def test_gradient_energy() -> None:
    ramp = (torch.arange(4.0) * 2).expand(1, 3, 4, 4)
    assert gradient_energy(ramp) == gradient_energy(ramp.transpose(2, 3)) == 4
    assert gradient_energy(torch.full((2, 3, 4, 4), 9)) == 0


def test_originals_agree_with_themselves(
    data: Path, weights: LoadedCheckpoint, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = load_images(data, "validation").images
    monkeypatch.setattr(module, "_sample", lambda *_: x)
    told = figures(measure_autoencoders(weights, data, "validation", quality=True, judge=judge))
    for each in told.bottlenecks:
        assert each.samples.judged is not None
        assert (each.samples.judged.top1, each.samples.judged.top5) == (1, 1)
        assert each.samples.judged.kid is not None
        assert each.samples.sharpness == 1
        assert each.mean.judged is not None
        assert each.mean.judged.top1 < 1
    assert told.judge_size == judge.size == 160  # without labels nothing calibrates it


def test_quality_alone(grey: Path, weights: LoadedCheckpoint, judge: Judge, tmp_path: Path) -> None:
    found = measure_autoencoders(
        weights, grey, "validation", likelihood=False, quality=True, judge=judge, reconstructions=10
    )
    each = figures(found).bottlenecks[0]
    assert (each.given, each.shuffled, each.without) == (None, None, None)
    assert figures(found).judge_size == 96  # that of the labels
    other = tmp_path / "other"
    for name in ("airplane", "truck"):
        (other / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(other / name / "0.png")
    judge.size = 160
    found = measure_autoencoders(
        weights, other, "train", likelihood=False, quality=True, judge=judge
    )
    assert figures(found).judge_size == 160  # that of no label of ILSVRC
    with pytest.raises(PixelgenError, match="auto is an autoencoder"):
        measure_quality(weights, grey, "validation", judge=judge)


def test_what_there_is_no_figure_for(data: Path, weights: LoadedCheckpoint, tmp_path: Path) -> None:
    (each, _) = figures(measure_autoencoders(weights, data, "validation", limit=1)).bottlenecks
    assert each.shuffled is None
    assert isinstance(each.given, BitsPerDim)
    model = weights.autoencoders[2]
    save_checkpoint(tmp_path / "w", model, training={"class_dropout": 0.0})
    always = load_checkpoint(tmp_path / "w")
    (each,) = figures(measure_autoencoders(always, data, "validation")).bottlenecks
    assert each.without is None
    with pytest.raises(PixelgenError, match="w allows no guidance"):
        measure_autoencoders(always, data, "validation", guidance=2.0)


def test_the_command(
    data: Path, autoencoders: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_judge", lambda *_: judge)
    words = ["evaluate", str(autoencoders), "--data", str(data), "--device", "cpu"]
    text = CliRunner().invoke(app, words)
    assert text.exit_code == 0, text.output
    lines = text.stdout.splitlines()
    assert lines[0].startswith("auto on 9 pictures of ")
    rows = ["given", "shuffled", "without", "PSNR", "mean", "samples"]
    assert [line.split()[0] for line in lines[2:]] == ["2", *rows, "5", *rows]
    printed = CliRunner().invoke(
        app, [*words, "--quality", "--seed", "3", "--reconstructions", "4", "--json"]
    )
    assert printed.exit_code == 0, printed.output
    told = json.loads(printed.stdout)
    assert told["quality"] is None
    assert told["autoencoders"]["sampling"]["seed"] == 3
    assert told["autoencoders"]["pictures"] == 4
    each = told["autoencoders"]["bottlenecks"][1]
    assert each["bottleneck"] == 5
    assert each["given"]["bits_per_dim"] > 0
    assert 0 <= each["samples"]["judged"]["top5"] <= 1
    idle = (["--part", "tune"], ["--samples-per-class", "2"], ["--vector-temperature", "1"])
    for wrong in (*([*option, "--quality"] for option in idle), ["--unconditional"]):
        refused = CliRunner().invoke(app, [*words, *wrong])
        assert isinstance(refused.exception, PixelgenError)
        assert isinstance(refused.exception, UsageError)
        assert (refused.exception.message, refused.exception.hint) == (
            f"{wrong[0] if len(wrong) > 1 else '--unconditional'} has no effect here",
            "auto is an autoencoder",
        )
    few = CliRunner().invoke(
        app,
        [*words, "--no-likelihood", "--temperature", "0.5", "--reconstructions", "4", "--json"],
    )
    assert few.exit_code == 0, few.output
    told = json.loads(few.stdout)["autoencoders"]
    assert told["sampling"]["temperature"] == 0.5
    assert told["bottlenecks"][0]["given"] is None
    refused = CliRunner().invoke(app, [*words, "--reconstructions", "0"])
    assert refused.exit_code == 2
    refused = CliRunner().invoke(app, [*words, "--identity", "--reconstructions", "4"])
    assert isinstance(refused.exception, PixelgenError)
    assert "--reconstructions cannot be combined with --identity" in refused.exception.message
    other = ["evaluate", "imagenet32", "--data", str(data), "--reconstructions", "4"]
    refused = CliRunner().invoke(app, other)
    assert isinstance(refused.exception, PixelgenError)
    assert refused.exception.message == "--reconstructions requires auto-encoders"
    assert isinstance(refused.exception, UsageError)
    refused = CliRunner().invoke(app, [*words, "--identity", "--no-likelihood"])
    assert isinstance(refused.exception, PixelgenError)
    assert "it samples only reconstructions of a picture" in refused.exception.message
