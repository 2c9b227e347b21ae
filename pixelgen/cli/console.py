"""What all commands share of how they speak: notes, colours, the log of -v, and pipes that take
bytes."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, BinaryIO, Literal, TextIO

import typer

from pixelgen.errors import InputError, UsageError

Colours = Literal["auto", "always", "never"]
"""Where colours are used: on terminals that have them, everywhere, nowhere."""

# What tells, with -vv, whom the library of the Hub asks for what.
_OTHERS = ("huggingface_hub", "httpx", "urllib3")


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream` (stderr, if left out) is a terminal."""
    stream = sys.stderr if stream is None else stream
    return stream is not None and stream.isatty()


def stderr_console() -> Any:
    """Rich's console on stderr."""
    from rich.console import Console

    return Console(stderr=True)


def shows_progress() -> bool:
    """Whether a line on stderr can be rewritten: FORCE_COLOR makes no terminal of a file."""
    return on_terminal() and not stderr_console().is_dumb_terminal


def has_colours(stream: TextIO) -> bool:
    """Whether colours are for `stream`: NO_COLOR and FORCE_COLOR decide, else what it is."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    return bool(forced) or (on_terminal(stream) and os.environ.get("TERM") != "dumb")


_found: dict[str, str | None] = {}
"""What the variables were before the first choice."""


def choose_colours(when: Colours) -> None:
    """Use colours `always` or `never`; `auto` leaves it to NO_COLOR and FORCE_COLOR, as they were
    before any other choice, and terminals."""
    if when == "auto":
        for name, value in _found.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})
        _found.clear()
        return
    for name in ("NO_COLOR", "FORCE_COLOR"):
        _found.setdefault(name, os.environ.get(name))
    # Rich and Typer look at these too.
    chosen, other = ("FORCE_COLOR", "NO_COLOR")[:: 1 if when == "always" else -1]
    os.environ[chosen] = "1"
    os.environ.pop(other, None)


def say(label: str, text: str, colour: str, stream: TextIO | None = None) -> None:
    """A line on `stream` (stderr, if left out) that begins with a `label` in `colour`."""
    stream = sys.stderr if stream is None else stream
    if stream is None:  # it is closed
        return
    coloured = has_colours(stream)
    if coloured:
        label = typer.style(label, fg=colour, bold=True)
    typer.echo(f"{label} {harmless(text)}", file=stream, color=coloured)


def harmless(text: str) -> str:
    """`text` without what a terminal would obey: names of files may hold anything."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def one_line(text: str) -> str:
    """The same for a cell of a table."""
    return harmless(text).replace("\n", "?").replace("\t", "?")


def note(text: str, quiet: bool = False) -> None:
    """A line on stderr about what a user may not expect, unless `quiet`."""
    if not quiet:
        say("note:", text, "yellow")


class _Log(logging.Handler):
    """Writes what is logged to what was stderr first: that of the jobs of a batch is caught."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        whose = "" if record.name.startswith("pixelgen") else f"{record.name}: "
        say("log:", f"{whose}{record.getMessage()}", "blue", self._stream)


def listen(level: int) -> None:
    """Log to stderr: with `level` 1 what pixelgen does, with 2 also what the library of the Hub
    does, with 0 nothing."""
    names = {"pixelgen": logging.INFO} if level == 1 else {}
    if level > 1:
        names = dict.fromkeys(("pixelgen", *_OTHERS), logging.DEBUG)
    for name in ("pixelgen", *_OTHERS):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, _Log)]:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
        if name in names:
            logger.addHandler(_Log())
            logger.setLevel(names[name])


def open_stdin() -> BinaryIO:
    """stdin, to be read. Raises PixelgenError (exit code 3) where it is closed."""
    if sys.stdin is None:
        raise InputError("cannot read stdin: it is closed")
    return sys.stdin.buffer


def stdin_bytes(what: str) -> BinaryIO:
    """stdin, to read `what` from, which nobody types. Raises PixelgenError as `open_stdin` does,
    and where it is a terminal (exit code 2)."""
    stream = open_stdin()
    if stream.isatty():
        raise UsageError(f"a terminal holds no {what}", "give a file, or pipe one in")
    return stream


def check_takes_bytes(what: str) -> None:
    """Raises PixelgenError (exit code 2) where stdout is a terminal, or closed."""
    if sys.stdout is None:
        raise UsageError("stdout is closed", "-o FILE")
    if sys.stdout.isatty():
        raise UsageError(f"a terminal does not take {what}", "redirect stdout")
