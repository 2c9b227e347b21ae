"""TOML that nobody vouches for."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The parser takes a time that grows with the square of the parts of a key.
_LONG_KEY = re.compile(rb"(?:\.[\w\s\"'-]*){100}")


def parse_toml(data: bytes) -> dict[str, Any]:
    """The tables that `data` describes. Raises ValueError for what is no TOML, or is nested more
    deeply than anybody writes by hand."""
    if _LONG_KEY.search(data):
        raise ValueError("a key of 100 parts")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
