"""The command line as a whole: what it imports, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelgen import __version__
from pixelgen.cli.app import COMMANDS

from .conftest import Run

QUIET_START = """
import contextlib
import io
import json
import sys
from pixelgen.cli.app import main
heavy = {"torch", "numpy", "datasets", "huggingface_hub", "safetensors"}
for words in json.loads(sys.argv[1]):
    if words in (["weights"], ["weights", "list"]):
        # The library says where its cache is; asking for that brings no web client along.
        heavy = heavy - {"huggingface_hub"} | {"httpx", "httpx2", "requests"}
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            main(words)
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
    assert said.getvalue() or words[0] == "weights", words
    assert not heavy & {*sys.modules}, (words, heavy & {*sys.modules})
"""


def test_answers_without_torch(weights: Path) -> None:
    """One process for all, since what one imports the next ones have."""
    lines = [
        *([name, "--help"] for name in COMMANDS),
        ["--help"],
        ["--version"],
        ["classes"],
        ["classes", "retriever", "--weights", str(weights)],
        ["weights", "show", str(weights)],
        ["weights"],
        ["weights", "list"],
    ]
    words = [sys.executable, "-c", QUIET_START, json.dumps(lines)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_help_names_every_command(run: Run) -> None:
    for words in (["--help"], []):
        outcome = run(*words)
        assert outcome.code == 0
        assert all(name in outcome.out for name in COMMANDS)


def test_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pixelgen", "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"pixelgen {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["sample", "--nonsense"], ["sample", "-n", "many"], ["sample", "--seed"]],
)
def test_usage_errors_are_one_line(run: Run, words: list[str]) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1


def test_debug_shows_a_traceback_anywhere(run: Run) -> None:
    assert "Traceback" not in run("sample", "--weights", "nowhere").err
    assert "Traceback" in run("sample", "--weights", "nowhere", "--debug").err
    assert "Traceback" in run("--debug", "sample", "--weights", "nowhere").err


def test_offline_works_anywhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["--offline", "classes", "lion"], ["classes", "--offline", "lion"]):
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        assert run(*words).code == 0
        assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("setting", ["HF_ENDPOINT=http://[::1", "HF_HUB_DOWNLOAD_TIMEOUT=long"])
def test_a_setting_of_the_hub_that_cannot_be(setting: str) -> None:
    name, value = setting.split("=")
    words = [sys.executable, "-m", "pixelgen", "weights", "pull", "owner/name"]
    done = subprocess.run(
        words, env=os.environ | {name: value}, capture_output=True, text=True, timeout=60
    )
    if done.returncode != 4:  # versions of the library differ in what they look at
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: settings of the Hub: ")
    assert done.stderr.count("\n") == 1


def test_an_unforeseen_error_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("pixelgen.cli.classes.search", broken)
    outcome = run("classes")
    assert outcome.code == 1
    assert (
        outcome.err == "error: unexpected RuntimeError: two lines (--debug shows the traceback)\n"
    )


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m pixelgen classes | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("  0  n01440764")
    assert done.stderr == ""


def test_ctrl_c_ends_with_130_and_writes_nothing(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pixelgen.pipelines.ClassPipeline.run", pressed)
    outcome = run("sample", "--weights", weights)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")
    assert list(Path().iterdir()) == []
