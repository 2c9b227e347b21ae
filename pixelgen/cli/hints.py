"""What to do about an error, in terms of the command line: the only place that names options."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "no-face-found": "--no-align for an already aligned crop",
    "no-such-face": "--face N",
}
"""By `PixelgenError.code`; takes the place of the hint of the library."""
