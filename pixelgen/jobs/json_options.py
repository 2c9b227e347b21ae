"""From the keys of a JSON object to the options of a job, as its fields define them."""

from __future__ import annotations

import collections.abc
import functools
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import PurePath
from typing import Any, Literal

from pixelgen.errors import did_you_mean

# What a batch decides for all of its jobs.
_WHOLE_BATCH = frozenset(
    (
        *("json", "quiet", "force", "live", "no-live", "watch", "verbose", "threads", "color"),
        *("max-pixels", "offline", "debug"),
    )
)
_SYNONYMS = {"out": "output"}
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# What a batch writes itself; other file systems tell no upper case from lower case.
_RESERVED = re.compile(r"results(-\d+)?\.jsonl", re.IGNORECASE)


@dataclass(frozen=True)
class JsonOption:
    """What a key stands for."""

    name: str
    """The field of the job, or of a group of options in it."""
    kind: Any
    """bool, int, float, str, or a Literal."""
    several: bool
    """Whether it takes a list."""
    required: bool
    endings: tuple[str, ...] | None
    """Of a place for files: what their names may end with; () for a folder, None for no place."""
    opposite: bool = False
    """Whether the key says the contrary of the field."""


@dataclass(frozen=True)
class JobOptions:
    """What a JSON object says about a job."""

    values: dict[str, Any]
    """By field."""
    places: dict[str, str]
    """By field that says where files go: a path inside the folder of results."""


@functools.cache
def options_of(kind: type) -> dict[str, JsonOption]:
    """All keys of a job, or of a group of options, in the order of the fields."""
    options: dict[str, JsonOption] = {}
    hints = typing.get_type_hints(kind)
    for one in fields(kind):
        hint, metadata = hints[one.name], one.metadata
        if isinstance(hint, type) and is_dataclass(hint):
            options |= options_of(hint)
            continue
        value, several = _kind(hint)
        key = metadata.get("key") or one.name.replace("_", "-")
        required = one.default is MISSING and one.default_factory is MISSING
        endings = metadata.get("endings")
        options[key] = JsonOption(one.name, value, several, required, endings)
        if opposite := metadata.get("opposite"):
            options[opposite] = JsonOption(one.name, value, False, False, None, opposite=True)
    return options


def read_options(command: str, kind: type, said: Mapping[str, Any], stem: str) -> JobOptions:
    """What is `said` of a job of class `kind`, whose files are called `stem` unless they have
    names. Raises ValueError for what it does not take."""
    options = options_of(kind)
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    seen: set[str] = set()
    for key, value in said.items():
        if key in _WHOLE_BATCH:
            raise ValueError(f"{key!r} is an option of the whole batch, not of a job")
        option = options.get(_SYNONYMS.get(key, key))
        if option is None:
            near = did_you_mean(key, options, quoted=True)
            raise ValueError(f"{command} has no {key!r}{near}")
        if option.name in seen:
            raise ValueError(f"{key!r} is given twice")
        if value is None:
            continue
        seen.add(option.name)
        if option.endings is not None:
            places[option.name] = _place(key, value)
        else:
            values[option.name] = _value(key, value, option)
    for key, option in _required(kind).items():
        if option.name not in seen or (option.several and not values.get(option.name)):
            raise ValueError(f"{key!r} is missing")
    for option in _places(kind):
        assert option.endings is not None
        place = places.get(option.name)
        ending = next(iter(option.endings), "")
        if option.name == "output":
            places["output"] = _complete(place or "", stem, ending)
        elif option.name == "map" and place is not None:
            places["map"] = _complete(place, f"{stem}-map", ending)
        if (place := places.get(option.name)) is None:
            continue
        path = PurePath(place)
        key = "out" if option.name == "output" else option.name
        if option.endings and path.suffix.lower() not in option.endings:
            known = " or ".join(option.endings)
            raise ValueError(f"{key!r} must end in {known}, not {place!r}")
        if _RESERVED.fullmatch(path.parts[0]):
            raise ValueError(
                f"{key!r} cannot be {place!r}: that name is reserved for the results of the batch"
            )
        places[option.name] = path.as_posix()  # a//b is a/b
    return JobOptions(values, places)


@functools.cache
def _required(kind: type) -> dict[str, JsonOption]:
    """The keys that a job must have; places have defaults."""
    every = options_of(kind).items()
    return {key: one for key, one in every if one.required and one.endings is None}


@functools.cache
def _places(kind: type) -> list[JsonOption]:
    """The options that say where files go."""
    return [one for one in options_of(kind).values() if one.endings is not None]


def build(kind: type, values: Mapping[str, Any]) -> Any:
    """A job, or a group of options, whose fields have these values, each group in it those that are
    its own. Raises UsageError as the class does."""
    chosen = {}
    for name, group in _groups(kind).items():
        if group is not None:
            chosen[name] = build(group, values)
        elif name in values:
            chosen[name] = values[name]
    return kind(**chosen)


@functools.cache
def _groups(kind: type) -> dict[str, type | None]:
    """The fields of a class, and for those that are groups of options the class of the group."""
    hints = typing.get_type_hints(kind)
    every = {one.name: hints[one.name] for one in fields(kind)}
    return {
        name: hint if isinstance(hint, type) and is_dataclass(hint) else None
        for name, hint in every.items()
    }


def check_text(key: str, text: str) -> None:
    """Raises ValueError for text that no file name and no stream takes."""
    if _NO_TEXT.search(text):
        raise ValueError(f"{key!r} holds invalid characters")


def _kind(hint: Any) -> tuple[Any, bool]:
    """The type of a value, and whether there are several of it."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(hint) if one is not types.NoneType]
        return _kind(kinds[0]) if len(kinds) == 1 else (str, False)
    if typing.get_origin(hint) is collections.abc.Sequence:
        return _kind(typing.get_args(hint)[0])[0], True
    return hint, False


def _value(key: str, value: object, option: JsonOption) -> Any:
    """A value of JSON as the field takes it. Raises ValueError for what it does not take."""
    if option.kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{key!r} is true or false, not {value!r}")
        return value is not option.opposite
    texts = _texts(key, value, option.several)
    values = [_converted(key, text, option.kind) for text in texts]
    return values if option.several else values[0]


def _converted(key: str, text: str, kind: Any) -> Any:
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if text not in choices:
            raise ValueError(f"{key!r} must be {' or '.join(choices)}, not {text!r}")
        return text
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{key!r} must be {what}, not {text!r}") from None


def _texts(key: str, value: object, several: bool) -> list[str]:
    """`value` as texts. Raises ValueError for what cannot be one."""
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


def _place(key: str, value: object) -> str:
    """A place inside the folder of results. Raises ValueError for any other."""
    (text,) = _texts(key, value, False)
    parts = PurePath(text).parts
    if PurePath(text).anchor or any(part.startswith((".", "~")) for part in parts):
        raise ValueError(f"{key!r} is a place inside the folder of results, not {text!r}")
    if not parts:
        raise ValueError(f"{key!r} is empty")
    return text


def _complete(place: str, stem: str, ending: str) -> str:
    """Where the files of a job go that says `place`, or nothing."""
    if not place or (place.endswith("/") and ending):
        return f"{place}{stem}{ending}"
    return place if PurePath(place).suffix else f"{place}{ending}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a list or object"
