"""Jobs run from Python are silent, and have no standard streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixelgen.cli.errors import exit_code_of
from pixelgen.errors import InputError, PixelgenError, UsageError, WeightsError
from pixelgen.jobs.batch import explain_error
from pixelgen.jobs.complete import CompletionJob
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.faces import FacesJob
from pixelgen.jobs.job import ClassSampling
from pixelgen.jobs.sample import SampleJob
from pixelgen.jobs.view import View

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = str(ASSETS / "male-12.jpg")


def test_a_job_prints_nothing_and_reports(
    weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = SampleJob(
        classes=[207, "hen"],
        sampling=ClassSampling(seed=1),
        weights=str(weights),
        device="cpu",
        output=str(tmp_path / "a.png"),
        view=View(grid=False),
    )
    report = job.run()
    assert capfd.readouterr() == ("", "")
    assert report.files == [str(tmp_path / f"a-{i}.png") for i in (1, 2)]
    assert all(Path(file).is_file() for file in report.files)
    assert report.classes == [207, 8]
    said = json.loads(json.dumps(report.to_dict()))
    assert said["classes"] == [207, 8]
    assert "unit" not in said
    assert report.summary().startswith("2 pictures in ")


def test_there_are_no_streams(weights: Path) -> None:
    with pytest.raises(UsageError, match="cannot write a picture to stdout"):
        SampleJob(weights=str(weights), output="-").run()
    with pytest.raises(UsageError, match="cannot read a picture from stdin"):
        CompletionJob(image="-", keep="top:50%").run()


def test_notes_are_collected(pixel_weights: Path, tmp_path: Path) -> None:
    context = JobContext()
    CompletionJob(
        image=PHOTO,
        box="0,0,1,1",
        n=1,
        raw=True,
        weights=str(pixel_weights),
        device="cpu",
        output=str(tmp_path / "a.png"),
    ).run(context)
    assert context.notes == ["nothing that the weights see is hidden"]


def test_what_cannot_be_read_is_reported_before_it_is_raised(tmp_path: Path) -> None:
    report = FacesJob(photos=[PHOTO, "missing.jpg"]).run()
    assert [len(photo.faces) for photo in report.photos] == [1, 0]
    with pytest.raises(InputError, match="1 of 2 photos could not be read"):
        report.check()


def test_hints_name_parameters(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")
    job = SampleJob(weights=str(weights), output=str(tmp_path / "a.png"))
    with pytest.raises(UsageError) as caught:
        job.run()
    assert explain_error(caught.value)[0].endswith("a.png exists (force=True replaces it)")
    with pytest.raises(UsageError, match="scale must be 1 to 64, not 0"):
        View(scale=0)


@pytest.mark.parametrize("kind", [PixelgenError, UsageError, InputError, WeightsError])
def test_exit_codes_are_those_of_the_command_line(kind: type[PixelgenError]) -> None:
    assert explain_error(kind("x")) == ("x", exit_code_of(kind("x")))
