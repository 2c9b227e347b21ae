"""The Python in README.md and docs/ runs as it stands, and its commands can be understood."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from pixelgen.cli.app import app
from pixelgen.models.config import CONFIGS

from .hub_server import TOKEN, Hub

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "tests" / "assets"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"`(pixelgen \S[^`]*)`")
_PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *_PAGES]


def blocks(document: str) -> list[str]:
    """The Python of a document, each block on the lines where it stands."""
    text = (ROOT / document).read_text("utf-8")
    return ["\n" * text[: found.start(1)].count("\n") + found[1] for found in _BLOCK.finditer(text)]


def shell_commands(text: str) -> Iterator[list[str]]:
    """The words of every command in the shell blocks of a text."""
    for block in _SHELL.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")] or lines
        for line in typed:
            words = shlex.split(line, comments=True)
            for ends, part in groupby(words, lambda word: word in ("&&", "|", ">", ";")):
                if not ends:
                    yield list(part)


def parse(words: list[str]) -> None:
    """Let a command read its arguments, and not run. Raises what typer does for wrong ones."""
    command: Any = typer.main.get_command(app)
    words = [word for word in words if word not in ("--offline", "--debug", "…")]
    context = command.context_class(command, info_name=words.pop(0))
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]}"
        command, name = found, words.pop(0)
    if context.command is not command:
        command.make_context(name, words, parent=context)


@pytest.fixture
def _here(
    once: None,
    tmp_path: Path,
    face_weights: Path,
    code_weights: Path,
    weights: Path,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder with the photos and the weights that the documents name, and a stand-in for the Hub
    that has some too; imagenet32 and autoencoder32 are bundled."""
    hub.repos["owner/name"].refs["v1"] = hub.add("owner/name", weights)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    for name, asset in (("photo", "male-12"), ("other", "female-6")):
        shutil.copy(ASSETS / f"{asset}.jpg", f"{name}.jpg")
    for name, folder in (
        ("my-faces", face_weights),
        ("my-tokenizer", code_weights),
        ("my-weights", weights),
    ):
        shutil.copytree(folder, name)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name)])
def test_blocks_run_in_order(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr("pixelgen.models.config.CONFIGS", dict(CONFIGS))
    for block in blocks(document):
        exec(compile(block, str(ROOT / document), "exec"), vars(main))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_understood(document: str) -> None:
    for words in shell_commands((ROOT / document).read_text("utf-8")):
        if "pixelgen" in words[:5] and words[0] in ("pixelgen", "accelerate"):
            parse(words[words.index("pixelgen") :])


def test_examples_of_help_are_understood() -> None:
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="pixelgen")
    for name in command.list_commands(context):
        asked = command.get_command(context, name)
        for each in (asked, *getattr(asked, "commands", {}).values()):
            for example in _EXAMPLE.findall(each.help or ""):
                parse(shlex.split(example))


def test_nothing_installs_the_program_of_this_name_on_pypi() -> None:
    paths = [*(ROOT / "pixelgen").rglob("*.py"), *(ROOT / name for name in DOCUMENTS)]
    for path in paths:
        text = path.read_text("utf-8").replace("### `pip install pixelgen` installs", "")
        assert not re.search(r"pip install [^`\n]*\bpixelgen\b", text), path


@pytest.mark.parametrize(
    "line", ["pixelgen sample --nonsense", "pixelgen drawing", "pixelgen score"]
)
def test_wrong_commands_are_noticed(line: str) -> None:
    (words,) = shell_commands(f"```sh\n{line}\n```\n")
    with pytest.raises(Exception, match=r"(?i)no such option|no command|missing"):
        parse(words)
