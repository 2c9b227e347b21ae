"""What to do about an error, in terms of the command line: the only place that names options."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "class-needed": "--class NAME; `pixelgen classes --weights NAME` lists them",
    "device-unavailable": "--device cpu",
    "file-exists": "--force replaces it",
    "guidance-without-class": "--class NAME",
    "path-needs-classes": "--class NAME",
}
"""By `PixelgenError.code`; takes the place of the hint of the library."""
