"""Reads JSON of unknown origin, and makes values that JSON has."""

from __future__ import annotations

import json
import math
from typing import Any

_MOST_DIGITS = 300
"""Of a whole number: with nine more it might have no place in a float."""


def parse_json(data: str | bytes) -> Any:
    """The value of `data`, in UTF-8. Raises ValueError if it is not JSON, and for deeper nesting
    and longer whole numbers than anybody writes."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        return json.loads(text, parse_int=whole_number)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def whole_number(text: str) -> int:
    """The whole number that `text` says. Raises ValueError for more digits than anybody writes."""
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number in it has {len(text)} digits")
    return int(text)


def check_unicode(value: Any, *, names_of_files: bool = False) -> None:
    """Raises ValueError for half of a character (a lone surrogate) in a JSON value: escapes of JSON
    can say it, files cannot hold it. With `names_of_files` those pass that stand for the bytes of a
    name which are not UTF-8 (`os.fsdecode`)."""
    errors = "surrogateescape" if names_of_files else "strict"
    try:
        json.dumps(value, ensure_ascii=False).encode(errors=errors)
    except UnicodeEncodeError:
        raise ValueError("a string in it is not valid Unicode") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def finite(value: Any) -> Any:
    """`value` with None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    if isinstance(value, tuple):
        return tuple(finite(inner) for inner in value)
    return value
