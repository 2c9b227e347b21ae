"""Shell completion of classes, weights, devices and settings: fast, and never an error."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress

import typer

from pixelgen.checkpoints import DEFAULT_WEIGHTS, bundled, read_config
from pixelgen.checkpoints.hub_ref import parse_hub_ref
from pixelgen.checkpoints.source import resolve_local
from pixelgen.cli.terminal import escape_markup
from pixelgen.errors import PixelgenError, harmless
from pixelgen.labels import imagenet_catalogue

Completion = tuple[str, str]
"""The completed word and its description."""
_MAX_DESCRIPTION = 60


def weights(incomplete: str) -> list[Completion]:
    """Bundled weights, and those in the cache of the Hub."""
    return _starting(incomplete, _weights())


def classes(context: typer.Context, incomplete: str) -> list[Completion]:
    """Classes of the weights on the command line, or all of ILSVRC: names with hyphens, which need
    no quotes; numbers after a digit, WordNet ids after n and a digit."""
    catalogue = imagenet_catalogue()
    known = list(catalogue)
    with suppress(PixelgenError, OSError):
        ref = str(context.params.get("weights") or DEFAULT_WEIGHTS)
        source = resolve_local(ref)
        if source is None and (hub_ref := parse_hub_ref(ref)) is not None:
            from pixelgen.checkpoints.hub import find_cached

            source = find_cached(hub_ref)
        if source is not None:
            config = read_config(source.path, source.name)
            catalogue = config.classes
            known = catalogue.among(config.labels) or list(catalogue)
    if incomplete.isdigit():
        return _starting(incomplete, ((str(c.index), c.names[0]) for c in known))
    if incomplete[:1] == "n" and incomplete[1:2].isdigit():
        return _starting(incomplete, ((c.wnid, c.names[0]) for c in known))
    shared = Counter(_word(name) for c in catalogue for name in {*c.names})
    words = ((_word(name), c) for c in known for name in c.names)
    # Names of several classes are ambiguous; one without a letter has no word.
    names = [(word, c) for word, c in words if word and shared[word] == 1]
    described = ((name, f"{c.index} {', '.join(c.names)}"[:_MAX_DESCRIPTION]) for name, c in names)
    return _starting(incomplete.casefold().replace(" ", "-"), described)


def _word(name: str) -> str:
    """The name of a class as one word of a command line, which means the same class."""
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-")


def devices(incomplete: str) -> list[Completion]:
    """Devices."""
    descriptions = {"auto": "fastest", "cpu": "", "cuda": "first NVIDIA GPU", "mps": "Apple GPU"}
    return _starting(incomplete, descriptions.items())


def keys(incomplete: str) -> list[Completion]:
    """Keys of settings."""
    from pixelgen.cli.settings import SETTINGS

    return _starting(incomplete, ((key, setting.help) for key, setting in SETTINGS.items()))


def values(context: typer.Context, incomplete: str) -> list[Completion]:
    """Values of the setting whose key is on the command line."""
    key = str(context.params.get("key") or "")
    if key.endswith(".weights"):
        return weights(incomplete)
    if key == "device":
        return devices(incomplete)
    known = {"color": ("auto", "always", "never"), "live": ("true", "false")}
    known["offline"] = known["live"]
    return _starting(incomplete, ((value, "") for value in known.get(key, ())))


def _weights() -> Iterator[Completion]:
    for name, path in bundled().items():
        with suppress(PixelgenError):
            yield name, f"{read_config(path, name).kind}, bundled"
    with suppress(PixelgenError, OSError):
        from pixelgen.checkpoints.hub import cached_weights

        for found in cached_weights():
            name = found.source.name
            for ref in found.refs or (found.source.path.name,):
                yield (name if ref == "main" else f"{name}@{ref}"), "in the cache of the Hub"


def _starting(incomplete: str, completions: Iterable[Completion]) -> list[Completion]:
    # Typer takes descriptions for markup of rich; the shell shows them as they are.
    return [
        (word, escape_markup(harmless(description)))
        for word, description in completions
        if word.startswith(incomplete) and word.isprintable()
    ]
