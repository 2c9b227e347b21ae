"""`pixelgen config`: what is set once for all, and where."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.checkpoints.source import bundled, hub_id, local, not_found
from pixelgen.cli import completions, options
from pixelgen.cli.settings import (
    FILE_VARIABLE,
    Setting,
    Value,
    all_settings,
    check,
    config_file,
    find_setting,
    in_environment,
    read_table,
)
from pixelgen.cli.terminal import note
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import expanded, write_atomically

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="`pixelgen config` lists them.",
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
    """List and change settings: what options are where none are given.

    An option counts more than a variable of the environment, a variable more than the file.

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
    """List all settings, what they are, and where from.

    \b
    Examples:
      pixelgen config list
      pixelgen config list --json
    """
    found = all_settings().values()
    if as_json:
        typer.echo(json.dumps([_facts(each) for each in found], ensure_ascii=False))
        return
    names = max(len(each.setting.key) for each in found)
    values = max(len(str(each)) for each in found)
    for each in found:
        where = each.where or "default"
        typer.echo(f"{each.setting.key:<{names}}  {str(each) or '–':<{values}}  {where}")


@app.command("get")
def get(key: Key, as_json: options.Json = False) -> None:
    """Print what a setting is. Exit code 1 if it is not set and has no default.

    \b
    Examples:
      pixelgen config get device
      pixelgen config get sample.weights --json
    """
    found = all_settings()[find_setting(key).key]
    if as_json:
        typer.echo(json.dumps(_facts(found), ensure_ascii=False))
    elif found.value is None:
        raise PixelgenError(
            f"{found.setting.key} is not set", f"`pixelgen config set {found.setting.key} VALUE`"
        )
    else:
        typer.echo(str(found))


@app.command("set")
def set_value(
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="What it is to be.",
            autocompletion=completions.values,
            show_default=False,
        ),
    ],
    quiet: options.Quiet = False,
) -> None:
    """Set a value in the file, which is made if need be; what else is in it stays.

    \b
    Examples:
      pixelgen config set scale 4
      pixelgen config set output ~/Pictures
      pixelgen config set sample.weights imagenet32
    """
    setting = find_setting(key)
    wanted = check(setting, value, "variable", setting.key).value
    if setting.option == "weights":
        wanted = _reachable(value)
    if setting.option == "output":
        wanted = str(expanded(value).absolute())
    path = config_file()
    document = _document(path)
    _put(document, setting.key, wanted)
    _write(path, document)
    if setting.key in in_environment():
        note(f"{setting.variable} is set too, and counts more", quiet)


@app.command("unset")
def unset(key: Key, quiet: options.Quiet = False) -> None:
    """Take a setting out of the file.

    \b
    Examples:
      pixelgen config unset scale
      pixelgen config unset sample.weights
    """
    path = config_file()
    document = _document(path)
    there = read_table(path)
    # What the file holds wrongly can be taken out too.
    name = key if key in there else find_setting(key).key
    spelt = [k for k in there if k.replace("-", "_") == name.replace("-", "_")]
    for each in spelt:
        _drop(document, each)
    if spelt:
        _write(path, document)
    else:
        note(f"{name} was not set in {path}", quiet)


@app.command("path")
def path(as_json: options.Json = False) -> None:
    """Print where the file of settings is, or would be.

    \b
    Examples:
      pixelgen config path
      pixelgen config path --json
    """
    found = str(config_file())
    typer.echo(json.dumps({"path": found}, ensure_ascii=False) if as_json else found)


def _facts(found: Value) -> dict[str, Any]:
    """What `--json` says of a setting."""
    setting: Setting = found.setting
    return {
        "key": setting.key,
        "value": found.value,
        "origin": found.origin,
        "where": found.where or None,
        "default": setting.default,
        "variable": setting.variable,
        "help": setting.help,
    }


def _reachable(given: str) -> str:
    """Weights as they can be named from any folder. Raises PixelgenError (exit code 2) for what
    neither is here nor can be on the Hub."""
    if (source := local(given)) is None:
        if hub_id(given) is None:
            raise not_found(given)
        return given
    return given if given in bundled() else str(source.path.resolve())


def _document(path: Path) -> TOMLDocument:
    """The file as it is written, with its comments."""
    import tomlkit

    read_table(path)  # says what is wrong with it
    if not os.path.isfile(path):
        return tomlkit.document()
    try:
        return tomlkit.parse(path.read_text("utf-8"))
    except ValueError as error:  # it is stricter than what reads settings
        raise UsageError(f"cannot change the settings {path}: {error}") from error


def _put(document: TOMLDocument, key: str, value: Any) -> None:
    import tomlkit

    table, _, name = key.rpartition(".")
    if (other := key.replace("_", "-")) != key:
        _drop(document, other)  # another spelling of the same
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
    """Replace the file. Raises PixelgenError where its folder does not take it, and for what is no
    file, such as /dev/null."""
    import tomlkit

    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is no file", f"{FILE_VARIABLE}=FILE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelgenError(f"cannot make {path.parent}: {error.strerror or error}") from error
    write_atomically(path.resolve(), tomlkit.dumps(document).encode())
