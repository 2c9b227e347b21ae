"""Options that every command takes, before its name or after it."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from pixelgen.cli.logs import log_to_stderr
from pixelgen.cli.terminal import Colours, choose_colours
from pixelgen.files import MAX_PIXELS

NAMES = ("verbose", "threads", "color", "max_pixels", "offline", "debug")
"""Names of their parameters."""
max_pixels_read: ContextVar[int | None] = ContextVar("max_pixels_read", default=None)
"""The largest picture to read, in pixels; None: the default of the library."""
_PANEL = "Options of every command"
_THREADS_PER_PROCESSOR = 4


def largest_picture() -> int:
    """Pixels of the largest picture to read."""
    return max_pixels_read.get() or MAX_PIXELS


def use_offline(wanted: bool) -> bool:
    """Use no network, if `wanted`. Like every callback of an option it returns the value."""
    if wanted:
        # huggingface_hub reads it when it is imported, which is later.
        os.environ["HF_HUB_OFFLINE"] = "1"
    return wanted


def use_threads(count: int | None) -> int | None:
    """Let torch use `count` processor threads, at most 4 for each processor; None: its default."""
    if count is not None:
        # More are slower, and the stacks of a thousand threads need too much memory.
        count = min(count, _THREADS_PER_PROCESSOR * (os.cpu_count() or 1))
        # torch reads it when it is imported, which is later unless a program calls `main` again.
        os.environ["OMP_NUM_THREADS"] = str(count)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(count)
    return count


def use_colours(when: Colours | None) -> Colours | None:
    """Choose when to use colours; None: leave it as it is."""
    if when is not None:
        choose_colours(when)
    return when


def use_max_pixels(count: int | None) -> int | None:
    """Read pictures of up to `count` pixels; None: leave it as it is."""
    if count is not None:
        max_pixels_read.set(count)
    return count


def use_verbose(level: int) -> int:
    """Log to stderr, if `level` is above 0."""
    if level:
        log_to_stderr(level)
    return level


Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        callback=use_verbose,
        help="Log to stderr; -vv also logs requests to the Hub.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        metavar="N",
        callback=use_threads,
        help="Number of processor threads.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Color = Annotated[
    Colours | None,
    typer.Option(
        "--color",
        callback=use_colours,
        help="When to use colours; auto follows NO_COLOR and FORCE_COLOR.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        min=1,
        metavar="N",
        callback=use_max_pixels,
        help=f"Read pictures of at most N pixels. Default: {MAX_PIXELS // 10**6} million.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=use_offline,
        help="Use only files on this computer, no network.",
        rich_help_panel=_PANEL,
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_PANEL),
]


def shared(params: Iterable[Any]) -> list[Any]:
    """Copies of those parameters of `pixelgen` that every command takes, for `add_to`."""
    copies = [copy.copy(param) for param in params if param.name in NAMES]
    for param in copies:
        param.expose_value = False  # their callbacks do everything
    return copies


def add_to(command: Any, params: list[Any]) -> None:
    """Add parameters to a command, and to those of a group."""
    command.params += params
    for subcommand in getattr(command, "commands", {}).values():
        add_to(subcommand, params)
