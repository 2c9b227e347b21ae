"""The writer to the terminal: what goes where, and that nothing else writes."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import logging
import math
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import pixelgen
from pixelgen.cli import terminal
from pixelgen.cli.logs import harmless_libraries, log_to_stderr

HOSTILE = "a\x1b[31mb\x07c\udc80d\u202ee"
SHOWN = "a?[31mb?c?d?e"
PACKAGE = Path(pixelgen.__file__).parent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def writes(source: str) -> set[str]:
    """The calls in a module that write to the terminal."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {ast.unparse(function).removeprefix("terminal.") for function in calls}
    return {
        name
        for name in names
        if name in ("print", "pprint", "tqdm", "Console")
        or name.endswith((".echo", ".secho", ".confirm", ".prompt", ".print", ".print_exc"))
        or (name.startswith(("sys.std", "sys.__std")) and ".write" in name)
    }


def test_nothing_else_writes_to_the_terminal() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if writes(path.read_text("utf-8"))
    }
    assert found == {"cli/terminal.py"}


def test_what_goes_where(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.line("line")
    terminal.path(Path("a") / "b.png")
    terminal.status("status")
    terminal.status("hidden", quiet=True)
    terminal.note("note")
    terminal.note("hidden", quiet=True)
    terminal.error("wrong")
    terminal.error("job 1", label="failed:")
    printed = capsys.readouterr()
    assert printed.out == "line\na/b.png\n"
    assert printed.err == "status\nnote: note\nerror: wrong\nfailed: job 1\n"


def test_names_begin_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    forged = "a\nerror: b"
    for write in (terminal.status, terminal.note, terminal.error):
        write(forged)
    terminal.status(forged, console=terminal.stderr_console())
    terminal.log(forged, sys.stderr)
    assert capsys.readouterr().err.splitlines() == [
        "a?error: b",
        "note: a?error: b",
        "error: a?error: b",
        "a?error: b",
        "log: a?error: b",
    ]


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.status("[red]a[/] :cat: [/x]", console=terminal.stderr_console())
    assert capsys.readouterr().err == "[red]a[/] :cat: [/x]\n"


def test_what_libraries_write_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("library")
    handler = logging.StreamHandler()
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(), harmless_libraries():
            warnings.simplefilter("always")
            logger.warning("%s\nb", HOSTILE)
            try:
                raise ValueError(HOSTILE)
            except ValueError:
                logger.exception("c")
            warnings.warn(HOSTILE, stacklevel=1)
            log_to_stderr(1)
            warnings.warn(HOSTILE, stacklevel=1)
    finally:
        log_to_stderr(0)
        logger.removeHandler(handler)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"{SHOWN} b"
    assert rest[0] == "c"
    assert rest[-2] == f"ValueError: {SHOWN}"
    assert rest[-1].startswith("log: py.warnings: ")
    assert f"UserWarning: {SHOWN}" in rest[-1]


# On the terminal of a process of its own, whose libraries may write past Python.
SCRIPT = """
import sys
from pixelgen.cli.app import main
for words in eval(sys.argv[1]):
    try:
        main(words)
    except SystemExit as ended:
        print("code", ended.code)
"""


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are those of POSIX")
def test_a_real_terminal_gets_no_escape_sequences(tmp_path: Path, weights: Path) -> None:
    import pty

    name = "x\x1b]0;owned\x07\x9b31m\x7f\u202e\nerror: forged"
    folder = tmp_path / name
    shutil.copytree(weights, folder)
    config = json.loads((folder / "config.json").read_text())
    config["training"] = {"steps": name, "images": name}
    (folder / "config.json").write_text(json.dumps(config))
    lines = [
        ["weights", "show", str(folder)],
        ["weights", "show", str(folder), "--json"],
        ["weights", "path", str(folder)],
        ["weights", "verify", str(folder)],
        ["classes", "--weights", str(folder), "-v"],
        ["config"],
        ["sample", "--help"],
        ["decode", name],
        ["batch", name, "-o", name],
        ["config", "get", name],
        ["classes", f"--{name}"],
        ["classes", name, "--debug"],
    ]
    ours, theirs = pty.openpty()
    environment = os.environ | {"PIXELGEN_OUTPUT": f"out{name}", "TERM": "xterm"}
    words = [sys.executable, "-c", SCRIPT, repr(lines)]
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux ends a terminal without a process so
            while block := os.read(ours, 2**16):
                shown += block
    os.close(ours)
    text = re.sub("\x1b\\[[0-9;]*m", "", shown.decode().replace("\r\n", "\n"))
    codes = [line for line in text.splitlines() if line.startswith("code")]
    assert codes == [f"code {code}" for code in (0, 0, 0, 0, 0, 0, 0, 3, 3, 2, 2, 1)]
    assert "owned" in text
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "\nerror: forged" not in text


def test_every_text_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.line(HOSTILE, label="ok", colour="green")
    terminal.line(f"{HOSTILE}\n")
    terminal.table((), [[HOSTILE, "a\tb\nc"]])
    for write in (terminal.status, terminal.note, terminal.error):
        write(HOSTILE)
    terminal.status(HOSTILE, console=terminal.stderr_console())
    terminal.traceback(ValueError(HOSTILE))
    printed = capsys.readouterr()
    assert printed.out == f"ok {SHOWN}\n{SHOWN}?\n{SHOWN}  a?b?c\n"
    assert printed.err.startswith(f"{SHOWN}\nnote: {SHOWN}\nerror: {SHOWN}\n{SHOWN}\n")
    assert printed.err.endswith(f"ValueError: {SHOWN}\n")


def test_names_of_files_keep_their_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    name = "Screenshot 1.23\u202fPM\u00a0\u3000\U0001f468\u200d\U0001f4bb.png"
    terminal.table((), [[name]])
    terminal.note(name)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{name}\n", f"note: {name}\n")


def test_credentials_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    token = "hf_" + "Ab1" * 12
    try:
        raise RuntimeError(f"http://alice:s3c@ret@hub.example/a@v1 with Bearer {token}")
    except RuntimeError as error:
        terminal.traceback(error)
    text = capsys.readouterr().err
    assert "http://hub.example/a@v1 with Bearer" in text
    assert not [secret for secret in ("alice", "s3c", token) if secret in text.splitlines()[-1]]


def test_paths_are_exact_but_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a\x1b\udc80.png"
    pipe = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="surrogateescape")
    monkeypatch.setattr("sys.stdout", pipe)
    terminal.path(name)
    assert pipe.buffer.getvalue() == b"a\x1b\x80.png\n"
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    terminal.path(name)
    assert screen.getvalue() == "a??.png\n"


def test_json_means_the_same_and_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": HOSTILE, "é": ["😀", "\x9b", True, 1.5], "pair": (1, None)}
    terminal.json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == {**value, "pair": [1, None]}
    assert text.removesuffix("\n").isprintable()
    assert "é" in text
    terminal.json({"a": 1}, indent=2)
    assert capsys.readouterr().out == '{\n  "a": 1\n}\n'


def test_json_where_stdout_has_few_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", stream)
    terminal.json("é")
    assert stream.buffer.getvalue() == b'"\\u00e9"\n'


def test_json_has_no_numbers_that_are_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.json({"a": [math.nan, -math.inf, 0.5], "b": {"c": math.inf}})
    assert capsys.readouterr().out == '{"a": [null, null, 0.5], "b": {"c": null}}\n'


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(("", "KID", "n"), [("real", None, 3), ("猫", "0.1", 12)], align=">><")
    # A wide letter takes two columns.
    assert capsys.readouterr().out == "      KID  n\nreal    –  3\n  猫  0.1  12\n"
    terminal.table((), [])
    assert capsys.readouterr().out == ""


def test_headings_are_bold_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    terminal.table(("a", "b"), [(1, 2)])
    assert screen.getvalue() == "\x1b[1ma  b\x1b[0m\n1  2\n"


def test_closed_streams_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    terminal.line("a")
    terminal.path("a")
    terminal.json({})
    terminal.table(("a",), [("b",)])
    for write in (terminal.status, terminal.note, terminal.error):
        write("a")
