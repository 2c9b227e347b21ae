"""What to do about an error, in terms of the command line: the only place that names options."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "batch-folder-in-use": "wait, or give another -o",
    "face-of-aligned": "--face or --no-align",
    "file-exists": "--force replaces it",
    "large-animation": "lower --scale or -n, or animate a .png",
    "map-on-stdout": "--map FILE.png",
    "max-side-of-square": "--patches",
    "motion-of-picture": "-o FILE.gif or FILE.webp",
    "no-preview": "leave out --watch and --animate",
    "one-picture": "--grid",
    "part-to-fill": "--mask, --keep or --box",
    "photos-or-classes": "PHOTO PHOTO or --class",
    "several-cuts": "--center-crop, --resize or --patches",
    "unusable-output": "give another -o",
    "weights-of-codes": "--weights NAME",
}
"""By `PixelgenError.code`; takes the place of the hint of the library."""
