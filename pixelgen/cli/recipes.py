"""`pixelgen recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.cli import options, terminal
from pixelgen.errors import UsageError, did_you_mean


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Print this recipe, a TOML file.", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the recipes that come with pixelgen, or print one.

    \b
    Examples:
      pixelgen recipes
      pixelgen recipes imagenet32 > mine.toml
    """
    from pixelgen.training.recipe import load_recipe
    from pixelgen.training.recipe_files import bundled_recipes

    known = bundled_recipes()
    if name is not None:
        if name not in known:
            raise UsageError(f"no recipe {name!r}{did_you_mean(name, known)}", "`pixelgen recipes`")
        terminal.document(known[name].read_text(encoding="utf-8"))
        return
    loaded = {key: load_recipe(path) for key, path in known.items()}
    if as_json:
        terminal.json(
            [
                {
                    "name": key,
                    "model": recipe.model.model,
                    "minutes": recipe.schedule.minutes or None,
                    "summary": recipe.card.summary,
                }
                for key, recipe in loaded.items()
            ]
        )
        return
    width = max(map(len, loaded))
    for key, recipe in loaded.items():
        terminal.line(f"{key:<{width}}  {recipe.card.summary}")
