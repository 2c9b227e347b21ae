"""Configurations and cards without the places of files on this computer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import without_credentials
from pixelgen.files import home_prefix, public_path
from pixelgen.toml import parse_toml
from pixelgen.training.recipe_tables import toml_value


def public_config(config: CheckpointConfig) -> CheckpointConfig:
    """`config` as others may see it; see `without_local_paths`."""
    return replace(
        config,
        data=without_local_paths(config.data),
        training=without_local_paths(config.training),
    )


def without_local_paths(facts: Any) -> Any:
    """A JSON value with `public_path` of every path in it, also of those in the TOML of "recipe"
    keys, and without credentials in addresses. Ids of the Hub, names and sentences stay."""
    if isinstance(facts, dict):
        return {
            key: _public_recipe(value)
            if key == "recipe" and isinstance(value, str)
            else without_local_paths(value)
            for key, value in facts.items()
        }
    if isinstance(facts, list):
        return [without_local_paths(value) for value in facts]
    if not isinstance(facts, str) or "\n" in facts:
        return facts
    return without_credentials(public_path(facts))


def names_local_path(text: str, config: CheckpointConfig) -> bool:
    """Whether `text` names the home folder, or a path of `config` that `public_config` hides."""
    facts = [config.data, config.training]
    private = {path for path in _strings(facts) if path != without_local_paths(path)}
    return any(path in text for path in {home_prefix(), *private} - {""})


def _public_recipe(text: str) -> str:
    """A recipe with `public_path` of its paths; layout and comments stay."""
    try:
        paths = set(_strings(parse_toml(text.encode())))
    except ValueError:
        return text
    for path in paths:
        if (public := without_local_paths(path)) != path:
            for quoted in (toml_value(path), f"'{path}'"):
                text = text.replace(quoted, toml_value(public))
    return text


def _strings(value: Any) -> Iterator[str]:
    """All strings in a JSON or TOML value, and those in the TOML of "recipe" keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "recipe" and isinstance(inner, str):
                try:
                    inner = parse_toml(inner.encode())
                except ValueError:
                    continue
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
