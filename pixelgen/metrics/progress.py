"""How long work goes on."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Is told (what, done, total)."""
Told = Callable[[int, int], None]
"""Is told (done, total) of one part of the work."""


def teller(progress: Progress | None) -> Callable[[str], Told | None]:
    """Of the name of a part of the work, what `progress` is to be told of that part."""

    def told(what: str) -> Told | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    return told
