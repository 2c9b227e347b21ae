"""`pixelgen weights list`, `show` and `path`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixelgen.checkpoints import CheckpointConfig, Source, bundled, read_config
from pixelgen.checkpoints.hub import (
    HubRef,
    cached_weights,
    find_cached,
    look_up,
    parse_hub_ref,
    plan_pull,
    require_cached,
)
from pixelgen.checkpoints.source import resolve_local, unknown_weights_error
from pixelgen.cli import options, terminal
from pixelgen.cli.downloads import Download, size_text
from pixelgen.errors import counted


def list_weights(as_json: options.Json = False) -> None:
    """List the bundled weights and those in the Hub's cache.

    \b
    Examples:
      pixelgen weights list
      pixelgen weights list --json
    """
    rows = [_summary(Source(path, name)) for name, path in bundled().items()]
    for found in cached_weights():
        commit = found.source.path.name
        # The shortest name: by a branch or tag, else by the commit.
        ref = "main" if "main" in found.refs else next(iter(found.refs), commit)
        name = found.source.name if ref == "main" else f"{found.source.name}@{ref}"
        state = {"refs": found.refs, "complete": found.complete}
        rows.append(_summary(Source(found.source.path, name, commit)) | state)
    if as_json:
        terminal.json(rows)
    else:
        terminal.table((), map(_cells, rows), align="<<<<>")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The row of some weights in the table."""
    variants = f"{row['classes'] or 'no'} classes"
    if row["bottlenecks"]:
        variants = f"bottlenecks {', '.join(map(str, row['bottlenecks']))}"
    size, megabytes = f"{row['width']}×{row['height']}", f"{row['megabytes']} MB"
    path = row["path"] if row["complete"] else f"{row['path']} (incomplete)"
    return row["name"], row["kind"], size, variants, megabytes, path


def show(
    ref: options.Ref,
    token: options.Token = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show details of weights.

    For weights on the Hub that are not in the cache only the configuration is fetched.

    \b
    Examples:
      pixelgen weights show imagenet32
      pixelgen weights show owner/name@v1 --json
    """
    source = resolve_local(ref)
    if source is None:
        if (hub_ref := parse_hub_ref(ref)) is None:
            raise unknown_weights_error(ref)
        source = find_cached(hub_ref)
        if source is None:
            _show_remote(hub_ref, token, as_json, quiet)
            return
    config = read_config(source.path, source.name)
    facts = {
        "name": source.name,
        "path": str(source.path),
        "revision": source.revision(),
        "files": {f.name: f.stat().st_size for f in _files(source.path)},
    }
    _print_details(facts, config, as_json)


def path(ref: options.Ref, as_json: options.Json = False) -> None:
    """Print the folder of weights on this computer.

    Nothing is fetched.

    \b
    Examples:
      pixelgen weights path imagenet32
      pixelgen weights path owner/name@v1
    """
    folder = str(_on_this_computer(ref).path)
    if as_json:
        terminal.json({"path": folder})
    else:
        terminal.path(folder)


def _on_this_computer(ref: str) -> Source:
    source = resolve_local(ref)
    if source is None:
        if (hub_ref := parse_hub_ref(ref)) is None:
            raise unknown_weights_error(ref)
        source = require_cached(hub_ref)
    return source


def _show_remote(ref: HubRef, token: str | None, as_json: bool, quiet: bool) -> None:
    with Download(quiet) as download:
        remote = look_up(ref, token=token, on_transfer=download)
        planned = plan_pull(remote, token=token, on_transfer=download)
    facts = {
        "name": ref.repo,
        "path": None,
        "revision": remote.commit,
        "files": {file.name: file.size for file in planned.files},
    }
    _print_details(facts, planned.config, as_json, ref.name)


def _print_details(
    facts: dict[str, Any], config: CheckpointConfig, as_json: bool, pulled_as: str = ""
) -> None:
    """Print `facts` and the configuration, as JSON or as a table. `pulled_as` names weights that
    are not in the cache."""
    if as_json:
        terminal.json(facts | config.to_dict())
        return
    channels, height, width = config.image_shape
    sampling, training = config.sampling, config.training
    trained = [f"{training[k]} {k}" for k in ("steps", "images", "minutes") if k in training]
    rows = {
        "name": facts["name"],
        "kind": config.kind,
        "picture": f"{width}×{height}, {counted(channels, 'channel')}",
        "bottleneck": " or ".join(map(str, config.bottlenecks)),
        "classes": len(config.labels) or "none",
        "sampling": f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, "
        f"guidance {sampling.guidance:g}"
        + f", vector temperature {sampling.vector_temperature:g}"
        * (sampling.vector_temperature != 1)
        + f", {sampling.candidates} candidates" * (sampling.candidates > 1),
        "trained": ", ".join(trained),
        "started from": str(training.get("started_from", "")),
        "revision": facts["revision"],
        "files": ", ".join(f"{name} {size_text(size)}" for name, size in facts["files"].items()),
        "path": facts["path"]
        or f"not in the cache, `pixelgen weights pull {pulled_as}` fetches it",
    }
    if not config.can_sample:
        del rows["classes"]
        if not config.bottlenecks:
            del rows["sampling"]
    terminal.table((), [row for row in rows.items() if row[1] != ""])


def _summary(source: Source) -> dict[str, Any]:
    config = read_config(source.path, source.name)
    size = sum(file.stat().st_size for file in _files(source.path))
    return {
        "name": source.name,
        "path": str(source.path),
        "kind": config.kind,
        "width": config.image_shape[2],
        "height": config.image_shape[1],
        "classes": len(config.labels),
        "bottlenecks": list(config.bottlenecks),
        "megabytes": round(size / 1e6, 1),
        "commit": source.commit,
        "refs": (),
        "complete": True,
    }


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file())
