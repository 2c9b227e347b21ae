"""Options of `pixelgen` itself that every command takes too: before its name, or after."""

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
"""The parameters they are."""
largest: ContextVar[int | None] = ContextVar("largest", default=None)
"""Pixels of the largest picture that is read; None: as many as without `--max-pixels`."""
_PANEL = "Anywhere"
_EACH_PROCESSOR = 4


def use_offline(wanted: bool) -> bool:
    """Keep from the network, if `wanted`. This and the others return what they are given, as
    callbacks of options do."""
    if wanted:
        # Read when huggingface_hub is imported, which is later.
        os.environ["HF_HUB_OFFLINE"] = "1"
    return wanted


def use_threads(count: int | None) -> int | None:
    """Let torch use `count` processor threads, at most a few for each processor; None: as many as
    without."""
    if count is not None:
        # More get in each other's way, and no system has room for the stacks of a thousand.
        count = min(count, _EACH_PROCESSOR * (os.cpu_count() or 1))
        # Read when torch is imported, which is later, but for programs that call `main` again.
        os.environ["OMP_NUM_THREADS"] = str(count)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(count)
    return count


def use_colours(when: Colours | None) -> Colours | None:
    """Use colours as said; None: as without."""
    if when is not None:
        choose_colours(when)
    return when


def use_max_pixels(count: int | None) -> int | None:
    """Read pictures of so many pixels; None: as without."""
    if count is not None:
        largest.set(count)
    return count


def use_verbose(level: int) -> int:
    """Log what is done, if `level` is above 0."""
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
        help="Log what is done to stderr; -vv also what the Hub is asked.",
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
        help="Processor threads.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Color = Annotated[
    Colours | None,
    typer.Option(
        "--color",
        callback=use_colours,
        help="Colours; auto heeds NO_COLOR and FORCE_COLOR.",
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
        help=f"Pixels of the largest picture that is read. Default: {MAX_PIXELS // 10**6} million.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=use_offline,
        help="Use only what is on this computer.",
        rich_help_panel=_PANEL,
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show a traceback with an error.", rich_help_panel=_PANEL),
]


def shared(params: Iterable[Any]) -> list[Any]:
    """Those of the parameters of `pixelgen` that every command takes, for `spread`."""
    found = [copy.copy(param) for param in params if param.name in NAMES]
    for param in found:
        param.expose_value = False  # all that they do, their callbacks do
    return found


def spread(command: Any, params: list[Any]) -> None:
    """Let a command, and those below it, take `params` too."""
    command.params += params
    for below in getattr(command, "commands", {}).values():
        spread(below, params)
