"""The one error class that a user can meet."""

from __future__ import annotations


class PixelgenError(Exception):
    """Something a user can put right: what was wrong, what to do, and the exit code it ends with.

    Exit codes: 1 failure, 2 usage, 3 unreadable input, 4 weights unavailable.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
