"""`pixelgen classes`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.checkpoints import read_config
from pixelgen.cli import completions, options, terminal
from pixelgen.cli.downloads import obtain
from pixelgen.errors import PixelgenError
from pixelgen.labels import nearest, search


def classes(
    query: Annotated[
        str | None,
        typer.Argument(
            help="Number, range (200-210), WordNet id or part of a name.", show_default=False
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="List only the classes of these weights.", autocompletion=completions.weights
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the classes of ILSVRC, or those that match QUERY.

    \b
    Examples:
      pixelgen classes retriever
      pixelgen classes --weights imagenet64
      pixelgen classes 200-210 --json
    """
    among = None
    if weights is not None:
        source = obtain(weights, quiet)
        among = read_config(source.path, source.name).labels
        if not among and not as_json:
            raise PixelgenError(f"{source.name} has no classes")
    found = search(query or "", among)
    if query and not found and not as_json:
        near = ", ".join(map(str, nearest(query, among)))
        suffix = f", the nearest are: {near}" if near else ""
        raise PixelgenError(f"no class matches {query!r}{suffix}")
    if as_json:
        terminal.json([{"index": c.index, "wnid": c.wnid, "names": c.names} for c in found])
    else:
        for c in found:
            terminal.line(f"{c.index:>3}  {c.wnid}  {', '.join(c.names)}")
