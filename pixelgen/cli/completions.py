"""What the shell is offered on Tab: classes, weights, devices, settings. Quick, and never an error:
where something is wrong, nothing is offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress

import typer

from pixelgen.checkpoints import DEFAULT_WEIGHTS, bundled, read_config
from pixelgen.checkpoints.source import local
from pixelgen.errors import PixelgenError
from pixelgen.jobs.output import slug
from pixelgen.labels import imagenet

Offer = tuple[str, str]
"""What is put in, and what is told about it."""
_LONGEST = 60


def weights(incomplete: str) -> list[Offer]:
    """Bundled weights, and those in the cache of the Hub."""
    return _starting(incomplete, _weights())


def classes(context: typer.Context, incomplete: str) -> list[Offer]:
    """Classes that the weights on the command line know, or all: names without spaces, which need
    no quotes, and numbers if a number was begun."""
    known = imagenet()
    with suppress(PixelgenError, OSError):
        source = local(str(context.params.get("weights") or DEFAULT_WEIGHTS))
        if source is not None:
            labels = read_config(source.path, source.name).labels
            known = tuple(known[i] for i in labels if i < len(known)) or known
    if incomplete.isdigit():
        return _starting(incomplete, ((str(c.index), c.names[0]) for c in known))
    if incomplete[:1] == "n" and incomplete[1:2].isdigit():
        return _starting(incomplete, ((c.wnid, c.names[0]) for c in known))
    shared = Counter(slug(name) for c in imagenet() for name in {*c.names})
    # A name that several classes have says nothing.
    names = [(slug(name), c) for c in known for name in c.names if shared[slug(name)] == 1]
    offers = ((name, f"{c.index} {', '.join(c.names)}"[:_LONGEST]) for name, c in names)
    return _starting(incomplete.casefold().replace(" ", "-"), offers)


def devices(incomplete: str) -> list[Offer]:
    """The kinds of devices."""
    about = {"auto": "the best there is", "cpu": "", "cuda": "the first NVIDIA GPU", "mps": "Apple"}
    return _starting(incomplete, about.items())


def keys(incomplete: str) -> list[Offer]:
    """Settings."""
    from pixelgen.cli.settings import SETTINGS

    return _starting(incomplete, ((key, setting.help) for key, setting in SETTINGS.items()))


def values(context: typer.Context, incomplete: str) -> list[Offer]:
    """Values of the setting whose key is on the command line."""
    key = str(context.params.get("key") or "")
    if key.endswith(".weights"):
        return weights(incomplete)
    if key == "device":
        return devices(incomplete)
    known = {"color": ("auto", "always", "never"), "live": ("true", "false")}
    known["offline"] = known["live"]
    return _starting(incomplete, ((value, "") for value in known.get(key, ())))


def _weights() -> Iterator[Offer]:
    for name, path in bundled().items():
        with suppress(PixelgenError):
            yield name, f"{read_config(path, name).kind}, bundled"
    with suppress(PixelgenError, OSError):
        from pixelgen.checkpoints.hub import cached_weights

        for found in cached_weights():
            name = found.source.name
            for ref in found.refs or (found.source.path.name,):
                yield (name if ref == "main" else f"{name}@{ref}"), "in the cache of the Hub"


def _starting(incomplete: str, offers: Iterable[Offer]) -> list[Offer]:
    return [offer for offer in offers if offer[0].startswith(incomplete)]
