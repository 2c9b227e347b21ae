"""TOML tables of a recipe: read, override, check, write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pixelgen.errors import UsageError
from pixelgen.files import read_file
from pixelgen.models.config_base import check_bits
from pixelgen.toml import parse_toml

_LARGEST = 2**20  # bytes of a recipe


def read_table(path: Path) -> dict[str, Any]:
    """The content of a recipe's file. Raises UsageError if it cannot be read or is not TOML."""
    try:
        return parse_toml(read_file(path, _LARGEST))
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def table_lines(name: str, values: Mapping[str, Any], section: Any) -> list[str]:
    """The TOML lines of a table and its subtables without values that are the default; `section` is
    the dataclass instance that `values` were taken from."""
    defaults = {f.name: f.default for f in fields(section)}
    kept = [
        f"{k} = {toml_value(v)}"
        for k, v in values.items()
        if not isinstance(v, dict) and (k not in defaults or defaults[k] != v)
    ]
    lines = ["", f"[{name}]", *kept] if kept else []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += table_lines(f"{name}.{key}", value, getattr(section, key))
    return lines


def toml_value(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML one
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)


def override(table: dict[str, Any], text: str) -> None:
    """Applies `key.sub=value` to `table`; the value is parsed as TOML, or else taken as text.
    Raises UsageError for other forms."""
    key, equals, plain = text.partition("=")
    *path, last = (part.strip() for part in key.split("."))
    if not equals or not last or not all(path):
        raise UsageError(f"override {text!r} is not key=value", "for example optimiser.lr=1e-3")
    try:
        value = parse_toml(f"value = {plain}".encode())["value"]
    except ValueError:
        value = plain
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f"override {text!r}: {part!r} is not a table")
    table[last] = value


def section(make: Callable[[Any], Any], name: str, values: Any) -> Any:
    """`make(values)`, with the table `name` in the message of its ValueError."""
    try:
        return make(values)
    except ValueError as error:
        raise ValueError(f"[{name}] {error}") from None


def checked(name: str, expected: Any, value: Any) -> Any:
    """`value` as the type `expected` of a field. Raises ValueError, which calls it `name`, where it
    does not fit."""
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            choices = ", ".join(map(str, get_args(expected)))
            raise ValueError(f"{name!r} must be one of {choices}, not {value!r}")
        return value
    if get_origin(expected) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise ValueError(f"{name!r} must be a list of strings, not {value!r}")
        return tuple(value)
    check_bits(repr(name), value)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if expected is float and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name!r} must be finite, not {value}")
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ValueError(f"{name!r} must be of type {expected.__name__}, not {value!r}")
    return value
