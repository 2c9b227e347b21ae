"""`pixelgen batch` and `pixelgen.run_jobs`."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pixelgen
from pixelgen.checkpoints import storage
from pixelgen.imaging import png_text
from pixelgen.jobs import results_log, staging
from pixelgen.jobs.batch_jobs import BrokenJobs, read_jobs
from pixelgen.pipelines import ClassPipeline

from .conftest import Run

ASSETS = Path(__file__).parents[1] / "assets"
A, B = str(ASSETS / "male-12.jpg"), str(ASSETS / "female-6.jpg")
Sample = Callable[..., dict[str, Any]]


@pytest.fixture
def sample(weights: Path) -> Sample:
    """Makes a job that draws a picture of 4×4 pixels."""

    def make(**said: Any) -> dict[str, Any]:
        return {"command": "sample", "weights": str(weights), "class": 207, **said}

    return make


def write(*jobs: object, name: str = "jobs.jsonl") -> str:
    """A file of jobs; text is taken as it is."""
    lines = [job if isinstance(job, str) else json.dumps(job) for job in jobs]
    Path(name).write_text("\n".join(lines) + "\n", "utf-8")
    return name


def results(out: str) -> list[dict[str, Any]]:
    """What lines of JSON say."""
    return [json.loads(line) for line in out.splitlines()]


def files(folder: str) -> set[str]:
    """All files in a folder, hidden ones too, but for the results."""
    found = {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}
    return found - {"results.jsonl"}


def test_jobs_make_what_the_commands_make_alone(
    run: Run,
    weights: Path,
    pixel_weights: Path,
    face_weights: Path,
    autoencoders: Path,
    code_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone: dict[str, list[object]] = {
        "sample": ["-c", 207, "-c", "hen", "-n", 2, "--seed", 1, "--scale", 2, "-w", weights],
        "portrait": [A, "-n", 2, "--seed", 2, "--top-p", 0.9, "-w", face_weights],
        "interpolate": ["-c", 8, "-c", 340, "--steps", 3, "--seed", 3, "-w", pixel_weights],
        "complete": [
            "--raw",
            "--box",
            "9,9,60,60",
            "--seed",
            4,
            "--refine",
            2,
            "-w",
            pixel_weights,
            "--",
            A,
        ],
        "reconstruct": [A, B, "-n", 1, "--resize", "--seed", 5, "-w", autoencoders],
        "encode": [A, B, "--fit", "stretch", "-w", code_weights],
    }
    jobs: list[dict[str, Any]] = [
        {"command": "sample", "class": [207, "hen"], "n": 2, "seed": 1, "scale": 2, "w": weights},
        {"command": "portrait", "photos": A, "n": 2, "seed": 2, "top_p": 0.9, "w": face_weights},
        {
            "command": "interpolate",
            "class": [8, 340],
            "steps": 3,
            "seed": 3,
            "out": "interpolate.gif",
            "w": pixel_weights,
        },
        {
            "command": "complete",
            "image": A,
            "box": "9,9,60,60",
            "raw": True,
            "seed": 4,
            "refine": 2,
            "w": pixel_weights,
        },
        {
            "command": "reconstruct",
            "images": [A, B],
            "n": 1,
            "resize": True,
            "seed": 5,
            "w": autoencoders,
        },
        {"command": "encode", "images": [A, B], "fit": "stretch", "w": code_weights},
        {"command": "decode", "codes": "alone/encode.safetensors", "w": code_weights},
    ]
    endings = {"interpolate": ".gif", "encode": ".safetensors"}
    Path("alone").mkdir()
    said = {}
    alone["decode"] = ["alone/encode.safetensors", "-w", code_weights]
    for name, words in alone.items():
        place = f"alone/{name}{endings.get(name, '.png')}"
        full = ["--weights" if word == "-w" else word for word in words]
        outcome = run(name, "-o", place, "--json", *full)
        assert outcome.code == 0, outcome.err
        said[name] = json.loads(outcome.out)

    loads = []
    load = storage._load_checkpoint
    monkeypatch.setattr(
        storage, "_load_checkpoint", lambda *given: loads.append(given) or load(*given)
    )
    for job in jobs:
        job |= {"id": job["command"], "weights": str(job.pop("w"))}
    outcome = run(
        "batch",
        write(*jobs, *({**j, "id": f"{j['id']}2", "out": None} for j in jobs)),
        "-o",
        "out",
        "--keep",
        5,
    )
    assert outcome.code == 0, outcome.err
    assert len(loads) == 5
    for result in results(outcome.out)[: len(jobs)]:
        name = result["command"]
        place = f"{name}{endings.get(name, '.png')}"
        assert result["files"] == [place]
        assert Path("out", place).read_bytes() == Path("alone", place).read_bytes()
        for facts in (result["result"], said[name]):
            del facts["seconds"]
        assert result["result"] == json.loads(
            json.dumps(said[name]).replace(f"alone/{place}", f"out/{place}")
        )


def test_score_and_faces(run: Run, pixel_weights: Path) -> None:
    score = {"command": "score", "images": [A], "class": 8, "weights": str(pixel_weights)}
    jobs = [{**score, "map": "heat.png"}, {"id": "people", "command": "faces", "photos": [A, B]}]
    outcome = run("batch", write(*jobs), "-o", "out")
    assert outcome.code == 0, outcome.err
    scored, found = results(outcome.out)
    alone = run("score", A, "--class", 8, "--weights", pixel_weights, "--json")
    assert scored["result"]["pictures"] == json.loads(alone.out)["pictures"]
    assert scored["result"]["map"] == "out/heat.png"
    assert found["files"] == ["people/male-12-1.png", "people/female-6-1.png"]
    assert files("out") == {"heat.png", *found["files"]}
    assert found["result"]["photos"][0]["faces"][0]["file"] == "out/people/male-12-1.png"


def test_what_is_done_is_passed_over(run: Run, sample: Sample) -> None:
    jobs = [sample(id="a", seed=1), sample(), sample()]
    first = run("batch", write(*jobs), "-o", "out")
    assert first.code == 0, first.err
    made = results(first.out)
    assert len({result["id"] for result in made}) == 3
    assert made[1]["id"] + "-2" == made[2]["id"]
    assert files("out") == {f"{result['id']}.png" for result in made}
    assert Path("out/results.jsonl").read_text() == first.out

    again = run("batch", write(*jobs), "-o", "out")
    assert (again.code, again.out) == (0, "")
    assert again.err == "3 jobs, 3 already done, 0 to run\n"
    more = run("batch", write(sample(id="b", n=2, separate=True), *jobs), "-o", "out")
    assert [result["files"] for result in results(more.out)] == [["b-1.png", "b-2.png"]]
    Path("out/b-1.png").unlink()
    before = Path("out/b-2.png").read_bytes()
    more = run("batch", "jobs.jsonl", "-o", "out")
    assert [result["id"] for result in results(more.out)] == ["b"]
    assert Path("out/b-2.png").read_bytes() != before  # no seed: drawn anew, both of them


def test_failures_stop_nothing_and_are_tried_again(run: Run, sample: Sample) -> None:
    jobs = write(sample(**{"class": 5000}), "", sample(id="b"), sample(id="c", weights="none/x"))
    outcome = run("batch", jobs, "-o", "out")
    assert outcome.code == 1
    bad, good, worse = results(outcome.out)
    assert (bad["status"], bad["exit_code"], bad["files"], bad["line"]) == ("failed", 2, [], 1)
    assert bad["error"].startswith("no class 5000")
    assert (good["status"], good["line"], good["error"]) == ("done", 3, None)
    assert worse["exit_code"] == 4
    assert files("out") == {"b.png"}
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: 2 of 3 jobs failed (out/results.jsonl says why")
    assert [r["status"] for r in results(run("batch", jobs, "-o", "out").out)] == ["failed"] * 2


def test_fail_fast(run: Run, sample: Sample) -> None:
    jobs = write(sample(id="a"), sample(id="b", **{"class": 5000}), sample(id="c"))
    outcome = run("batch", jobs, "-o", "out", "--fail-fast", "--quiet")
    assert outcome.code == 1
    assert [result["id"] for result in results(outcome.out)] == ["a", "b"]
    assert outcome.err.splitlines()[-1].startswith("error: jobs.jsonl, line 2: no class 5000")


def test_weights_of_a_name_that_is_too_long_stop_no_other_job(run: Run, sample: Sample) -> None:
    jobs = write(sample(weights="a" * 300), sample())
    outcome = run("batch", jobs, "-o", "out")
    assert outcome.code == 1
    first, second = map(json.loads, outcome.out.splitlines())
    assert (first["status"], second["status"]) == ("failed", "done")


def test_an_unforeseen_error_is_a_failure(
    run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("pixelgen.pipelines.ClassPipeline.run", broken)
    outcome = run("batch", write(sample()), "-o", "out")
    assert outcome.code == 1
    assert results(outcome.out)[0]["error"].startswith("unexpected RuntimeError: two lines")
    assert "Traceback" in run("batch", "jobs.jsonl", "-o", "out", "--debug").err


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_finished(
    number: int | None, run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number is not None and os.name != "posix":
        pytest.skip("os.kill ends a process there")
    draw = ClassPipeline.run
    calls = []

    def pressed(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            if number is not None:
                os.kill(os.getpid(), number)
            raise KeyboardInterrupt
        return draw(*given)

    monkeypatch.setattr("pixelgen.pipelines.ClassPipeline.run", pressed)
    jobs = write(sample(id="a"), sample(id="b"), sample(id="c"))
    outcome = run("batch", jobs, "-o", "out")
    assert outcome.code == 128 + (number or signal.SIGINT)
    assert outcome.err.splitlines()[-1] == "2 jobs left; the same command continues"
    assert [result["id"] for result in results(outcome.out)] == ["a"]
    assert files("out") == {"a.png"}
    assert [result["id"] for result in results(run("batch", jobs, "-o", "out").out)] == ["b", "c"]


class Killed(BaseException):
    """Nothing is tidied up after it, as after SIGKILL."""


@pytest.mark.parametrize("when", ["drawn", "renamed", "moving", "moved", "noting", "noted"])
def test_a_kill_never_leaves_half_a_job_as_done(
    when: str, run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = write(sample(id="a", n=2, separate=True))
    move, put = staging.rename_without_replacing, os.write
    moves = []

    def moving(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == {"renamed": 1, "moving": 2}[when]:
            raise Killed
        move(source, target)

    def noting(file: int, data: bytes) -> int:
        put(file, data[: {"moved": 0, "noting": len(data) // 2, "noted": len(data)}[when]])
        raise Killed

    def drawn(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(staging.shutil, "rmtree", lambda *_, **__: None)
        if when == "drawn":
            patch.setattr(staging.Staging, "hand_over", drawn)
        elif when in ("renamed", "moving"):
            patch.setattr(staging, "rename_without_replacing", moving)
        else:
            patch.setattr(results_log, "os", SimpleNamespace(**(vars(os) | {"write": noting})))
        assert "unexpected Killed" in run("batch", jobs, "-o", "out", "--quiet").err

    outcome = run("batch", jobs, "-o", "out")
    assert outcome.code == 0, outcome.err
    # What was drawn in full is not drawn again, and is noted once.
    assert len(results(outcome.out)) == (when == "drawn")
    assert files("out") == {"a-1.png", "a-2.png"}
    (done,) = [
        line for line in Path("out/results.jsonl").read_text().splitlines() if line.endswith("}")
    ]
    assert json.loads(done)["status"] == "done"
    assert not Path("out/.pixelgen-batch").exists()
    assert run("batch", jobs, "-o", "out").out == ""


def test_a_file_that_appears_meanwhile_is_kept(
    run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = staging.Staging.check_places

    def appears(self: staging.Staging, job: Any, force: bool) -> None:
        check(self, job, force)
        if job.id == "a":
            Path("out/a-2.png").write_text("mine")

    jobs = write(sample(id="a", n=2, separate=True), sample(id="b"))
    with monkeypatch.context() as patch:
        patch.setattr(staging.Staging, "check_places", appears)
        outcome = run("batch", jobs, "-o", "out")
    failed, done = results(outcome.out)
    assert (failed["status"], failed["files"], failed["result"]) == ("failed", [], None)
    assert failed["error"] == "out/a-2.png exists (--force replaces it)"
    assert (failed["exit_code"], done["status"], outcome.code) == (2, "done", 1)
    assert files("out") == {"a-2.png", "b.png"}  # the first of the two is not left alone
    assert Path("out/a-2.png").read_text() == "mine"
    with monkeypatch.context() as patch:
        patch.setattr(staging.Staging, "check_places", appears)
        assert run("batch", jobs, "-o", "out", "--force").code == 0
    assert Path("out/a-2.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(os.name != "posix", reason="the encoding of file names is UTF-8 there")
def test_an_id_that_the_encoding_lacks_fails_its_job_alone(
    weights: Path, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = write(sample(id="ü"), sample(id="é", out="fine.png"), sample(id="last"))
    environment = os.environ | {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = subprocess.run(
        [sys.executable, "-m", "pixelgen", "batch", jobs, "-o", "out"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert process.returncode == 1
    failed, *others = results(process.stdout.decode())
    assert (failed["id"], failed["status"]) == ("ü", "failed")
    assert "no form in the encoding" in failed["error"]
    assert [(one["id"], one["status"]) for one in others] == [("é", "done"), ("last", "done")]
    assert files("out") == {"fine.png", "last.png"}


def test_files_of_others_are_not_replaced(run: Run, sample: Sample) -> None:
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    jobs = write(sample(id="a", seed=1))
    outcome = run("batch", jobs, "-o", "out")
    assert outcome.code == 1
    (failed,) = results(outcome.out)
    assert failed["error"] == "out/a.png exists (--force replaces it)"
    assert Path("out/a.png").read_text() == "mine"
    assert run("batch", jobs, "-o", "out", "--force").code == 0
    before = Path("out/a.png").read_bytes()
    assert before.startswith(b"\x89PNG")
    # The very same picture may be there, as when the results are lost.
    Path("out/results.jsonl").unlink()
    assert run("batch", jobs, "-o", "out").code == 0
    assert Path("out/a.png").read_bytes() == before


def test_another_job_with_the_id_of_one_that_is_done(run: Run, sample: Sample) -> None:
    run("batch", write(sample(id="a", seed=1)), "-o", "out")
    before = Path("out/a.png").read_bytes()
    outcome = run("batch", write(sample(id="a", seed=2)), "-o", "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: jobs.jsonl, line 1: a is done in out with other parameters; give another id, "
        "or use force (no job was run)\n"
    )
    assert Path("out/a.png").read_bytes() == before
    assert run("batch", "jobs.jsonl", "-o", "out", "--force").code == 0
    assert Path("out/a.png").read_bytes() != before


BAD = {
    "no JSON": ('{"command": "sample"', "not JSON: Expecting ',' delimiter at column 21"),
    "NaN": ('{"command": "sample", "seed": NaN}', "not JSON: NaN"),
    "no UTF-8": ('{"command": "s\udcff"}', "not UTF-8"),
    "brackets": ("[" * 100000, "not a job: its JSON is nested too deeply"),
    "no object": ("[1]", 'not a job: {"command": …} is needed'),
    "twice": ('{"command": "sample", "n": 1, "n": 2}', "a duplicate key"),
    "no command": ('{"class": 207}', '"command" is missing'),
    "no such command": ('{"command": "sampel"}', "did you mean 'sample'?"),
    "no job": ('{"command": "train"}', "no job for 'train'"),
    "no such option": ('{"command": "sample", "clas": 1}', "sample has no 'clas', did you mean"),
    "no argument": ('{"command": "portrait"}', "'photos' is missing"),
    "empty argument": ('{"command": "portrait", "photos": []}', "'photos' is missing"),
    "no number": ('{"command": "sample", "seed": "x"}', "'seed' must be a whole number, not 'x'"),
    "no choice": (
        '{"command": "score", "images": "a", "fit": "x"}',
        "'fit' must be crop or stretch, not 'x'",
    ),
    "no float": (
        '{"command": "sample", "temperature": "x"}',
        "'temperature' must be a number, not 'x'",
    ),
    "range": ('{"command": "sample", "scale": 65}', "scale must be 1 to 64, not 65"),
    "far out of range": (
        '{"command": "sample", "scale": "1' + "0" * 400 + '"}',
        "scale must be 1 to 64, not 1" + "0" * 400,
    ),
    "flag": ('{"command": "sample", "grid": 1}', "'grid' is true or false, not 1"),
    "no flag": ('{"command": "sample", "seed": true}', "'seed' takes text or numbers, not true"),
    "object": ('{"command": "sample", "class": {}}', "takes text or numbers, not a list or object"),
    "list": ('{"command": "sample", "seed": [1]}', "'seed' takes one value, not a list"),
    "both": ('{"command": "sample", "grid": true, "separate": true}', "'separate' is given twice"),
    "decided": ('{"command": "sample", "quiet": true}', "'quiet' is an option of the whole batch"),
    "stdin": ('{"command": "score", "images": ["-"]}', "a job has no stdin"),
    "outside": ('{"command": "sample", "out": "../a.png"}', "a place inside the folder of results"),
    "absolute": ('{"command": "sample", "out": "/a.png"}', "a place inside the folder of results"),
    "hidden": ('{"command": "sample", "animate": ".a/b.gif"}', "inside the folder of results"),
    "results": (
        '{"command": "faces", "photos": "a", "out": "Results-1.jsonl"}',
        "'out' cannot be 'Results-1.jsonl': that name is reserved for the results of the batch",
    ),
    "results by id": (
        '{"command": "faces", "photos": "a", "id": "results.jsonl"}',
        "'out' cannot be 'results.jsonl': that name is reserved for the results of the batch",
    ),
    "no place": ('{"command": "score", "images": "a", "out": "a.png"}', "score has no 'out'"),
    "id": ('{"id": "../a", "command": "sample"}', "is used as a file name: '../a' cannot be one"),
    "no id": ('{"id": [], "command": "sample"}', '"id" must be a string, not []'),
    "long id": ('{"id": "' + "a" * 200 + '", "command": "sample"}', '"id" is longer than 150'),
    "surrogate": ('{"command": "sample", "class": "\\ud800"}', "'class' holds invalid characters"),
    "NUL": ('{"command": "score", "images": "a\\u0000"}', "'images' holds invalid characters"),
}


@pytest.mark.parametrize(("line", "says"), BAD.values(), ids=BAD)
def test_broken_lines(line: str, says: str, run: Run, sample: Sample) -> None:
    Path("jobs.jsonl").write_bytes(
        f"{json.dumps(sample())}\n\n{line}\n".encode(errors="surrogateescape")
    )
    for words in ([], ["--dry-run"]):
        outcome = run("batch", "jobs.jsonl", "-o", "out", *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: jobs.jsonl, line 3: ")
        assert says in outcome.err
        assert outcome.err.count("\n") == 1
        assert not Path("out").exists()


def test_jobs_that_are_in_each_others_way(run: Run, sample: Sample) -> None:
    jobs = [sample(id="a"), sample(id="A"), sample(out="y/x.png"), sample(out="y//x", seed=1)]
    outcome = run("batch", write(*jobs), "-o", "out")
    assert outcome.code == 2
    first, second, last = outcome.err.splitlines()
    assert first == "error: jobs.jsonl, line 2: id A is already used by jobs.jsonl, line 1"
    assert second == "error: jobs.jsonl, line 4: y/x.png is written by jobs.jsonl, line 3 too"
    assert last == "error: 2 jobs are wrong (no job was run)"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere.jsonl", "-o", "out"], 3, "cannot read nowhere.jsonl: No such file"),
        ([".", "-o", "out"], 3, "cannot read .: it is a folder"),
        (["jobs.jsonl"], 2, "Missing option '-o' / '--output'"),
        (["jobs.jsonl", "-o", "jobs.jsonl"], 2, "jobs.jsonl is not a folder"),
        (["jobs.jsonl", "-o", "jobs.jsonl/out"], 2, "cannot write jobs.jsonl/out/results.jsonl"),
        (["jobs.jsonl", "-o", "out", "--device", "gpu"], 2, "no device 'gpu'"),
        (["jobs.jsonl", "-o", "out", "--keep", "0"], 2, "--keep"),
    ],
)
def test_bad_input(words: list[str], code: int, says: str, run: Run, sample: Sample) -> None:
    write(sample())
    outcome = run("batch", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert says in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: ")


def test_stdin_and_nothing(run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, count in ((json.dumps(sample()), 1), ("\ufeff\r\n", 0)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        outcome = run("batch", "-", "-o", "out")
        assert outcome.code == 0, outcome.err
        assert len(results(outcome.out)) == count


def test_dry_run(run: Run, sample: Sample) -> None:
    run("batch", write(sample(id="a")), "-o", "out")
    outcome = run("batch", write(sample(id="a"), sample(id="b")), "-o", "out", "--dry-run")
    assert outcome.code == 0
    assert results(outcome.out) == [
        {"id": "a", "line": 1, "command": "sample", "status": "done"},
        {"id": "b", "line": 2, "command": "sample", "status": "left"},
    ]
    assert files("out") == {"a.png"}


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"command": "sample", "out": "m.v2"}, "'out' must end in .png or .jpg or .jpeg or "),
        ({"command": "sample", "out": "m.gif"}, ".tif or .tiff, not 'm.gif'"),
        ({"command": "interpolate", "class": [1, 2], "out": "m.bmp"}, "'out' must end in .png or "),
        ({"command": "sample", "animate": "m.mp4"}, "'animate' must end in .gif or .webp or .png"),
        ({"command": "score", "images": [A], "map": "m.bmp"}, "'map' must end in .png"),
        ({"command": "encode", "images": [A], "out": "m.png"}, "'out' must end in .safetensors"),
    ],
)
def test_places_that_no_command_writes_to(run: Run, job: dict[str, Any], says: str) -> None:
    outcome = run("batch", write(job), "-o", "out", "--dry-run")
    assert outcome.code == 2
    assert says in outcome.err


def test_a_map_in_a_folder(run: Run, pixel_weights: Path) -> None:
    job = {"command": "score", "images": [A], "map": "maps/", "id": "a"}
    outcome = run("batch", write({**job, "weights": str(pixel_weights)}), "-o", "out")
    assert outcome.code == 0, outcome.err
    assert files("out") == {"maps/a-map.png"}


def test_notes_are_told_and_kept(run: Run, pixel_weights: Path) -> None:
    job = {"command": "complete", "image": A, "box": "0,0,1,1", "n": 1, "id": "a", "raw": True}
    outcome = run("batch", write({**job, "weights": str(pixel_weights)}), "-o", "out")
    note = "nothing that the weights see is hidden"
    assert results(outcome.out)[0]["notes"] == [note]
    assert f"note: a: {note}" in outcome.err


def test_two_batches_in_one_folder(run: Run, sample: Sample) -> None:
    pytest.importorskip("fcntl")
    with results_log.ResultsLog(Path("out")).open():
        outcome = run("batch", write(sample()), "-o", "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert "another batch is at work in out" in outcome.err


def test_processes_share_the_jobs(
    run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = write(*(sample(id=name) for name in "abcde"))
    for rank, expected in ((0, "ace"), (1, "bd")):
        for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}.items():
            monkeypatch.setenv(name, str(value))
        outcome = run("batch", jobs, "-o", "out")
        assert [result["id"] for result in results(outcome.out)] == [*expected]
        assert outcome.err.startswith(f"process {rank + 1} of 2: {len(expected)} jobs, ")
    assert len(results(Path("out/results-1.jsonl").read_text())) == 2
    assert run("batch", "-", "-o", "out").code == 2
    monkeypatch.setenv("RANK", "2")
    assert "inconsistent variables of a launcher: RANK=2" in run("batch", jobs, "-o", "out").err
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name)
    assert run("batch", jobs, "-o", "out").err == "5 jobs, 5 already done, 0 to run\n"


def test_a_launcher_does_not_end_processes_because_one_has_failures(
    run: Run, sample: Sample, tmp_path: Path
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    quick = [sample(id=f"a{i}", **{"class": 207 if i else 5000}) for i in range(3)]
    slow = [sample(id=f"b{i}", n=200) for i in range(3)]
    jobs = write(*(job for both in zip(quick, slow, strict=True) for job in both))
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "pixelgen", "batch", jobs, "-o", "out"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "error: 1 of 3 jobs failed" in done.stderr
    assert run("batch", jobs, "-o", "out").err.startswith("6 jobs, 5 already done, 1 to run\n")


def test_python(run: Run, sample: Sample, tmp_path: Path) -> None:
    told: list[pixelgen.JobResult] = []
    picture = tmp_path / "a.jpg"
    shutil.copy(A, picture)
    jobs = [sample(id="a", seed=1), {"command": "faces", "photos": (picture,), "out": "faces"}]
    made = pixelgen.run_jobs(jobs, "out", on_result=told.append)
    assert told == made
    assert [one.files for one in made] == [["a.png"], ["faces/a-1.png"]]
    jobs.insert(0, sample(id="b", **{"class": 5000}))
    again = pixelgen.run_jobs(jobs, "out")
    assert [one.status for one in again] == ["failed", "done", "done"]
    assert again[1:] == made
    with pytest.raises(pixelgen.PixelgenError, match="job 1: no class 5000"):
        pixelgen.run_jobs(jobs, "out", fail_fast=True)
    assert run("batch", write(*jobs[1:2]), "-o", "out").out == ""
    assert pixelgen.run_jobs("jobs.jsonl", "out") == made[:1]
    with pytest.raises(BrokenJobs, match="job 1: sample has no 'x'") as caught:
        pixelgen.run_jobs([sample(x=1), {"command": "sample", "class": object()}], "out")
    assert len(caught.value.problems) == 2


def test_jobs_may_share_a_folder_whatever_its_name(run: Run) -> None:
    jobs = [{"command": "faces", "photos": [str(photo)], "out": "2024.05"} for photo in (A, B)]
    assert run("batch", write(*jobs), "-o", "out", "--dry-run").code == 0


def test_a_folder_that_is_called_as_results_are(run: Run, sample: Sample) -> None:
    Path("out/results-1.jsonl").mkdir(parents=True)
    jobs = write(sample(id="a"))
    assert run("batch", jobs, "-o", "out").code == 0
    assert run("batch", jobs, "-o", "out").err == "1 job, 1 already done, 0 to run\n"


def test_force_replaces_no_file_of_another_job(run: Run, sample: Sample) -> None:
    """Pictures of one job are numbered, and may be called as another job."""
    jobs = write(sample(id="a", n=2, separate=True, seed=1), sample(id="a-1", seed=2))
    for words in ([], ["--force"]):
        outcome = run("batch", jobs, "-o", "out", *words)
        assert outcome.code == 1
        failed = results(outcome.out)[-1]
        assert failed["id"] == "a-1"
        assert failed["error"] == "out/a-1.png is a file of the job a (give another id)"
        assert json.loads(png_text(Path("out/a-1.png"))["seed"]) == 1
    # The file of a job that is no longer asked for is one of others.
    assert run("batch", write(sample(id="a-1", seed=2)), "-o", "out", "--force").code == 0
    assert json.loads(png_text(Path("out/a-1.png"))["seed"]) == 2


def test_other_processes_own_their_files_too(sample: Sample, run: Run) -> None:
    mine = results_log.ResultsLog(Path("out"), rank=1)
    run("batch", write(sample(id="a", n=2, separate=True)), "-o", "out")
    assert mine.owner("A-2.png") is None
    mine.update()
    mine.update()
    assert mine.owner("A-2.png") == "a"
    assert len(mine._known["a"]) == 1


@pytest.mark.parametrize("files", [["results.jsonl"], ["results.jsonl", "results-1.jsonl"]])
def test_the_order_of_results_does_not_depend_on_the_clock(
    files: list[str], run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is set back after a failure; the second result may be of another process."""
    year = 2030

    class Clock:
        @staticmethod
        def now(tz: tzinfo) -> datetime:
            return datetime(year, 1, 1, tzinfo=tz)

    monkeypatch.setattr("pixelgen.jobs.batch.datetime", Clock)
    Path("out").mkdir()
    Path("out/a.png").touch()
    jobs = write(sample(id="a"), sample(id="b"))
    assert run("batch", jobs, "-o", "out").code == 1
    year = 2020
    Path("out/a.png").unlink()
    lines = Path("out/results.jsonl").read_text().splitlines(keepends=True)
    assert run("batch", jobs, "-o", "out").code == 0
    if len(files) > 1:
        Path("out/results-1.jsonl").write_text(
            Path("out/results.jsonl").read_text().removeprefix("".join(lines))
        )
        Path("out/results.jsonl").write_text("".join(lines))
    assert run("batch", jobs, "-o", "out").err == "2 jobs, 2 already done, 0 to run\n"
    # Lines of earlier versions have no such number.
    for file in files:
        text = Path("out", file).read_text()
        Path("out", file).write_text(re.sub(r', "order": \d+', "", text))
    again = run("batch", jobs, "-o", "out")
    assert len(results(again.out)) == (len(files) > 1)
    assert run("batch", jobs, "-o", "out").out == ""


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_full_disk_leaves_no_half_line(
    share: float, run: Run, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = write(sample(id="a"), sample(id="b"))
    put = os.write
    full = False

    def writing(file: int, data: bytes) -> int:
        nonlocal full
        if b'"b"' not in data and not full:
            return put(file, data)
        if full or share == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        full = True
        return put(file, data[: int(share * len(data))])

    with monkeypatch.context() as patch:
        patch.setattr(results_log, "os", SimpleNamespace(**(vars(os) | {"write": writing})))
        outcome = run("batch", jobs, "-o", "out")
    assert outcome.code == 1
    assert "cannot write out/results.jsonl: No space left on device" in outcome.err
    assert [one["id"] for one in results(Path("out/results.jsonl").read_text())] == ["a"]
    assert run("batch", jobs, "-o", "out").code == 0
    assert [one["id"] for one in results(Path("out/results.jsonl").read_text())] == ["a", "b"]


def test_the_end_of_the_log_is_repaired(run: Run, sample: Sample) -> None:
    jobs = write(sample(id="a"), sample(id="b"))
    run("batch", jobs, "-o", "out")
    log = Path("out/results.jsonl")
    whole = log.read_bytes()
    _, second = whole.splitlines(keepends=True)
    for end, after in (
        (b"", whole),
        (b"{", whole),
        (second[:-9], whole),
        (b"mine", whole + b"mine\n"),
        (second[:-1], whole + second),
    ):
        log.write_bytes(whole + end)
        assert run("batch", jobs, "-o", "out").out == ""
        assert log.read_bytes() == after


def test_links_do_not_lead_out_of_the_folder(run: Run, sample: Sample) -> None:
    for folder in ("out", "elsewhere", "out/inside"):
        Path(folder).mkdir()
    try:
        Path("out/cats").symlink_to(Path("elsewhere").absolute())
        Path("out/dogs").symlink_to("inside")
    except OSError:
        pytest.skip("no links here")
    jobs = write(*(sample(out=place) for place in ("cats/a.png", "cats/new/b.png", "dogs/c.png")))
    for words in ([], ["--force"]):
        outcome = run("batch", jobs, "-o", "out", *words)
        assert outcome.code == 1
        assert list(Path("elsewhere").iterdir()) == []
        errors = [one["error"] for one in results(outcome.out)]
        assert errors[0] == ("out/cats leads out of out (remove the link, or give another place)")
        assert errors[1].startswith("out/cats/new leads out of out")
    assert Path("out/inside/c.png").exists()


def test_many_lines_take_time_in_proportion(sample: Sample) -> None:
    """Different ones and equal ones; with every line compared to all others it would be 16 times
    as long for 4 times as many."""

    def seconds(jobs: list[dict[str, Any]]) -> float:
        text = "\n".join(map(json.dumps, jobs)).encode()
        taken = []
        for _ in range(3):
            started = time.process_time()
            assert len({job.id for job in read_jobs(text, "jobs")}) == len(jobs)
            taken.append(time.process_time() - started)
        return min(taken)

    few, many = ([sample(seed=i, out=f"a/{i}.png") for i in range(n)] for n in (500, 2000))
    assert seconds(many) < 10 * seconds(few)
    assert seconds([sample()] * 2000) < 10 * seconds([sample()] * 500)


def test_a_job_whose_photo_has_changed_is_not_done(run: Run, pixel_weights: Path) -> None:
    shutil.copy(A, "a.jpg")
    shutil.copy(A, "b.jpg")
    score = {"command": "score", "weights": str(pixel_weights), "map": "x/"}
    jobs = write({**score, "images": "a.jpg", "id": "a"}, {**score, "images": "b.jpg", "id": "b"})
    first = results(run("batch", jobs, "-o", "out").out)
    before = Path("a.jpg").stat()
    shutil.copy(B, "a.jpg")
    os.utime("a.jpg", ns=(before.st_atime_ns, before.st_mtime_ns))
    states = [one["status"] for one in results(run("batch", jobs, "-o", "out", "--dry-run").out)]
    assert states == ["left", "done"]
    (again,) = results(run("batch", jobs, "-o", "out").out)
    assert again["id"] == "a"
    assert again["result"]["pictures"] != first[0]["result"]["pictures"]
    assert run("batch", jobs, "-o", "out").out == ""
