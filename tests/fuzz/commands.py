"""All commands and what they take, as the command line itself defines them: a command that is added
is found, and fuzzed, without a word here."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from pixelgen.cli.app import app

Leaf = tuple[str, ...]
"""The words of a command."""

# Would write to where a shell looks for completions.
_LEFT_OUT = ("install_completion", "help")
_INTEGERS = (
    *("0", "-1", "2", str(10**9), str(2**31), str(2**63 - 1), str(2**63), str(10**12), "9" * 5000),
    *("1e9", "1.5", "nan", "", " ", "0x10", "٣", "²", "1_0", "-0", "+1"),
)
_FLOATS = (
    *("nan", "inf", "-inf", "1e309", "1e-320", "1e-40", "-1", "0", "1e38", "1e300", "-1e300"),
    *("0.5", "", "x", "1e999999999", "0,5", "-0.0", "１"),
)
HOSTILE = (
    *("", " ", "x", ".", "..", "-", "--", "~", "~nobody-of-this-name/x", "~/x", "*", "[", "%s%n"),
    *(
        "a" * 300,
        "a" * 5000,
        "a/" * 2200,
        "../" * 50 + "proc/nothing/x",
        "../in/photo.png/x",
        "./-x",
    ),
    *("bytes-\udcff.png", "\x1b[2J\x1b]0;owned\x07", "two\nlines", "tab\there", "\u202egnp.exe"),
    *("\x9b31m\x7f\x85", "a\nerror: forged", "[red]a[/x]", ":cat:"),
    *("💥" * 60, "e\u0301", "$HOME", "`id`", ";id", "C:\\x\\y.png", "a:b", "{}", "null", "\ufeff"),
    *("owner/name", "owner/name@v1", "owner/../name", "file:///etc/passwd", "http://127.0.0.1:1/x"),
    *("../in/loop", "../in/loop.png", "../in/folder.png", "../in/pipe", "../in/pipe.png"),
    *("../in/empty.png", "../in/dangling.png", "/dev/null", "/dev/zero", "/dev/full"),
    *("/proc/self/mem", "/proc/nothing/x.png", "../in/photo.png", "../in/tiny", "../in/broken"),
    *("nothing/x.png", "a" * 250 + ".png", "\x1b[31m.png", "new.png", "new.gif", "new/"),
)
"""Texts that may be taken for names, paths, addresses or commands."""


@functools.cache
def leaves() -> Mapping[Leaf, Any]:
    """Every command by its words, groups and `pixelgen` itself among them."""
    return dict(_below(typer.main.get_command(app), ()))


def _below(command: Any, words: Leaf) -> Iterator[tuple[Leaf, Any]]:
    yield words, command
    if hasattr(command, "commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _below(command.get_command(context, name), (*words, name))


def parameters(command: Any) -> list[Any]:
    """What a command takes."""
    return [param for param in command.params if param.name not in _LEFT_OUT]


def hostile(param: Any) -> tuple[str, ...]:
    """Values for a parameter that it should not be given, and some that it may."""
    if getattr(param, "is_flag", False) or getattr(param, "count", False):
        return ("",)
    kind = _kind(param)
    if "int" in kind:
        return _INTEGERS
    if "float" in kind:
        return (*_FLOATS, *_INTEGERS[:8])
    return HOSTILE


def _kind(param: Any) -> str:
    """What a parameter takes; versions of Typer differ in where they keep it."""
    kind = getattr(param, "type", None)
    return kind.name if kind is not None else str(param.type_descriptor.annotation)


def said(param: Any, value: str) -> list[str]:
    """A parameter with a value, as words."""
    if param.param_type_name == "argument":
        return [value]
    names = sorted([*param.opts, *param.secondary_opts], key=len)
    if getattr(param, "is_flag", False) or getattr(param, "count", False):
        return [names[-1]]
    if names[-1].startswith("--"):
        return [f"{names[-1]}={value}"]
    return [names[-1], value]


class Sensible:
    """What commands can be given so that they do something; the rest of a command line, where one
    part of it is hostile."""

    def __init__(self, inputs: Path) -> None:
        self._arguments: Mapping[str, list[object]] = {
            "photos": [inputs / "photo.png"],
            "images": [inputs / "photo.png"],
            "image": [inputs / "photo.png"],
            "codes": [inputs / "codes.safetensors"],
            "jobs": [inputs / "jobs.jsonl"],
            "recipe": [inputs / "recipe.toml"],
            "runs": [inputs / "run"],
            "ref": [inputs / "tiny"],
            "refs": [inputs / "tiny"],
            "weights": [inputs / "tiny"],
            "repo": ["owner/name"],
            "query": ["lion"],
            "key": ["scale"],
            "value": ["2"],
        }
        tiny, faces = inputs / "tiny", inputs / "faces"
        self._options: Mapping[str, list[object]] = {
            "sample": ["--weights", tiny, "--class", "8", "--seed", "1"],
            "portrait": ["--weights", faces, "--no-align", "-n", "1", "--seed", "1"],
            "interpolate": ["--weights", tiny, "--class=8", "--class=207", "--steps=2", "--seed=1"],
            "reconstruct": ["--weights", inputs / "auto", "--bottleneck=2", "-n1", "--seed=1"],
            "complete": ["--weights", inputs / "pixels", "--keep=top:50%", "-n", "1", "--seed=1"],
            "score": ["--weights", inputs / "pixels"],
            "encode": ["--weights", inputs / "coded"],
            "decode": ["--weights", inputs / "coded"],
            "evaluate": ["--data", inputs / "pictures"],
            "train": ["--max-minutes", "0"],
        }
        self._outputs = {"encode": "out.safetensors", "decode": "out.png"}

    def arguments(self, leaf: Leaf, param: Any) -> list[str]:
        """Words for an argument."""
        if leaf == ("interpolate",) or leaf == ("weights", "pull"):
            return ["owner/name"] if leaf[-1] == "pull" else []
        if leaf == ("weights", "remove"):
            return ["owner/name"]
        return [str(each) for each in self._arguments.get(param.name, ["x"])]

    def options(self, leaf: Leaf) -> list[str]:
        """Words for the options that a command needs."""
        return [str(each) for each in self._options.get(leaf[0] if leaf else "", [])]

    def line(self, leaf: Leaf, command: Any, instead: Any = None, value: str = "") -> list[str]:
        """A whole command line, with a `value` in place of what the parameter `instead` says."""
        words, arguments = [*leaf, *self.options(leaf)], list[str]()
        for param in parameters(command):
            if param is instead:
                (arguments if param.param_type_name == "argument" else words).extend(
                    said(param, value)
                )
            elif param.param_type_name == "argument":
                arguments += self.arguments(leaf, param)
            elif param.required and param.name != "data":
                words += said(param, self._outputs.get(leaf[-1], "out"))
        return [*words, *(["--"] if arguments and instead is not None else []), *arguments]
