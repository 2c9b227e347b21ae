"""The recipes of the bundled weights, by name."""

from __future__ import annotations

from pathlib import Path

from pixelgen.files import shipped_folder


def bundled_recipes() -> dict[str, Path]:
    """Name and file of every bundled recipe."""
    return {path.stem: path for path in sorted(shipped_folder("recipes").glob("*.toml"))}
