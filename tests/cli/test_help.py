"""Every --help shows how a command is used, in lines that work."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pixelgen.cli.app import COMMANDS, app
from pixelgen.cli.errors import EXIT_CODE_MEANINGS, EXIT_CODES, SIGNAL_OFFSET
from pixelgen.cli.settings import SETTINGS, shown

from .conftest import Run

ROOT = Path(__file__).parents[2]
_SHORT = 80
_PIPES = re.compile(r"\s[<>|].*")


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, that of `pixelgen` itself first."""
    yield words
    if hasattr(group, "commands"):
        context = typer.Context(group)
        for name in group.list_commands(context):
            yield from commands(group.get_command(context, name), (*words, name))


def parse(line: str) -> None:
    """Parses a command line as the shell and `pixelgen` would, and runs nothing."""
    name, *words = shlex.split(_PIPES.sub("", line))
    assert name == "pixelgen"
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name=name)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, line
    command.make_context(name, words, parent=context)


@pytest.mark.parametrize("words", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_every_help_has_examples_that_parse(run: Run, words: tuple[str, ...]) -> None:
    outcome = run(*words, "--help")
    assert outcome.code == 0
    shown = [line.strip(" │") for line in outcome.out.splitlines()]
    assert "Examples:" in shown
    after = shown[shown.index("Examples:") + 1 :]
    lines = [line for line in after[: after.index("")] if line]
    assert len(lines) >= 2
    begun = " ".join(("pixelgen", *words))
    for line in lines:
        assert line.startswith(begun), line
        parse(line)


@pytest.mark.parametrize("words", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_every_help_begins_with_a_short_line(words: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(app)
    for name in words:
        command = command.get_command(typer.Context(command), name)
    first, after, *_ = f"{command.help}\n".split("\n")
    assert 0 < len(first) <= _SHORT
    assert first.endswith(".")
    assert after == ""


def test_help_lists_every_command_by_name(run: Run) -> None:
    listed = [line.strip("│ ").split(" ")[0] for line in run("--help").out.splitlines()]
    assert [name for name in listed if name in COMMANDS][-len(COMMANDS) :] == list(COMMANDS)


def rows(document: str, head: str) -> list[list[str]]:
    """The cells of the table in a document whose first line begins with `head`."""
    lines = iter((ROOT / document).read_text("utf-8").splitlines())
    next(line for line in lines if line.startswith(head))
    next(lines)
    table = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_exit_codes_are_documented() -> None:
    for document, head in (("README.md", "| exit code |"), ("docs/output.md", "| code |")):
        found = {int(code): meaning for code, meaning in rows(document, head)}
        assert found == EXIT_CODE_MEANINGS
    signals = {SIGNAL_OFFSET + number for number in (1, 2, 15)}
    assert {0, *EXIT_CODES.values(), *signals} == {*EXIT_CODE_MEANINGS}


def test_the_settings_are_documented() -> None:
    found = {row[0].strip("`"): row for row in rows("docs/shell.md", "| key |")}
    assert list(found) == list(SETTINGS)
    for key, setting in SETTINGS.items():
        assert found[key][1] == f"`{setting.variable}`"
        if setting.default is not None:
            assert found[key][3] == shown(setting.default)
