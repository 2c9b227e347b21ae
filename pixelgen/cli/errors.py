"""Exit codes, and every error as one line on stderr."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from typing import Any

import typer

from pixelgen.cli import terminal
from pixelgen.cli.hints import HINTS
from pixelgen.errors import InputError, PixelgenError, UsageError, WeightsError, did_you_mean
from pixelgen.labels import imagenet_catalogue

SIGNAL_OFFSET = 128
"""A command that a signal ends has this exit code plus the number of the signal, as in a shell."""
INTERRUPTED = SIGNAL_OFFSET + 2
EXIT_CODE_MEANINGS: dict[int, str] = {
    0: "success",
    1: "failure; also damaged weights, and problems that `doctor` finds",
    2: "usage: an invalid option, name or path, or a file that exists already",
    3: "input that cannot be read, or that shows no face where one is needed",
    4: "weights unavailable: no network, no permission, not in the cache",
    SIGNAL_OFFSET + 1: "ended with its terminal (SIGHUP)",
    INTERRUPTED: "interrupted (Ctrl-C, SIGINT)",
    SIGNAL_OFFSET + 15: "terminated (SIGTERM)",
}
"""What the documentation and the man pages say of each exit code."""
EXIT_CODES: dict[type[PixelgenError], int] = {
    PixelgenError: 1,
    UsageError: 2,
    InputError: 3,
    WeightsError: 4,
}
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "failed to map segment",  # of a library that is loaded
    "can't start new thread",
)
"""In messages of torch, of C++ and of the system, in any case."""
_WRITING = (errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))
_MAX_LENGTH = 1000
_EXTRA_WORDS = re.compile(r"unexpected extra arguments?(?:\(s\))? \((.+)\)")
"""In a message of Typer's, with the words."""


def report(error: BaseException, debug: bool) -> int:
    """Print an error for users, with a traceback if `debug`, and return the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        # The reader of the pipe has gone; nothing more may be written at exit either.
        terminal.discard(sys.stdout)
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


def explain(error: BaseException) -> tuple[str, int]:
    """The line that explains an error to users, and the exit code."""
    if isinstance(error, PixelgenError):
        line = _with_hint(error.message, HINTS.get(error.code, error.hint))
        code = exit_code_of(error)
    elif hasattr(error, "format_message"):
        # An error of Typer's; where its class is defined differs between versions of Typer.
        context = getattr(error, "ctx", None)
        hint = "" if context is None else _usage_hint(error, context)
        line = _with_hint(_usage_message(error, context), hint)
        code = getattr(error, "exit_code", 2)
    elif _is_out_of_memory(error):
        hint = "a smaller --batch-size needs less; `ulimit -v` may limit it"
        line, code = _with_hint("not enough memory", hint), 1
    elif isinstance(error, UnicodeEncodeError):
        text = error.object[error.start : error.end]
        line = _with_hint(
            f"{text!r} has no form in the encoding {error.encoding} of this system",
            "PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8",
        )
        code = 1
    elif isinstance(error, OSError) and error.strerror:
        line, code = _system_message(error), 1
    else:
        line = _with_hint(
            f"unexpected {type(error).__name__}: {error}", "--debug shows the traceback"
        )
        code = 1
    return _one_line(line), code


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).casefold()
    return isinstance(error, MemoryError) or any(known in text for known in _OUT_OF_MEMORY)


def _system_message(error: OSError) -> str:
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder does not exist any more"
    return f"{'cannot write: ' if error.errno in _WRITING else ''}{error.strerror}"


def _usage_message(error: Any, context: Any) -> str:
    """What is wrong with a command line."""
    if context is not None and getattr(error, "possibilities", None) is not None:
        params = context.command.get_params(context)
        names = [name for param in params for name in (*param.opts, *param.secondary_opts)]
        known = [name[2:] for name in names if name.startswith("--")]
        return f"{error.message}{did_you_mean(error.option_name.lstrip('-'), known, '--')}"
    # For an invalid choice the message begins with the kind of error.
    return str(error.format_message()).rstrip(".").replace("Value error, ", "")


def _usage_hint(error: Any, context: Any) -> str:
    """What to do about a wrong command line."""
    extra = _EXTRA_WORDS.search(str(error.format_message()))
    if extra and any("--class" in param.opts for param in context.command.get_params(context)):
        files = any(os.path.exists(word) for word in (extra[1], *extra[1].split(" ")))
        return "" if files else _class_options(extra[1])
    return f"`{context.command_path} --help`"


def _class_options(words: str) -> str:
    """The options that name the classes that `words`, which stood alone, mean."""
    names = [words] if imagenet_catalogue().search(words) else words.split(" ")
    return " ".join(f"--class {shlex.quote(name)}" for name in names)


def _with_hint(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LENGTH else f"{line[:_MAX_LENGTH]}…"
