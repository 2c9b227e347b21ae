"""What to do about an error, in terms of the command line: the only place that names options."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "evaluate-without-labels": "add --unconditional to measure without them",
}
"""By `PixelgenError.code`; takes the place of the hint of the library."""
