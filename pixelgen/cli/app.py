"""The `pixelgen` command: finds the asked command's module, and imports only that one."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixelgen._version import __version__
from pixelgen.cli.errors import report

# Module, function and command have one name.
COMMANDS = (
    "sample",
    "portrait",
    "interpolate",
    "reconstruct",
    "complete",
    "score",
    "classes",
    "weights",
    "encode",
    "decode",
    "faces",
    "batch",
    "evaluate",
    "train",
    "export",
)


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are looked up."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = importlib.import_module(f"pixelgen.cli.{cmd_name}")
            command = getattr(module, "app", None)
            if command is None:  # one command, not a group of them
                command = typer.Typer(add_completion=False, context_settings=_HELP)
                command.command(cmd_name)(getattr(module, cmd_name))
            self.commands[cmd_name] = typer.main.get_command(command)
        return self.commands.get(cmd_name)


_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(cls=LazyGroup, add_completion=False, context_settings=_HELP)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pixelgen {__version__}")
        raise typer.Exit


@app.callback()
def pixelgen(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error; works anywhere.")
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Use only what is on this computer; works anywhere."),
    ] = False,
) -> None:
    """Pictures from a Gated PixelCNN, pixel by pixel, with exact likelihoods."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 success, 1 failure, 2 usage, 3 unreadable input, 4 weights
    unavailable, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word not in ("--debug", "--offline")]
    if "--offline" in given:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, which is later
    try:
        command = typer.main.get_command(app)
        code = command.main(words or ["--help"], prog_name="pixelgen", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        code = report(error, debug="--debug" in given)
    sys.exit(code if isinstance(code, int) else 0)
