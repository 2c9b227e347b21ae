"""The commands of pixelgen as data, from the definitions that the command line runs.

It is the text of `--help`; the pages of the site and the man pages are generated from it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from pixelgen.cli.app import app

NAME = "pixelgen"


@dataclass(frozen=True)
class Entry:
    """An option or an argument."""

    name: str
    """As it is typed: `-o, --output FILE|DIR|-`."""
    help: str
    """Ends with the default, or [required], in brackets."""


@dataclass(frozen=True)
class Text:
    """A paragraph of the description."""

    words: str
    """Markdown, in one line, or lines as they are typed."""
    literal: bool
    """Whether line breaks and spaces are significant: commands, tables."""


@dataclass(frozen=True)
class Command:
    """`pixelgen`, one of its commands, or a command of such a group."""

    words: tuple[str, ...]
    """("pixelgen", "weights", "pull")."""
    usage: str
    texts: tuple[Text, ...]
    arguments: tuple[Entry, ...]
    options: tuple[Entry, ...]
    commands: tuple[str, ...]
    """Of a group: the names of what is in it."""

    @property
    def name(self) -> str:
        """What is typed: `pixelgen weights pull`."""
        return " ".join(self.words)

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        first = self.texts[0].words if self.texts else ""
        return re.split(r":\s+`|;\s|\.(?:\s|$)", first, maxsplit=1)[0].strip()


def commands() -> list[Command]:
    """`pixelgen` itself, and every command below it, in the order of `--help`."""
    return list(_walk(typer.main.get_command(app), None, NAME))


def _walk(
    command: Any, parent: Any, name: str, shared: frozenset[str] = frozenset()
) -> Iterator[Command]:
    """`command` and its subcommands, without options in `shared`, those of `pixelgen`."""
    context = command.context_class(
        command, info_name=name, parent=parent, **command.context_settings
    )
    below = command.list_commands(context) if hasattr(command, "list_commands") else []
    arguments, options = [], []
    asks_for_help = {"-h", "--help"}
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False) or asks_for_help & set(parameter.opts):
            continue
        if shared & set(parameter.opts):
            continue
        record = parameter.get_help_record(context)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append((parameter, Entry(record[0].split(" ")[0].strip("{}"), record[1])))
        else:
            options.append(Entry(record[0], record[1]))
    words = [*context.command_path.split(), *(["[OPTIONS]"] if options else [])]
    words += [_typed(parameter, entry.name) for parameter, entry in arguments]
    words += ["COMMAND"] if below and not arguments else []
    described = "\n\n".join(filter(None, (command.help, command.epilog)))
    yield Command(
        words=tuple(context.command_path.split()),
        usage=" ".join(words),
        texts=tuple(_paragraphs(described)),
        arguments=tuple(entry for _, entry in arguments),
        options=tuple(options),
        commands=tuple(below),
    )
    if parent is None:
        shared = frozenset(name for p in command.get_params(context) for name in p.opts)
    for each in below:
        yield from _walk(command.get_command(context, each), context, each, shared)


def _typed(parameter: Any, name: str) -> str:
    """An argument in the usage: [IMG]…"""
    if name.endswith("…"):
        return name
    optional = name if parameter.required or name.startswith("[") else f"[{name}]"
    return optional + ("…" if parameter.nargs != 1 else "")


def _paragraphs(described: str) -> Iterator[Text]:
    """The paragraphs of a docstring. Those that click does not wrap (after \\b), indented ones and
    JSON are literal."""
    for part in re.split(r"\n\s*\n", inspect.cleandoc(described)):
        lines = [line for line in part.split("\n") if line.strip() != "\b"]
        if not any(line.strip() for line in lines):
            continue
        literal = len(lines) < len(part.split("\n")) or all(line[:1] in " \t{" for line in lines)
        if literal:
            yield Text(inspect.cleandoc("\n" + "\n".join(lines)), True)
        else:
            yield Text(" ".join(line.strip() for line in lines), False)
