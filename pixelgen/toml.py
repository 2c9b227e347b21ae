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


def parse_toml(data: bytes) -> dict[str, Any]:
    """The content of `data`. Raises ValueError if it is not TOML, and for deeper nesting and longer
    keys than anybody writes by hand."""
    if _LONG_KEY.search(data):
        raise ValueError("a key has 100 parts or more")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
