"""From what a job says to the words of a command line, as the command itself defines them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple

import typer

from pixelgen.cli import global_options
from pixelgen.errors import did_you_mean
from pixelgen.imaging import ANIMATIONS

JOBS = (
    "sample",
    "portrait",
    "interpolate",
    "reconstruct",
    "complete",
    "score",
    "encode",
    "decode",
    "faces",
)
"""The commands that a job can name."""

# What a batch decides for all of its jobs.
_DECIDED = (
    *("--json", "--quiet", "--force", "--live", "--watch"),
    *(f"--{name.replace('_', '-')}" for name in global_options.NAMES),
)
# Options that say where files go.
_PLACES = ("--output", "--animate", "--map")
_KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "--output"): (".png",),
    ("", "--animate"): (*ANIMATIONS, ".png"),
    ("", "--map"): (".png",),
    ("encode", "--output"): (".safetensors",),
    ("faces", "--output"): (),  # a folder
    ("interpolate", "--output"): (".png", *ANIMATIONS),
}
"""What files of a command and an option, or of any command and it, may end with, first what they
end with by default; nothing: it names a folder."""


def kinds_of(name: str, place: str) -> tuple[str, ...]:
    """What the files of the command `name` that go to the option `place` may end with."""
    return _KINDS.get((name, place), _KINDS["", place])


@dataclass(frozen=True)
class Words:
    """A command line without the places where files go."""

    options: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    """By option; relative to the folder of results."""
    device: bool = False
    """Whether the command has a `--device`, and the job leaves it open."""

    def line(self, places: Mapping[str, object], device: str) -> list[str]:
        """All words; `places` are where the files go."""
        where = [f"{option}={place}" for option, place in places.items()]
        chosen = [f"--device={device}"] if self.device else []
        return [*self.options, *chosen, *where, "--", *self.arguments]


class _Key(NamedTuple):
    """What a key of a job stands for."""

    parameter: Any
    word: str
    """The option as it is written; "" for an argument."""
    opposite: str = ""
    """The option that says the contrary."""


@functools.cache
def command_named(name: str) -> Any:
    """The command of that name, one of `JOBS`, as its module defines it."""
    from pixelgen.cli.app import app

    group: Any = typer.main.get_command(app)
    return group.get_command(None, name)


def check_command(name: object) -> str:
    """`name`, if it is one of `JOBS`; raises ValueError for anything else."""
    if name is None:
        raise ValueError('"command" is missing')
    if not isinstance(name, str) or name not in JOBS:
        hint = did_you_mean(str(name), JOBS, quoted=True) or f" (one of {', '.join(JOBS)})"
        raise ValueError(f"no job for {name!r}{hint}")
    return name


def words_of(name: str, said: Mapping[str, Any], stem: str, parent: Any = None) -> Words:
    """The words for what is `said` to the command `name`, whose files are called `stem` unless they
    have names. `parent` is the context of the command line, with the settings in it.

    Raises ValueError for what the command does not take.
    """
    command = command_named(name)
    keys = _keys(command)
    words = Words(["--json"])
    if "live" in keys:
        words.options.append("--no-live")
    given = set()
    device = "device" in keys
    for key, value in said.items():
        known = keys.get({"out": "output"}.get(key, key))
        if known is None:
            near = did_you_mean(key, keys, quoted=True)
            raise ValueError(f"{name} has no {key!r}{near}")
        if known.word in _DECIDED or known.opposite in _DECIDED:
            raise ValueError(f"{key!r} is for a whole batch, not for a job")
        if known.parameter.name in given:
            raise ValueError(f"{key!r} is said twice")
        if value is None:
            continue
        given.add(known.parameter.name)
        if known.word in _PLACES:
            words.places[known.word] = _place(key, value)
        elif not known.word:
            words.arguments.extend(_texts(key, value, known.parameter.nargs != 1))
        elif known.word != "--device" or value != "auto":
            device = device and known.word != "--device"
            words.options.extend(_option(key, value, known))
    for key, known in keys.items():
        if known.parameter.required and known.parameter.name not in given | {"output"}:
            raise ValueError(f"{key!r} is missing")
    if "output" in keys:
        ending = next(iter(kinds_of(name, "--output")), "")
        words.places["--output"] = _named(words.places.get("--output", ""), stem, ending)
    if "--map" in words.places:
        words.places["--map"] = _named(words.places["--map"], f"{stem}-map", ".png")
    for place, path in words.places.items():
        kinds = kinds_of(name, place)
        if kinds and PurePath(path).suffix.lower() not in kinds:
            key = {"--output": "out"}.get(place, place.removeprefix("--"))
            raise ValueError(f"{key!r} ends in {' or '.join(kinds)}, not {path!r}")
    words = Words(words.options, words.arguments, words.places, device)
    _parse(command, name, words, parent)
    return words


def begin(name: str, words: list[str], parent: Any = None) -> Any:
    """The command `name`, ready to be invoked with `words`: a context. Raises Typer's errors."""
    return command_named(name).make_context(name, words, parent=parent)


def _parse(command: Any, name: str, words: Words, parent: Any) -> None:
    """Raises ValueError for values that the command refuses."""
    try:
        begin(name, words.line(words.places, "auto"), parent).close()
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise ValueError(" ".join(error.format_message().rstrip(".").split())) from error


def _keys(command: Any) -> dict[str, _Key]:
    """All that can be said to a command, by the names that its options and arguments have."""
    keys: dict[str, _Key] = {}
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            keys[parameter.name.replace("_", "-")] = _Key(parameter, "")
            continue
        yes, no = (_long(names) for names in (parameter.opts, parameter.secondary_opts))
        for word, opposite in ((yes, no), (no, yes)):
            if word:
                keys[word.lstrip("-")] = _Key(parameter, word, opposite)
    return keys


def _long(names: Iterable[str]) -> str:
    """The first long name of an option, else a short one, else nothing."""
    return next(iter(sorted(names, key=lambda name: not name.startswith("--"))), "")


def _option(key: str, value: object, known: _Key) -> Iterator[str]:
    if known.parameter.is_flag:
        if not isinstance(value, bool):
            raise ValueError(f"{key!r} is true or false, not {value!r}")
        word = known.word if value else known.opposite
        if word:
            yield word
        return
    for text in _texts(key, value, known.parameter.multiple):
        if known.word.startswith("--"):
            yield f"{known.word}={text}"
        else:
            yield from (known.word, text)


def _texts(key: str, value: object, several: bool) -> list[str]:
    """`value` as words; raises ValueError for what cannot be one."""
    if isinstance(value, list):
        if not several:
            raise ValueError(f"{key!r} takes one value, not a list")
        return [text for one in value for text in _texts(key, one, False)]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{key!r} takes text or numbers, not {_shown(value)}")
    text = str(value)
    if text == "-":
        raise ValueError(f"{key!r}: a job has no stdin and no stdout")
    check_text(key, text)
    return [text]


def check_text(key: str, text: str) -> None:
    """Raises ValueError for text that no file name and no stream takes."""
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError(f"{key!r} holds what is no text")


def _place(key: str, value: object) -> str:
    """A place inside the folder of results; raises ValueError for any other."""
    (text,) = _texts(key, value, False)
    parts = PurePath(text).parts
    if PurePath(text).anchor or any(part.startswith((".", "~")) for part in parts):
        raise ValueError(f"{key!r} is a place inside the folder of results, not {text!r}")
    if not parts:
        raise ValueError(f"{key!r} is empty")
    return text


def _named(given: str, stem: str, ending: str) -> str:
    """Where the files of a job go that says `given`, or nothing."""
    if not given or (given.endswith("/") and ending):
        return f"{given}{stem}{ending}"
    return given if PurePath(given).suffix else f"{given}{ending}"


def _shown(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else "a list or object"
