"""The one writer to the terminal: results go to stdout, everything else to stderr.

Every text passes `harmless` on its way out: names of files, weights and classes may hold anything.
`harmless_libraries` is for what other libraries log and warn of.
"""

from __future__ import annotations

import json as _json
import os
import struct
import sys
import traceback as _traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, BinaryIO, Literal, TextIO

import typer

from pixelgen.errors import InputError, UsageError, harmless, without_credentials
from pixelgen.json_text import finite

_CELL = (8, 16)
"""Width and height of a cell in pixels, at least on a screen of usual resolution."""
Colours = Literal["auto", "always", "never"]
"""When to use colours: on terminals that have them, everywhere, nowhere."""


_BREAKS = "\n\t"
"""Stay in texts that may have lines and cells of their own."""


def escape_markup(text: str) -> str:
    """`text` such that rich shows it as it is, where it takes [markup] and :emoji: codes."""
    if not {"[", ":"} & {*text}:
        return text
    from rich.markup import escape

    return escape(text).replace(":", ":[none][/none]")  # of codes, it looks between two tags


def line(text: str, *, label: str = "", colour: str = "") -> None:
    """Print a line of the result on stdout, after a `label` in `colour`. Tabs stay."""
    _write(text.replace("\n", "?"), sys.stdout, label, colour)


def document(text: str) -> None:
    """Print a text of several lines, such as a file, on stdout."""
    _write(text.rstrip("\n"), sys.stdout)


def path(file: str | os.PathLike[str]) -> None:
    """Print the path of a file that was written on stdout: for scripts exactly as it is, whatever
    it holds and whatever the locale; harmless on a terminal."""
    if on_terminal(sys.stdout):
        line(os.fspath(file))
    elif sys.stdout is not None and os.name == "posix" and hasattr(sys.stdout, "buffer"):
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(file) + b"\n")
        sys.stdout.buffer.flush()
    elif sys.stdout is not None:
        typer.echo(os.fspath(file))


def json(value: Any, indent: int | None = None, quiet: bool = False) -> None:
    """Print one JSON value on stdout. Numbers that are not finite become null, which JSON has in
    their place, with a note unless `quiet`."""
    value, said = finite(value), value
    if value != said:
        note("null in the JSON stands for a number that is not finite", quiet)
    text = _json.dumps(value, ensure_ascii=not _is_unicode(sys.stdout), indent=indent)
    # Escapes keep what the value means, also where a terminal would act on a character.
    text = "".join(c if c.isprintable() or c == "\n" else _json.dumps(c)[1:-1] for c in text)
    _write(text, sys.stdout)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], align: str = "") -> None:
    """Print aligned rows on stdout: no frames, two spaces between columns, no line wrapped.

    `columns` are the headings, empty for a table without. `align` has < or > for each column, <
    where it is shorter. A value of None is shown as –.
    """
    from rich.cells import cell_len

    texts = [["–" if cell is None else harmless(str(cell)) for cell in row] for row in rows]
    if columns:
        texts.insert(0, [*columns])
    lengths = [[cell_len(cell) for cell in row] for row in texts]
    widths = [max(column) for column in zip(*lengths, strict=True)]
    right = [letter == ">" for letter in align.ljust(len(widths), "<")]
    for number, (row, own) in enumerate(zip(texts, lengths, strict=True)):
        gaps = [" " * (width - length) for width, length in zip(widths, own, strict=True)]
        cells = [g + c if r else c + g for c, g, r in zip(row, gaps, right, strict=True)]
        _write("  ".join(cells).rstrip(), sys.stdout, bold=bool(columns) and number == 0)


def status(text: str, quiet: bool = False, console: Any = None) -> None:
    """Print a line on stderr about what is done, unless `quiet`; above the progress bar of a rich
    `console`, if one is given."""
    if quiet:
        return
    if console is None:
        _write(harmless(text), sys.stderr)
    else:
        # Rich would make colours of [red] in a name, and a picture of :cat:.
        plain = {"markup": False, "emoji": False, "highlight": False}
        with stderr_may_be_gone():
            console.print(harmless(text), soft_wrap=True, **plain)


def note(text: str, quiet: bool = False) -> None:
    """Print a line on stderr about something unexpected, unless `quiet`."""
    if not quiet:
        _write(harmless(text), sys.stderr, "note:", "yellow")


def warning(text: str) -> None:
    """Print a line on stderr about what makes a result another than was asked for."""
    _write(harmless(text), sys.stderr, "warning:", "yellow")


def error(text: str, label: str = "error:") -> None:
    """Print a line on stderr about what failed."""
    _write(harmless(text), sys.stderr, label, "red")


def log(text: str, stream: TextIO | None) -> None:
    """Print a line of the log of `--verbose` on `stream`."""
    _write(harmless(text), stream, "log:", "blue")


def traceback(failure: BaseException) -> None:
    """Print the traceback of an error on stderr."""
    _write("".join(_traceback.format_exception(failure)).rstrip(), sys.stderr)


def confirm(question: str) -> bool:
    """Ask on stderr whether to go on; stdin answers."""
    return typer.confirm(harmless(question), err=True)


def write_bytes(data: bytes) -> None:
    """Write a file to stdout."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def renderable(item: Any) -> None:
    """Print something that rich can render, to stderr."""
    with stderr_may_be_gone():
        stderr_console().print(item)


def graphics(sequence: str) -> None:
    """Show a picture on the terminal of stderr, by an escape sequence of `cli/graphics.py`."""
    with stderr_may_be_gone():
        sys.stderr.write(f"{sequence}\n")
        sys.stderr.flush()


def cell_size() -> tuple[int, int]:
    """Width and height in pixels of a cell of the terminal of stderr; a usual size where it does
    not say."""
    try:
        import fcntl
        import termios

        size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError, ValueError):  # Windows; no terminal; closed
        return _CELL
    rows, columns, width, height = struct.unpack("HHHH", size)
    if not (rows and columns and width >= columns and height >= rows):
        return _CELL
    return width // columns, height // rows


def _write(
    text: str, stream: TextIO | None, label: str = "", colour: str = "", bold: bool = False
) -> None:
    """Print harmless text on a stream, which is None where it is closed."""
    if stream is None:
        return
    text, coloured = harmless(without_credentials(text), _BREAKS), has_colours(stream)
    if label:
        text = f"{typer.style(label, fg=colour, bold=True) if coloured else label} {text}"
    elif bold and coloured:
        text = typer.style(text, bold=True)
    with stderr_may_be_gone() if stream is sys.stderr else nullcontext():
        typer.echo(text, file=stream, color=coloured)


@contextmanager
def stderr_may_be_gone() -> Iterator[None]:
    """A context for writing to stderr. Where its terminal or its reader is gone, nobody needs what
    is written: the work goes on in silence."""
    try:
        yield
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO | None) -> None:
    """Send what is still buffered for a stream, such as a closed pipe, and what will be written to
    it, to the null device."""
    if stream is None:
        return
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_unicode(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream` (stderr, if left out) is a terminal."""
    stream = sys.stderr if stream is None else stream
    return stream is not None and stream.isatty()


def stderr_console() -> Any:
    """Rich's console on stderr, for progress bars."""
    from rich.console import Console

    class StderrConsole(Console):
        def on_broken_pipe(self) -> None:
            # Rich would end the program, and stdout with it.
            discard(sys.stderr)

    return StderrConsole(stderr=True)


def shows_progress() -> bool:
    """Whether a line on stderr can be rewritten: FORCE_COLOR makes no terminal of a file."""
    return on_terminal() and not stderr_console().is_dumb_terminal


def has_colours(stream: TextIO) -> bool:
    """Whether to use colours on `stream`: NO_COLOR and FORCE_COLOR decide, else what it is."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    return bool(forced) or (on_terminal(stream) and os.environ.get("TERM") != "dumb")


_variables_before: dict[str, str | None] = {}
"""NO_COLOR and FORCE_COLOR as they were before the first choice."""


def choose_colours(when: Colours) -> None:
    """Use colours `always` or `never`; `auto` leaves it to NO_COLOR and FORCE_COLOR, as they were
    before any other choice, and terminals."""
    if when == "auto":
        for name, value in _variables_before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})
        _variables_before.clear()
        return
    for name in ("NO_COLOR", "FORCE_COLOR"):
        _variables_before.setdefault(name, os.environ.get(name))
    # Rich and Typer look at these too.
    chosen, other = ("FORCE_COLOR", "NO_COLOR")[:: 1 if when == "always" else -1]
    os.environ[chosen] = "1"
    os.environ.pop(other, None)


def open_stdin() -> BinaryIO:
    """stdin, to be read. Raises InputError where it is closed."""
    if sys.stdin is None:
        raise InputError("cannot read stdin: it is closed")
    return sys.stdin.buffer


def stdin_bytes(what: str) -> BinaryIO:
    """stdin, to read `what` from, which nobody types. Raises InputError as `open_stdin` does, and
    UsageError where it is a terminal."""
    stream = open_stdin()
    if stream.isatty():
        raise UsageError(f"cannot read {what} from a terminal", "give a file, or pipe one in")
    return stream


def check_takes_bytes(what: str) -> None:
    """Raises UsageError where stdout is a terminal, or closed."""
    if sys.stdout is None:
        raise UsageError("stdout is closed", "-o FILE")
    if sys.stdout.isatty():
        raise UsageError(f"cannot write {what} to a terminal", "redirect stdout")
