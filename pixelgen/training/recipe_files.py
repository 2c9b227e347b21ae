"""The recipes of the bundled weights, by name."""

from __future__ import annotations

from pathlib import Path


def recipes_root() -> Path:
    """The folder of the bundled recipes: in the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def bundled_recipes() -> dict[str, Path]:
    """Name and file of every bundled recipe."""
    return {path.stem: path for path in sorted(recipes_root().glob("*.toml"))}
