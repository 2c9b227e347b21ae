"""Callbacks for the progress of long work, and for remarks on it."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with (done, total)."""
OnPartProgress = Callable[[str, int, int], None]
"""Called with (part, done, total) for work of several parts."""
OnNote = Callable[[str], None]
"""Called with something unexpected that is no error."""


def ignore_note(text: str) -> None:
    """An `OnNote` that does nothing."""


def part_progress(progress: OnPartProgress | None) -> Callable[[str], OnProgress | None]:
    """The name of a part → the callback for that part; None where `progress` is None."""

    def of_part(part: str) -> OnProgress | None:
        return None if progress is None else lambda done, total: progress(part, done, total)

    return of_part
