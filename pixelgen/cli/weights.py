"""`pixelgen weights`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pixelgen.checkpoints import Source, bundled, find, read_config
from pixelgen.cli import options


def weights(
    ref: Annotated[
        str | None,
        typer.Argument(help="Weights by name, folder or Hub id.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the bundled weights, or tell everything about some."""
    if ref is not None:
        source = find(ref)
        config = read_config(source.path, source.name).to_dict()
        facts = {"name": source.name, "path": str(source.path), "revision": source.revision()}
        typer.echo(json.dumps(facts | config, indent=None if as_json else 2, ensure_ascii=False))
        return
    rows = [_summary(Source(path, name)) for name, path in bundled().items()]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        what = f"{row['classes'] or 'no'} classes"
        if row["bottlenecks"]:
            what = f"bottlenecks {', '.join(map(str, row['bottlenecks']))}"
        typer.echo(
            f"{row['name']}  {row['kind']}, {row['width']}×{row['height']}, {what}, "
            f"{row['megabytes']} MB, {row['path']}"
        )


def _summary(source: Source) -> dict[str, Any]:
    config = read_config(source.path, source.name)
    size = sum(file.stat().st_size for file in source.path.iterdir() if file.is_file())
    return {
        "name": source.name,
        "path": str(source.path),
        "kind": config.kind,
        "width": config.picture[2],
        "height": config.picture[1],
        "classes": len(config.labels),
        "bottlenecks": list(config.bottlenecks),
        "megabytes": round(size / 1e6, 1),
    }
