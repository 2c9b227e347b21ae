"""Parsing untrusted TOML."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The time of the parser grows with the square of the number of parts of a key.
_LONG_KEY = re.compile(rb"(?:\.[\w\s\"'-]*){100}")
_MOST_BITS = 1000
"""Of a whole number: with 24 more it would have no place in a float."""


def parse_toml(data: bytes) -> dict[str, Any]:
    """The content of `data`. Raises ValueError if it is not TOML, and for deeper nesting and longer
    keys than anybody writes by hand."""
    if _LONG_KEY.search(data):
        raise ValueError("a key has 100 parts or more")
    try:
        values = tomllib.loads(data.decode("utf-8"))
        _check_numbers(values)
        return values
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _check_numbers(value: Any) -> None:
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(f"a number in it has {value.bit_length()} bits")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_numbers(inner)
