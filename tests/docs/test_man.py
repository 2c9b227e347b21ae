"""Man pages of the definitions that the command line runs by."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import man
import pytest
from cli_reference import Command, Entry, Text, commands

from pixelgen.cli.errors import EXIT_CODE_MEANINGS

REQUESTS = {".TH", ".SH", ".PP", ".TP", ".nf", ".fi"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man") / "made"
    man.main(folder)
    return folder


def plain(text: str) -> str:
    """What a reader sees of roff."""
    return re.sub(r"\\f[BR]|\\&", "", text).replace(r"\-", "-").replace(r"\e", "\\")


def test_every_command_has_one(pages: Path) -> None:
    for command in commands():
        text = (pages / f"{'-'.join(command.words)}.1").read_text("utf-8")
        assert text.startswith(".TH ")
        for entry in (*command.options, *command.arguments):
            assert entry.name in plain(text)
        for line in text.splitlines():
            assert not line.startswith((".", "'")) or line.split(" ")[0] in REQUESTS, line
        for other in re.findall(r"([\w-]+)\(1\)", plain(text)):
            assert (pages / f"{other}.1").is_file()


def test_exit_codes(pages: Path) -> None:
    text = (pages / "pixelgen.1").read_text("utf-8")
    status = text[text.index(".SH EXIT STATUS") :].splitlines()
    terms = [plain(line) for place, line in enumerate(status) if status[place - 1] == ".TP"]
    assert terms == [str(code) for code in EXIT_CODE_MEANINGS]


def test_text_is_not_taken_for_requests() -> None:
    texts = (Text(".png files, `a-b`", False), Text(".5 of it\n\\n", True))
    command = Command(("x", "y"), "x y [OPTIONS]", texts, (), (Entry("-o FILE", "'where'"),), ())
    lines = man.page(command).splitlines()
    assert r"\&.png files, \fBa\-b\fR" in lines
    assert r"\&.5 of it" in lines
    assert r"\en" in lines
    assert r"\&'where'" in lines


def test_groff_has_no_complaints(pages: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    for path in pages.iterdir():
        words = ["groff", "-man", "-ww", "-z", "-Kutf8", str(path)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
