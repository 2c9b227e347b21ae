"""The recipes that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from pixelgen.files import shipped_folder


def bundled_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with pixelgen, but those of the comparison."""
    return _named(shipped_folder("recipes"))


def table_recipes() -> dict[str, Path]:
    """Name and file of every recipe of the comparison of models."""
    return _named(shipped_folder("recipes") / "tables")


def _named(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
