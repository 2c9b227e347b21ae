"""Every error as one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import typer

from pixelgen.cli import terminal
from pixelgen.cli.hints import HINTS
from pixelgen.errors import InputError, PixelgenError, UsageError, WeightsError, did_you_mean

INTERRUPTED = 130
EXIT_CODES: dict[type[PixelgenError], int] = {
    PixelgenError: 1,
    UsageError: 2,
    InputError: 3,
    WeightsError: 4,
}
_NO_MEMORY = ("out of memory", "can't allocate memory")
_LONGEST = 1000


def report(error: BaseException, debug: bool) -> int:
    """Print what `error` means to a user, with a traceback if `debug`, and return the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        # Whoever read the output has gone; nothing more may be written at exit either.
        let_go_of_stdout()
        return 1
    if debug:
        terminal.traceback(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    line, code = explain(error)
    terminal.error(line)
    return code


def exit_code_of(error: PixelgenError) -> int:
    """The exit code of the nearest class of `error` that has one."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def let_go_of_stdout() -> None:
    """Write nowhere what is left for stdout, which takes no more."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: BaseException) -> tuple[str, int]:
    """What `error` means to a user, in one line, and the exit code it ends with."""
    if isinstance(error, PixelgenError):
        line, code = (
            _with_hint(error.message, HINTS.get(error.code, error.hint)),
            exit_code_of(error),
        )
    elif hasattr(error, "format_message"):
        # Typer's own errors; their class lives in a different place in every version of it.
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path} --help`" if context is not None else ""
        line = _with_hint(_usage(error, context), hint)
        code = getattr(error, "exit_code", 2)
    elif isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY):
        line, code = _with_hint("not enough memory", "a smaller --batch-size needs less"), 1
    elif isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        line, code = f"{where}{error.strerror}", 1
    else:
        line = _with_hint(f"unexpected {type(error).__name__}: {error}", "--debug shows where")
        code = 1
    return _one_line(line), code


def _usage(error: Any, context: Any) -> str:
    """What is wrong with the words of a command line."""
    if context is not None and getattr(error, "possibilities", None) is not None:
        params = context.command.get_params(context)
        names = [name for param in params for name in (*param.opts, *param.secondary_opts)]
        known = [name[2:] for name in names if name.startswith("--")]
        return f"{error.message}{did_you_mean(error.option_name.lstrip('-'), known, '--')}"
    # Of a choice that there is not, pydantic says first what kind of error it is.
    return str(error.format_message()).rstrip(".").replace("Value error, ", "")


def _with_hint(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
