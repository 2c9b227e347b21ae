"""The `pixelgen` command, which imports only the module of the command that is run."""

from __future__ import annotations

import codecs
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from glob import glob
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixelgen._version import __version__
from pixelgen.cli import global_options, terminal
from pixelgen.cli.errors import SIGNAL_OFFSET, report
from pixelgen.cli.logs import harmless_libraries, log_to_stderr
from pixelgen.errors import PixelgenError, UsageError, did_you_mean, harmless
from pixelgen.signals import StopSignals, ignore_stop_signals

# Each name is that of the command, of its module and of the function in it.
COMMANDS = (
    "sample",
    "portrait",
    "interpolate",
    "reconstruct",
    "complete",
    "again",
    "info",
    "score",
    "classes",
    "weights",
    "encode",
    "decode",
    "faces",
    "batch",
    "evaluate",
    "train",
    "compare",
    "recipes",
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
            parsed = typer.main.get_command(command)
            parsed.name = cmd_name  # a group has none of its own
            global_options.add_to(parsed, global_options.shared(self.params))
            self.commands[cmd_name] = parsed
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            suggestion = did_you_mean(name, COMMANDS)
            raise UsageError(f"no command {name!r}{suggestion}", "`pixelgen --help`")
        return super().resolve_command(ctx, args)


_log = logging.getLogger(__name__)
_HELP = {"help_option_names": ["-h", "--help"]}
# These, and --help, work with invalid settings too: they are how to find and repair them.
_WITHOUT_SETTINGS = ("config", "doctor")
app = typer.Typer(cls=LazyGroup, context_settings=_HELP)


def _version(wanted: bool) -> None:
    if wanted:
        terminal.line(f"pixelgen {__version__}")
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
    """Generate pictures with a Gated PixelCNN, value by value, with exact likelihoods.

    Change the default values of options with `pixelgen config`; check the installation with
    `pixelgen doctor`.

    \b
    Examples:
      pixelgen sample --class 'golden retriever' -n 4
      pixelgen classes retriever
      pixelgen complete cat.jpg --keep top:50%
    """
    from pixelgen.cli.settings import defaults_of, read_settings, unknown_variables

    words, command = context.obj or [], context.invoked_subcommand or ""
    help_wanted = bool({"-h", "--help"} & {*words})
    try:
        settings = read_settings()
    except PixelgenError:
        if command not in _WITHOUT_SETTINGS and not help_wanted:
            raise
        return
    # Options before the name of the command override settings; those after it are parsed later.
    defaults = defaults_of("", settings)
    global_options.use_threads(threads or defaults.get("threads"))
    global_options.use_colours(color or defaults.get("color"))
    global_options.max_pixels_read.set(max_pixels or defaults.get("max_pixels"))
    global_options.use_offline(offline or defaults.get("offline", False))
    # For all commands, since `batch` runs others.
    context.default_map = {name: defaults_of(name, settings) for name in COMMANDS}
    if help_wanted:  # Typer prints them
        context.default_map = {
            name: {k: harmless(v) if isinstance(v, str) else v for k, v in values.items()}
            for name, values in context.default_map.items()
        }
    for value in settings.values():
        _log.info("setting %s = %s (%s)", value.setting.key, value, value.where)
    for warning in unknown_variables():
        terminal.note(warning, quiet=bool({"-q", "--quiet"} & {*words}))


def expand_wildcards(words: Sequence[str]) -> list[str]:
    """The words of a command line with the files that patterns such as `*.jpg` match, as other
    shells than those of Windows pass them; patterns that match nothing stay."""
    expanded: list[str] = []
    for word in words:
        expanded += [word] if os.path.lexists(word) else sorted(glob(word)) or [word]
    return expanded


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit with a code of `pixelgen.cli.errors`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and os.name == "nt":
        words = expand_wildcards(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be valid text: in UTF-8 their bytes are printed unchanged. Other
        # encodings have no letter for some characters, which are printed as escapes.
        utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    with StopSignals() as stop:
        try:
            with harmless_libraries():
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
        if code and stop.received:  # whatever error it led to, as where the terminal is gone
            code = SIGNAL_OFFSET + stop.received[0]
    if arguments is None and stop.received:
        ignore_stop_signals()
    sys.exit(code if isinstance(code, int) else 0)
