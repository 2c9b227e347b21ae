"""`pixelgen config`: list and change the default values of options."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.checkpoints.hub_ref import parse_hub_ref
from pixelgen.checkpoints.source import bundled, resolve_local, unknown_weights_error
from pixelgen.cli import completions, options, terminal
from pixelgen.cli.settings import (
    FILE_VARIABLE,
    Value,
    all_settings,
    config_file,
    find_setting,
    from_environment,
    parse_value,
    read_file_values,
)
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import expanded, write_atomically

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="A setting of `pixelgen config`.",
        autocompletion=completions.keys,
        show_default=False,
    ),
]
app = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def config(context: typer.Context, as_json: options.Json = False) -> None:
    """List and change settings, the default values of options.

    An option overrides an environment variable, a variable overrides the file.

    \b
    Examples:
      pixelgen config
      pixelgen config set sample.weights imagenet32
    """
    if context.invoked_subcommand is None:
        list_settings(as_json)
    elif as_json:
        name = context.invoked_subcommand
        raise UsageError("--json is in the wrong place", f"config {name} … --json")


@app.command("list")
def list_settings(as_json: options.Json = False) -> None:
    """List all settings with their values and where these come from.

    \b
    Examples:
      pixelgen config list
      pixelgen config list --json
    """
    values = all_settings().values()
    if as_json:
        terminal.json([_json_of(value) for value in values])
    else:
        rows = [(v.setting.key, str(v) or None, v.where or "default") for v in values]
        terminal.table((), rows)


@app.command("get")
def get(key: Key, as_json: options.Json = False) -> None:
    """Print the value of a setting.

    Exit code 1 if it is not set and has no default.

    \b
    Examples:
      pixelgen config get device
      pixelgen config get sample.weights --json
    """
    name = find_setting(key).key
    value = all_settings()[name]
    if as_json:
        terminal.json(_json_of(value))
    elif value.value is None:
        raise PixelgenError(f"{name} is not set", f"`pixelgen config set {name} VALUE`")
    else:
        terminal.line(str(value))


@app.command("set")
def set_value(
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="The new value.",
            autocompletion=completions.values,
            show_default=False,
        ),
    ],
    quiet: options.Quiet = False,
) -> None:
    """Write the value of a setting into the settings file.

    The file is created if there is none; comments and other settings in it stay.

    \b
    Examples:
      pixelgen config set scale 4
      pixelgen config set output ~/Pictures
      pixelgen config set sample.weights imagenet32
    """
    setting = find_setting(key)
    new: Any = parse_value(setting, value, "variable", setting.key).value
    if setting.option == "weights":
        new = _absolute_ref(value)
    if setting.option == "output":
        folder = expanded(value).absolute()
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise UsageError(f"{value} is not a folder")
        new = str(folder)
    path = config_file()
    document = _document(path)
    for spelling in _spellings(setting.key, read_file_values(path)):
        if spelling != setting.key:
            _drop(document, spelling)
    _put(document, setting.key, new)
    _write(path, document)
    if setting.key in from_environment():
        terminal.note(f"{setting.variable} is set too and overrides the file", quiet)


@app.command("unset")
def unset(key: Key, quiet: options.Quiet = False) -> None:
    """Remove a setting from the settings file.

    \b
    Examples:
      pixelgen config unset scale
      pixelgen config unset sample.weights
    """
    path = config_file()
    document = _document(path)
    present = read_file_values(path)
    # Keys that are no settings can be removed too.
    name = key if key in present else find_setting(key).key
    spellings = _spellings(name, present)
    for spelling in spellings:
        _drop(document, spelling)
    if spellings:
        _write(path, document)
    else:
        terminal.note(f"{name} was not set in {path}", quiet)


@app.command("path")
def path(as_json: options.Json = False) -> None:
    """Print the path of the settings file, which need not exist.

    \b
    Examples:
      pixelgen config path
      pixelgen config path --json
    """
    file = str(config_file())
    if as_json:
        terminal.json({"path": file})
    else:
        terminal.path(file)


def _json_of(value: Value) -> dict[str, Any]:
    setting = value.setting
    return {
        "key": setting.key,
        "value": value.value,
        "origin": value.origin,
        "where": value.where or None,
        "default": setting.default,
        "variable": setting.variable,
        "help": setting.help,
    }


def _absolute_ref(ref: str) -> str:
    """A reference to weights that is valid in any folder. Raises UsageError for one that is neither
    on this computer nor a Hub id."""
    if (source := resolve_local(ref)) is None:
        if parse_hub_ref(ref) is None:
            raise unknown_weights_error(ref)
        return ref
    return ref if ref in bundled() else str(source.path.resolve())


def _document(path: Path) -> TOMLDocument:
    """The parsed file, with its comments."""
    import tomlkit

    read_file_values(path)  # raises a UsageError that says what is wrong
    if not os.path.isfile(path):
        return tomlkit.document()
    try:
        return tomlkit.parse(path.read_text("utf-8"))
    except ValueError as error:  # tomlkit is stricter than tomllib
        raise UsageError(f"cannot change the settings {path}: {error}") from error


def _spellings(key: str, present: Iterable[str]) -> list[str]:
    """The keys among `present` that mean `key`, with dashes or in capitals too."""

    def normal(text: str) -> str:
        return text.casefold().replace("-", "_")

    return [other for other in present if normal(other) == normal(key)]


def _put(document: TOMLDocument, key: str, value: Any) -> None:
    import tomlkit

    table, _, name = key.rpartition(".")
    if not table:
        document[name] = value
        return
    if not isinstance(document.get(table), dict):
        document[table] = tomlkit.table()
    inner: Any = document[table]
    inner[name] = value


def _drop(document: TOMLDocument, key: str) -> None:
    table, _, name = key.rpartition(".")
    place: Any = document.get(table) if table and key not in document else document
    if isinstance(place, dict):
        place.pop(key if place is document else name, None)
        if table and not place and place is not document:
            document.pop(table)


def _write(path: Path, document: TOMLDocument) -> None:
    """Replace the file. Raises UsageError if it is not a regular file, such as /dev/null, and
    PixelgenError if it cannot be written."""
    import tomlkit

    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is not a file", f"{FILE_VARIABLE}=FILE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelgenError(f"cannot create {path.parent}: {error.strerror or error}") from error
    try:
        text = tomlkit.dumps(document).encode()
    except UnicodeEncodeError:  # half of a character, as names of files may have
        raise UsageError("a settings file can only hold text in UTF-8") from None
    write_atomically(path.resolve(), text)
