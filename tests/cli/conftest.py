"""Running the command line as a user does."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pixelgen.cli.app import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@dataclass(frozen=True)
class Piped:
    """What a command left behind, and wrote into a pipe."""

    code: int
    out: bytes
    err: str


Pipe = Callable[..., Piped]


@pytest.fixture
def run(
    once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs `pixelgen` with the given words in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run_words(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        text = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, text.out, text.err)

    return run_words


@pytest.fixture
def pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Runs `pixelgen` between two pipes, with `stdin` in the first."""

    def pipe_words(*words: object, stdin: bytes = b"") -> Piped:
        given, made = (io.TextIOWrapper(io.BytesIO(data)) for data in (stdin, b""))
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", given)
            patch.setattr("sys.stdout", made)
            outcome = run(*words)
        return Piped(outcome.code, made.buffer.getvalue(), outcome.err)

    return pipe_words
