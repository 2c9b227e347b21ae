"""README.md can be pasted into a shell as it is, and its figures are those of the cards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from ..test_documents import shell_commands
from .conftest import DOCS, write_stand_ins
from .pixelgen_server import CLIENT

ROOT = DOCS.parent
README = (ROOT / "README.md").read_text("utf-8")
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What is typed otherwise here than in the README, and why.
FASTER = {
    "--minutes 2": "--minutes 0.01",  # no test lasts minutes
    "--minutes 3": "--minutes 0.02",
    "pip install": ": pip install",  # it is installed already, and there is no network
}


def script(folder: Path) -> str:
    """All blocks of the README as one shell script; Python is run by the server."""
    parts = ["set -eo pipefail"]
    for language, blocks in groupby(_BLOCK.findall(README), key=lambda block: block[0]):
        text = "".join(block for _, block in blocks)
        if language == "python":
            path = folder / f"{len(parts)}.py"
            path.write_text(text, "utf-8")
            text = f"pixelgen -c {path}\n"
        for typed, instead in FASTER.items():
            text = text.replace(typed, instead)
        parts += ["set -x", text, "set +x 2> /dev/null"]
    return "\n".join(parts)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script, and processes that fork")
def test_the_readme_can_be_pasted_into_an_empty_folder(tmp_path: Path) -> None:
    """Every command succeeds and writes the file that it names. The networks are untrained and
    tiny; all else is as in a user's shell."""
    path, programs, empty = tmp_path / "socket", tmp_path / "bin", tmp_path / "a" / "empty"
    weights = write_stand_ins(tmp_path / "weights")
    programs.mkdir()
    empty.mkdir(parents=True)
    for name, text in (
        ("pixelgen", CLIENT.format(python=sys.executable, path=str(path))),
        ("python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    words = [sys.executable, "-m", "tests.docs.pixelgen_server", str(path), str(weights)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            while not path.exists():
                assert server.poll() is None
                time.sleep(0.02)
            done = subprocess.run(
                ["bash", "-c", script(tmp_path)],
                cwd=empty,
                env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        finally:
            server.terminate()
    assert done.returncode == 0, done.stderr[-2000:]
    tour = empty.parent / "pixelgen-tour"
    named = {
        words[words.index("-o") + 1]
        for words in shell_commands(README)
        if words[:1] == ["pixelgen"] and "-o" in words
    } - {"-"}
    assert len(named) > 20
    for name in {*named, "dog-1.png", "half.png", "mine.toml", "cat-again.png", "lion.png"}:
        assert (tour / name).exists(), name


def test_contents_name_every_section() -> None:
    sections = re.findall(r"^## (.+)$", README, re.MULTILINE)
    contents = re.findall(r"^- \[(.+)\]\(#([\w-]+)\)$", README, re.MULTILINE)
    assert [title for title, _ in contents] == sections
    assert [anchor for _, anchor in contents] == [
        section.lower().replace(" ", "-") for section in sections
    ]


def test_figures_of_weights_are_those_of_their_cards() -> None:
    rows = re.findall(r"^\| \[([\w-]+)\]\((\S+)\) \| (.*)\|$", README, re.MULTILINE)
    folders = {path.parent.name: path.parent for path in (ROOT / "weights").glob("*/config.json")}
    assert {name for name, _, _ in rows} == set(folders)
    for name, card, row in rows:
        assert card == f"weights/{name}/README.md"
        cells = [cell.strip() for cell in row.split("|")]
        megabytes = sum(file.stat().st_size for file in folders[name].iterdir()) / 1e6
        assert cells[2] == f"{megabytes:.1f} MB"
        table = re.findall(
            r"^\| [^|]+ \| ([^|]+) \| `[^|]*` \|$", (ROOT / card).read_text("utf-8"), re.M
        )
        values = {value for cell in table for value in (cell, *cell.split(" / "))}
        figures = re.findall(r"\*\*(.+?)\*\*", cells[3])
        assert figures
        assert set(figures) <= values, name
        assert not re.search(r"\d\.\d", re.sub(r"\*\*.+?\*\*", "", row.replace(cells[2], "")))


def test_commands_are_given_without_prompts() -> None:
    """So that they can be copied."""
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        assert not re.search(r"^\$ ", path.read_text("utf-8"), re.MULTILINE), path.name
