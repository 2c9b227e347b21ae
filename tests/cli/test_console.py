"""How all commands speak: notes, colours, -v, -q, pipes, and did-you-mean."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from pixelgen.cli import logs, terminal
from pixelgen.cli.app import COMMANDS
from pixelgen.errors import did_you_mean

from .conftest import Run


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable says anything about colours; what a command says of them is forgotten again."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.setenv(name, "1")  # so that they are put back, whatever becomes of them
        monkeypatch.delenv(name)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("plain")
def test_colours_are_for_terminals_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert terminal.has_colours(Terminal())
    assert not terminal.has_colours(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal.has_colours(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.has_colours(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.has_colours(Terminal())


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("where", ["before", "after", "setting"])
def test_colours_as_said(run: Run, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def told(when: str) -> str:
        words = ["classes", "zzzzz"]
        if where == "setting":
            monkeypatch.setenv("PIXELGEN_COLOR", when)
        else:
            words = ["--color", when, *words] if where == "before" else [*words, "--color", when]
        return run(*words).err

    assert told("always").startswith("\x1b[31m\x1b[1merror:\x1b[0m no class")
    assert told("never").startswith("error: no class")
    if where == "after":  # what is said last counts, also where it says to leave it
        monkeypatch.setenv("PIXELGEN_COLOR", "always")
        assert told("auto").startswith("error: no class")
        monkeypatch.delenv("PIXELGEN_COLOR")
    # What a user sets for this program counts more than what is set for all.
    monkeypatch.setenv("NO_COLOR", "1")
    assert told("always").startswith("\x1b[")


@pytest.mark.usefixtures("plain")
def test_forced_colours_make_no_terminal_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not terminal.shows_progress()
    monkeypatch.setattr("sys.stderr", Terminal())
    assert terminal.shows_progress()


def test_verbose_logs_what_is_done(run: Run, weights: Path) -> None:
    words = ["sample", "--weights", weights, "-o", "a.png"]
    outcome = run(*words, "-v")
    lines = [line for line in outcome.err.splitlines() if line.startswith("log: ")]
    assert outcome.out == "a.png\n"
    for part in (f"weights tiny in {weights}", "device cpu", "loaded tiny", "wrote a.png"):
        assert sum(part in line for line in lines) == 1, part
    assert run("-v", *words, "--force", "-q").err.startswith("log: ")
    assert "log: " not in run(*words, "--force").err
    assert not logging.getLogger("pixelgen").handlers


def test_very_verbose_logs_the_libraries_too() -> None:
    logs.log_to_stderr(2)
    assert logging.getLogger("httpx").isEnabledFor(logging.DEBUG)
    logs.log_to_stderr(0)
    assert not logging.getLogger("httpx").isEnabledFor(logging.DEBUG)


def test_threads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        assert run("classes", "lion", "--threads", 3).code == 0
        assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (3, "3")
        monkeypatch.setenv("PIXELGEN_THREADS", "2")
        assert run("classes", "lion").code == 0
        assert torch.get_num_threads() == 2
        assert run("--threads", 4, "classes", "lion").code == 0
        assert torch.get_num_threads() == 4
        assert run("classes", "--threads", 0).code == 2
    finally:
        torch.set_num_threads(before)


def test_larger_pictures_are_read_if_wanted(
    run: Run, pixel_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (40, 30)).save("photo.png")
    words = ["score", "photo.png", "--weights", pixel_weights, "-q"]
    outcome = run(*words, "--max-pixels", 1199)
    assert outcome.code == 3
    assert "it has 40×30 pixels, more than 0.001199 million (--max-pixels N" in outcome.err
    assert run(*words, "--max-pixels", 1200).code == 0
    monkeypatch.setenv("PIXELGEN_MAX_PIXELS", "1000")
    assert run(*words).code == 3
    assert run(*words, "--max-pixels", 1200).code == 0
    monkeypatch.delenv("PIXELGEN_MAX_PIXELS")
    assert run(*words).code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["smaple"], "no command 'smaple', did you mean sample? (`pixelgen --help`)"),
        (["zzz"], "no command 'zzz' (`pixelgen --help`)"),
        (["weights", "lst"], "Did you mean 'list'?"),
        (["sample", "--sed", "3"], "No such option: --sed, did you mean --seed? ("),
        (["sample", "--zzz"], "No such option: --zzz (`pixelgen sample --help`)"),
        (["sample", "-x"], "No such option: -x ("),
        (["--ofline"], "No such option: --ofline, did you mean --offline? ("),
        (["sample", "--weights", "imagenet23"], "called imagenet23, did you mean imagenet"),
        (["sample", "--class", "retreiver"], "golden retriever"),
        (["complete", "a.png", "--fit", "crp"], "'crp' is not one of 'crop', 'stretch' ("),
        (["config", "get", "devcie"], "no setting 'devcie', did you mean device?"),
    ],
)
def test_did_you_mean(run: Run, words: list[str], says: str) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1


def test_nothing_near_is_nothing_meant() -> None:
    assert did_you_mean("xyz", ["sample", "score"]) == ""


@pytest.mark.parametrize("words", [["score", "-"], ["decode", "-"], ["faces", "-"]])
def test_nothing_is_read_from_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=SimpleNamespace(isatty=lambda: True)))
    outcome = run(*words)
    assert re.search("error: cannot read (a picture|codes) from a terminal ", outcome.err)
    assert "(give a file, or pipe one in)\n" in outcome.err
    assert outcome.code in (2, 3)


@pytest.mark.parametrize(
    "words", [["sample", "-o", "-"], ["encode", "a.png", "-o", "-"], ["decode", "c", "-o", "-"]]
)
def test_no_bytes_go_to_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, code_weights: Path, words: list[str]
) -> None:
    Image.new("RGB", (16, 16)).save("a.png")
    codes = ["encode", "a.png", "-o", "c.safetensors", "--weights", code_weights]
    assert run(*codes).code == 0
    Path("c.safetensors").rename("c")
    monkeypatch.setattr("sys.stdout", Terminal())
    outcome = run(*words, "--weights", code_weights)
    assert outcome.code == 2
    assert re.search("error: cannot write (a picture|codes) to a terminal ", outcome.err)


def test_codes_through_pipes(code_weights: Path, tmp_path: Path) -> None:
    Image.effect_noise((30, 20), 60).save(tmp_path / "a.png")
    pixelgen = f"{sys.executable} -m pixelgen"
    line = (
        f"{pixelgen} encode - -o - -q --weights {code_weights} < a.png | "
        f"{pixelgen} decode - -o - -q --weights {code_weights} | "
        f"{pixelgen} encode - -o codes.safetensors --weights {code_weights}"
    )
    done = subprocess.run(
        line, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "codes.safetensors\n"), done.stderr
    assert "1 picture as 2×4×4 codes" in done.stderr


def test_nothing_found_is_an_empty_list_in_json(run: Run) -> None:
    outcome = run("classes", "zzzzz", "--json")
    assert (outcome.code, outcome.out, outcome.err) == (0, "[]\n", "")


def test_quiet_hides_notes(run: Run, pixel_weights: Path) -> None:
    Path("photos").mkdir()
    Image.new("RGB", (9, 9)).save("photos/a.png")
    Path("photos/b.png").write_text("no picture")
    words = ["score", "photos", "--weights", pixel_weights]
    assert "note: cannot read photos/b.png" in run(*words).err
    assert run(*words, "--quiet").err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_everywhere_options_are_everywhere(run: Run, name: str) -> None:
    text = run(name, "--help").out
    for option in ("--verbose", "--threads", "--color", "--max-pixels", "--offline", "--debug"):
        assert option in text
