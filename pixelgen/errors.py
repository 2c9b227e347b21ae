"""The one error class that a user can meet."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PixelgenError(Exception):
    """Something a user can put right: what was wrong, what to do, and the exit code it ends with.

    Exit codes: 1 failure, 2 usage, 3 unreadable input, 4 weights unavailable.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


def did_you_mean(word: str, known: Iterable[str], prefix: str = "", *, quoted: bool = False) -> str:
    """`, did you mean …?` with what is `known` and most like `word`, or nothing. `prefix` is what
    all of them begin with beyond that, which would make them look alike."""
    near = [prefix + name for name in difflib.get_close_matches(word, list(known), n=1)]
    return f", did you mean {repr(near[0]) if quoted else near[0]}?" if near else ""
