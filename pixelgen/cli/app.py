"""The `pixelgen` command: finds the asked command's module, and imports only that one."""

from __future__ import annotations

import codecs
import importlib
import io
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixelgen._version import __version__
from pixelgen.cli import global_options
from pixelgen.cli.errors import report
from pixelgen.cli.logs import log_to_stderr
from pixelgen.cli.terminal import note
from pixelgen.errors import PixelgenError, UsageError, did_you_mean

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
    "config",
    "doctor",
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
            made = typer.main.get_command(command)
            made.name = cmd_name  # a group has none of its own
            global_options.spread(made, global_options.shared(self.params))
            self.commands[cmd_name] = made
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = did_you_mean(name, COMMANDS)
            raise UsageError(f"no command {name!r}{near}", "`pixelgen --help`")
        return super().resolve_command(ctx, args)


_log = logging.getLogger(__name__)
_HELP = {"help_option_names": ["-h", "--help"]}
# For these, and for help, settings that make no sense are no reason to fail.
_MENDING = ("config", "doctor")
app = typer.Typer(cls=LazyGroup, context_settings=_HELP)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pixelgen {__version__}")
        raise typer.Exit


@app.callback()
def pixelgen(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: global_options.Verbose = 0,
    threads: global_options.Threads = None,
    color: global_options.Color = None,
    max_pixels: global_options.MaxPixels = None,
    offline: global_options.Offline = False,
    debug: global_options.Debug = False,
) -> None:
    """Pictures from a Gated PixelCNN, pixel by pixel, with exact likelihoods.

    What options are where none are given is set by `pixelgen config`; `pixelgen doctor` tells
    whether all is well.

    \b
    Examples:
      pixelgen sample --class 'golden retriever' -n 4
      pixelgen classes retriever
      pixelgen complete cat.jpg --keep top:50%
    """
    from pixelgen.cli.settings import defaults_of, settings, unknown_variables

    words, command = context.obj or [], context.invoked_subcommand or ""
    try:
        found = settings()
    except PixelgenError:
        if command not in _MENDING and not {"-h", "--help"} & {*words}:
            raise
        return
    # An option before the name of the command counts more than a setting; one after it is yet to
    # be read.
    own = defaults_of("", found)
    global_options.use_threads(threads or own.get("threads"))
    global_options.use_colours(color or own.get("color"))
    global_options.largest.set(max_pixels or own.get("max_pixels"))
    global_options.use_offline(offline or own.get("offline", False))
    # Of all commands, since `batch` runs others.
    context.default_map = {name: defaults_of(name, found) for name in COMMANDS}
    for each in found.values():
        _log.info("setting %s = %s (%s)", each.setting.key, each, each.where)
    for strange in unknown_variables():
        note(strange, quiet=bool({"-q", "--quiet"} & {*words}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 success, 1 failure, 2 usage, 3 unreadable input, 4 weights
    unavailable, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is no text, as file systems allow, is printed as it is; where only some
        # letters can be printed, the others are spelt.
        plain = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if plain else "backslashreplace")
    try:
        command = typer.main.get_command(app)
        only_options = {*words} <= {"--debug", "--offline", "-v", "--verbose"}
        code = command.main(
            [*words, "--help"] if only_options else words,
            prog_name="pixelgen",
            standalone_mode=False,
            obj=words,
        )
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        code = report(error, debug="--debug" in words)
    finally:
        log_to_stderr(0)
    sys.exit(code if isinstance(code, int) else 0)
