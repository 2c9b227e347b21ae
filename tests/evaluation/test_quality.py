"""Marks of real pictures, reconstructions and samples: who is counted, and among which classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint, save_checkpoint
from pixelgen.cli.app import app
from pixelgen.cli.errors import exit_code_of
from pixelgen.data import ImageData
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation import quality as module
from pixelgen.evaluation.dataset import Part, classes_of, with_ilsvrc_labels
from pixelgen.evaluation.quality import measure_quality
from pixelgen.evaluation.reconstructions import reconstruct_with
from pixelgen.evaluation.results import Quality
from pixelgen.metrics.judge import Judge
from pixelgen.metrics.reconstruction import reconstruct
from pixelgen.publishing.figures import _quality

from .conftest import KNOWN, grey_judge


def test_the_parts_are_disjoint_and_cover_all_classes() -> None:
    labels = [7, 3, 11, 5, 900]
    tune, report = classes_of("tune", labels), classes_of("report", labels)
    assert tune == [3, 7, 900]
    assert report == [5, 11]
    assert sorted(tune + report) == classes_of("all", labels) == sorted(labels)


def test_real_pictures_are_recognised(grey: Path, pixels: LoadedCheckpoint, judge: Judge) -> None:
    result = measure_quality(pixels, grey, "validation", samples_per_class=2, judge=judge)
    assert (result.classes, result.real.pictures) == (4, 48)
    assert result.real.top1 == result.real.top5 == 1
    assert result.real.kid is None
    assert result.real.diversity == pytest.approx(1)
    assert result.judge_size == 96
    assert result.reconstructed is None
    assert result.samples is not None
    assert result.sampling is not None
    assert result.samples.pictures == 8
    assert result.samples.top1 < 1
    assert result.samples.top5 == 1  # there are but four classes
    assert result.samples.diversity is not None
    assert result.samples.diversity > 2  # noise beside plain grey
    assert result.sampling.temperature == 1


def test_samples_that_are_real_pictures(
    grey: Path, pixels: LoadedCheckpoint, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn by a perfect model, samples get the marks of real pictures."""
    from pixelgen.data import load_images

    kept = load_images(grey, "validation", size=4).images.view(4, 12, 3, 4, 4)[:, :5]

    def draw(*_: object) -> Tensor:
        return kept.flatten(0, 1)

    monkeypatch.setattr(module, "_sample", draw)
    samples = measure_quality(pixels, grey, "validation", samples_per_class=5, judge=judge).samples
    assert samples is not None
    assert samples.kid is not None
    assert samples.kid.standard_error is not None
    assert samples.top1 == 1
    assert abs(samples.kid.mean) < 3 * samples.kid.standard_error
    assert samples.diversity == pytest.approx(1, abs=0.2)


def test_each_part_on_its_own(grey: Path, pixels: LoadedCheckpoint, judge: Judge) -> None:
    parts: tuple[tuple[Part, tuple[int, ...]], ...] = (("tune", (2, 6)), ("report", (5, 9)))
    for part, classes in parts:
        result = measure_quality(
            pixels, grey, "validation", samples_per_class=1, part=part, judge=judge
        )
        assert (result.classes, result.real.pictures) == (len(classes), 24)
        assert result.samples is not None
        assert (result.samples.pictures, result.samples.diversity) == (2, None)
        # The other part's classes still compete.
        assert result.real.top1 == 1


def test_no_figure_depends_on_the_batches(
    grey: Path, coded: LoadedCheckpoint, judge: Judge
) -> None:
    def measured(batch: int) -> dict[str, float]:
        judge.batch = batch
        result = measure_quality(
            coded, grey, "validation", samples_per_class=3, judge=judge, batch=batch, seed=4
        )
        return _numbers(result)

    first = measured(5)
    assert measured(64) == pytest.approx(first, abs=1e-4)


def test_codes_of_reconstructions_are_improved(
    grey: Path, coded: LoadedCheckpoint, judge: Judge
) -> None:
    codec = coded.codec
    images = torch.randint(0, 256, (5, 3, codec.config.size, codec.config.size)).to(torch.uint8)
    improved = reconstruct_with(codec, images, 2, 3)
    assert improved.dtype == torch.uint8
    assert improved.shape == images.shape
    plain = reconstruct_with(codec, images, 2, 0)
    assert torch.equal(plain, reconstruct(codec, images, 2))
    result = measure_quality(
        coded, grey, "validation", samples_per_class=1, judge=judge, code_steps=1
    )
    assert result.code_steps == 1
    assert result.reconstructed is not None
    figures = _quality(result, "validation split", "pixelgen evaluate w")
    shown = [figure for figure in figures if "codes improved in 1 steps" in figure.what]
    assert shown
    assert all(figure.command.endswith(" --code-steps 1") for figure in figures)


def _numbers(result: Quality) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in ("real", "reconstructed", "samples"):
        marks = getattr(result, name)
        found |= {f"{name} {key}": getattr(marks, key) for key in ("top1", "top5", "diversity")}
        if marks.kid is not None:
            found |= {f"{name} kid": marks.kid.mean, f"{name} error": marks.kid.standard_error}
    return found


def test_a_seed_gives_the_same_samples_and_options_change_them(
    grey: Path, pixels: LoadedCheckpoint, judge: Judge
) -> None:
    def samples(**options: float) -> object:
        return measure_quality(pixels, grey, "validation", judge=judge, **options).samples  # type: ignore[arg-type]

    assert samples() == samples(seed=0)
    assert samples(seed=1) != samples()
    assert samples(temperature=0.5, top_p=0.8) != samples()


def test_a_tokenizer_has_no_samples(grey: Path, tokenizer: LoadedCheckpoint, judge: Judge) -> None:
    told: list[str] = []
    result = measure_quality(
        tokenizer, grey, "validation", judge=judge, progress=lambda what, *_: told.append(what)
    )
    assert result.samples is None
    assert result.sampling is None
    assert result.reconstructed is not None
    assert result.reconstructed.kid is not None
    assert result.reconstructed.pictures == result.real.pictures == 48
    assert {"calibrating", "judging real", "reconstruction", "judging reconstructed"} <= set(told)
    with pytest.raises(PixelgenError, match="draws no samples") as error:
        measure_quality(tokenizer, grey, "validation", judge=judge, guidance=2)
    assert isinstance(error.value, UsageError)


def test_what_cannot_be_judged(
    grey: Path, pixels: LoadedCheckpoint, classless: LoadedCheckpoint, judge: Judge
) -> None:
    def fails(weights: LoadedCheckpoint, data: Path, says: str, **options: object) -> PixelgenError:
        with pytest.raises(PixelgenError, match=says) as error:
            measure_quality(weights, data, "validation", judge=judge, **options)  # type: ignore[arg-type]
        assert "\n" not in error.value.message
        return error.value

    assert isinstance(fails(classless, grey, "has no classes"), UsageError)
    assert isinstance(fails(pixels, grey, "temperature must be", temperature=0), UsageError)
    fails(pixels, grey.parent / "bare", "no column of labels")
    foreign = replace(pixels, config=replace(pixels.config, labels=(10, 11, 12, 13)))
    fails(foreign, grey, "no pictures of the classes that the weights know")
    fails(foreign, grey, "no pictures of the classes of the part tune", part="tune")
    beyond = replace(pixels, config=replace(pixels.config, labels=(2, 5, 6, 1000)))
    assert isinstance(fails(beyond, grey, "has classes of its own"), UsageError)


def test_labels_that_are_no_classes(
    coded: LoadedCheckpoint, judge: Judge, tmp_path: Path, write_pictures: Callable[..., Path]
) -> None:
    """Splits without labels say -1 of every picture."""
    save_checkpoint(tmp_path / "tokenizer", coded.codec)
    tokenizer = load_checkpoint(tmp_path / "tokenizer")
    pictures = [np.zeros((8, 8, 3), np.uint8)] * 3
    unknown = write_pictures(tmp_path / "unknown", "validation", pictures, [-1] * 3, classes=1000)
    with pytest.raises(PixelgenError, match="of other classes than those of ILSVRC"):
        measure_quality(tokenizer, unknown, "validation", judge=judge)
    for option in (["--seed", "1"], ["--samples-per-class", "2"]):
        words = ["evaluate", str(tokenizer.path), "--data", str(unknown), "--quality", *option]
        refused = CliRunner().invoke(app, words)
        assert isinstance(refused.exception, PixelgenError)
        assert refused.exception.message == f"{option[0]} has no effect here"


def test_a_tokenizer_is_judged_by_the_names_of_classes(
    tokenizer: LoadedCheckpoint, judge: Judge, tmp_path: Path
) -> None:
    """Numbers of other classes say nothing to the judge; ILSVRC's have their own by any number."""

    def labelled(first: str, second: str) -> Path:
        for number, name in enumerate((first, second)):
            folder = tmp_path / first / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8), (100 * number,) * 3).save(folder / "0.png")
            Image.new("RGB", (8, 8), (100 * number,) * 3).save(folder / "1.png")
        return tmp_path / first

    for other in (labelled("airplane", "truck"), labelled("0", "5")):  # digits, no tench
        with pytest.raises(PixelgenError, match="of other classes than those of ILSVRC"):
            measure_quality(tokenizer, other, "train", judge=judge)
    known = labelled("Tench", "electric ray")  # of the numbers 0 and 5 among the 1000
    result = measure_quality(tokenizer, known, "train", judge=judge)
    assert (result.classes, result.real.top1) == (2, 1)


def test_numbers_are_those_of_ilsvrc_where_all_are_declared() -> None:
    """A folder has its classes in the order of their names: 0, 1, 10, 100, 101, …"""
    names = tuple(sorted(map(str, range(1000))))
    data = ImageData(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([2, 999]), names)
    found = with_ilsvrc_labels(data)
    assert found is not None
    assert found.labels is not None
    assert found.labels.tolist() == [10, 999]
    assert with_ilsvrc_labels(replace(data, label_names=names[:999])) is None
    nameless = with_ilsvrc_labels(replace(data, label_names=()))
    assert nameless is not None
    assert nameless.labels is data.labels


@pytest.fixture
def command(grey: Path, coded: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module, "load_judge", lambda *_: grey_judge())
    return ["evaluate", str(coded.path), "--data", str(grey), "--device", "cpu", "--quality"]


def test_the_command(command: list[str], grey: Path, coded: LoadedCheckpoint, judge: Judge) -> None:
    options = ["--no-likelihood", "--part", "report", "--samples-per-class", "2", "--top-p", "0.9"]
    printed = CliRunner().invoke(app, [*command, *options, "--seed", "3", "--json"])
    assert printed.exit_code == 0, printed.output
    values = json.loads(printed.stdout)
    assert values["conditional"] is values["reconstruction"] is None
    assert values["images"] == 24
    found = values["quality"]
    assert found["part"] == "report"
    assert found["sampling"] == {
        "samples_per_class": 2,
        "temperature": 1.0,
        "top_p": 0.9,
        "guidance": 1.0,
        "seed": 3,
        "vector_temperature": None,
        "guidance_schedule": None,
    }
    expected = measure_quality(
        coded, grey, "validation", part="report", samples_per_class=2, top_p=0.9, seed=3,
        judge=judge,
    )  # fmt: skip
    assert expected.reconstructed is not None
    assert expected.reconstructed.kid is not None
    assert found["real"]["top1"] == 1
    assert found["real"]["kid"] is None
    assert found["reconstructed"]["kid"]["mean"] == pytest.approx(expected.reconstructed.kid.mean)
    assert found["samples"]["pictures"] == 4


def test_the_table(command: list[str]) -> None:
    text = CliRunner().invoke(app, command)
    assert text.exit_code == 0, text.output
    assert "bits/code" in text.stdout
    assert "4 classes, judged at 96×96; samples: 4 a class, temperature 1, top-p 1" in text.stdout
    table = text.stdout.splitlines()[-4:]
    assert table[0].split() == ["top-1", "top-5", "KID", "diversity"]
    assert [line.split()[0] for line in table[1:]] == ["real", "reconstructed", "samples"]
    assert {len(line) for line in table} == {len(table[0])}


def test_without_quality_its_options_are_errors(
    command: list[str], coded: LoadedCheckpoint
) -> None:
    plain = [word for word in command if word != "--quality"]
    for option, needed in (
        (["--part", "tune"], "--quality or --identity"),
        (["--seed", "1"], "--quality or --identity"),
        (["--no-likelihood"], "--quality or --identity or --classify"),
        (["--top-p", "0.9"], "--quality or --identity"),
    ):
        done = CliRunner().invoke(app, [*plain, *option])
        assert isinstance(done.exception, PixelgenError)
        assert (done.exception.message, exit_code_of(done.exception)) == (
            f"{option[0]} requires {needed}",
            2,
        )
    nothing = json.loads(CliRunner().invoke(app, [*plain, "--json"]).stdout)
    assert nothing["quality"] is None


def test_marks_are_shares_of_all_known_classes(judge: Judge) -> None:
    """A picture that resembles a class of the other part is not recognised."""
    images = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    images[1] = 40
    seen = module._Judged(torch.tensor([6, 2]), *judge.see(images))
    marks = module._scores(seen, seen, KNOWN)
    assert (marks.top1, marks.top5) == (0.5, 1)
