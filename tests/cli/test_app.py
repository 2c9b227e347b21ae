"""The command line as a whole: what it imports, how it ends."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelgen import __version__
from pixelgen.cli.app import COMMANDS, expand_wildcards
from pixelgen.cli.errors import explain

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

    monkeypatch.setattr("pixelgen.cli.classes.imagenet_catalogue", broken)
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


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError("mmap: Cannot allocate memory (12)"),
    ],
)
def test_too_little_memory_is_one_line(error: Exception) -> None:
    line, code = explain(error)
    assert (line.split(" (")[0], code) == ("not enough memory", 1)


def test_letters_that_a_locale_lacks(weights: Path, tmp_path: Path) -> None:
    job = {"id": "ü", "command": "sample", "weights": str(weights)}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(job))
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    script = """
import sys
from pixelgen.cli import terminal
from pixelgen.cli.app import main
terminal.path(sys.argv[1])
main(["batch", "jobs.jsonl", "-o", "out"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "ü.png"],
        env=os.environ | ascii_only,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    if sys.platform == "linux":
        path, result = done.stdout.decode().splitlines()
        assert path == "ü.png"  # for scripts exactly as it is
        assert done.returncode == 1
        assert json.loads(result)["status"] == "failed"
        assert b"has no form in the encoding ascii of this system" in done.stderr
    assert b"unexpected" not in done.stderr


def test_settings_hold_text_only(run: Run) -> None:
    outcome = run("config", "set", "output", "a\udcff")
    assert outcome.code == 2
    assert "a settings file can only hold text in UTF-8" in outcome.err


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps folders that are in use")
def test_a_current_folder_that_is_gone(run: Run, weights: Path) -> None:
    Path.cwd().rmdir()
    outcome = run("sample", "--weights", weights)
    assert outcome.code == 1
    assert outcome.err == "error: the current folder does not exist any more\n"


def test_a_full_disk_is_named() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert explain(full) == ("cannot write: No space left on device", 1)


def test_wildcards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.jpg", "[c].png"):
        Path(name).touch()
    words = ["faces", "*.jpg", "[c].png", "*.tif", "-o", "out"]
    assert expand_wildcards(words) == ["faces", "a.jpg", "b.jpg", "[c].png", "*.tif", "-o", "out"]


INTERRUPTED_START = """
import os
import signal
import sys
import pixelgen.__main__

class Finder:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here
sys.meta_path.insert(0, Finder())
pixelgen.__main__.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C")
def test_an_interruption_while_modules_are_imported(tmp_path: Path) -> None:
    words = [sys.executable, "-c", INTERRUPTED_START, "--version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
