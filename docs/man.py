"""Writes a man page of pixelgen and of each of its commands.

python docs/man.py man       writes man/pixelgen.1, man/pixelgen-sample.1, …
man -l man/pixelgen-sample.1
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from cli_reference import Command, Entry, commands

from pixelgen import __version__
from pixelgen.cli.errors import EXIT_CODE_MEANINGS


def page(command: Command) -> str:
    """The man page of one command, as roff."""
    title = "-".join(command.words)
    lines = [
        f'.TH "{title.upper()}" "1" "" "pixelgen {__version__}" "pixelgen"',
        ".SH NAME",
        rf"{_roff(title)} \- {_roff(_plain(command.summary))}",
        ".SH SYNOPSIS",
        _bold(command.name) + _roff(command.usage[len(command.name) :]),
        ".SH DESCRIPTION",
    ]
    for text in command.texts:
        if text.literal:
            lines += [".PP", ".nf", *(_line(line) for line in text.words.split("\n")), ".fi"]
        else:
            lines += [".PP", _line(text.words)]
    lines += _entries("ARGUMENTS", command.arguments)
    lines += _entries("OPTIONS", command.options)
    if len(command.words) == 1:
        codes = [Entry(str(code), meaning) for code, meaning in EXIT_CODE_MEANINGS.items()]
        lines += _entries("EXIT STATUS", codes)
    others = ["-".join((*command.words, name)) for name in command.commands]
    if len(command.words) > 1:
        others.insert(0, "-".join(command.words[:-1]))
    lines.append(".SH SEE ALSO")
    lines.append(", ".join(rf"\fB{_roff(other)}\fR(1)" for other in others))
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Write the pages into `folder`, which is created if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands():
        path = folder / f"{'-'.join(command.words)}.1"
        path.write_text(page(command), "utf-8")
        print(path)


def _entries(title: str, entries: Iterable[Entry]) -> list[str]:
    lines: list[str] = []
    for entry in entries:
        lines += [".TP", _bold(entry.name), _line(entry.help)]
    return [f".SH {title}", *lines] if lines else []


def _line(text: str) -> str:
    """Text with `code` in bold; a leading . or ' does not make it a request."""
    parts = text.split("`")
    line = "".join(_bold(part) if i % 2 else _roff(part) for i, part in enumerate(parts))
    return rf"\&{line}" if line[:1] in (".", "'") else line


def _bold(text: str) -> str:
    return rf"\fB{_roff(text)}\fR" if text else ""


def _plain(text: str) -> str:
    return text.replace("`", "")


def _roff(text: str) -> str:
    """Escape characters that are special in roff; hyphens stay such that can be copied."""
    return text.replace("\\", r"\e").replace("-", r"\-")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/man.py FOLDER")
    main(Path(sys.argv[1]))
