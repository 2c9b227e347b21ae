"""`pixelgen classes`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pixelgen.checkpoints import read_config
from pixelgen.cli import completions, options
from pixelgen.cli.downloads import obtain
from pixelgen.errors import PixelgenError
from pixelgen.labels import nearest, search


def classes(
    query: Annotated[
        str | None,
        typer.Argument(help="Number, range, WordNet id or part of a name.", show_default=False),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Only the classes that these weights know.", autocompletion=completions.weights
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the classes: all of ILSVRC, those like QUERY, or those that weights know.

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
    found = search(query or "", among)
    if query and not found and not as_json:
        near = ", ".join(map(str, nearest(query, among)))
        raise PixelgenError(
            f"no class matches {query!r}" + (f", the nearest are: {near}" if near else "")
        )
    if as_json:
        rows = [{"index": c.index, "wnid": c.wnid, "names": c.names} for c in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for c in found:
            typer.echo(f"{c.index:>3}  {c.wnid}  {', '.join(c.names)}")
