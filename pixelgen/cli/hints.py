"""What to do about an error in terms of the command line, for errors that libraries raise."""

from __future__ import annotations

HINTS: dict[str, str] = {}
"""By `PixelgenError.code`; replaces the hint of the library, which names no options."""
