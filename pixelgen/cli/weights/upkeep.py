"""`pixelgen weights verify` and `remove`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pixelgen.checkpoints import Source, bundled
from pixelgen.checkpoints.digests import FileCheck
from pixelgen.checkpoints.digests import verify as verify_files
from pixelgen.checkpoints.hub import cached_weights, parse_hub_ref, plan_removal
from pixelgen.checkpoints.hub.cache import not_cached_error, snapshot_folder
from pixelgen.checkpoints.source import resolve_local, unknown_weights_error
from pixelgen.cli import completions, options, terminal
from pixelgen.cli.downloads import size_text
from pixelgen.errors import REINSTALL_HINT, PixelgenError, UsageError, counted

_DAMAGED = ("changed", "missing")


def verify(
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF]…",
            help="Weights. Default: all on this computer.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare weights with the digests that they were published with.

    Nothing is fetched. Exit code 1 if a file is damaged or missing.

    \b
    Examples:
      pixelgen weights verify
      pixelgen weights verify imagenet32 owner/name --json
    """
    sources = [_find(ref) for ref in refs] if refs else _all()
    checks = [(source, check) for source in sources for check in verify_files(source)]
    if as_json:
        rows = [
            {"weights": _name(source), "file": c.file, "state": c.state, "digest": c.digest}
            for source, c in checks
        ]
        terminal.json(rows)
    elif not quiet:
        terminal.table((), [_cells(source, check) for source, check in checks])
    damaged = [source for source, check in checks if check.state in _DAMAGED]
    if damaged:
        names = ", ".join(dict.fromkeys(_name(source) for source in damaged))
        raise PixelgenError(f"damaged: {names}", _repair_hint(damaged[0]))


def _cells(source: Source, check: FileCheck) -> tuple[str, str, str]:
    """The row of a file in the table."""
    detail = check.why or check.digest
    if check.state == "unknown":
        detail = f"no digest recorded, current digest {check.digest}"
    return f"{check.state:<7}", f"{_name(source)}/{check.file}", detail


def _repair_hint(source: Source) -> str:
    if source.commit is not None:
        return f"`pixelgen weights pull {_name(source)}` fetches the damaged files"
    if source.name in bundled():
        return REINSTALL_HINT
    return "copy them again from the original"


def _name(source: Source) -> str:
    return source.name if source.commit is None else f"{source.name}@{source.commit}"


def _all() -> list[Source]:
    sources = [Source(path, name) for name, path in bundled().items()]
    return sources + [found.source for found in cached_weights()]


def _find(ref: str) -> Source:
    """Weights on this computer, complete or not."""
    source = resolve_local(ref)
    if source is not None:
        return source
    if (hub_ref := parse_hub_ref(ref)) is None:
        raise unknown_weights_error(ref)
    folder = snapshot_folder(hub_ref)
    if folder is None:
        raise not_cached_error(hub_ref)
    return Source(folder, hub_ref.repo, folder.name)


def remove(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME[@REVISION]",
            help="Weights in the Hub's cache.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Remove without asking.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Remove weights from the Hub's cache.

    Without @REVISION all revisions are removed, for other programs that use the cache too. All
    branches and tags that point to a removed revision go with it.

    \b
    Examples:
      pixelgen weights remove owner/name@v1
      pixelgen weights remove owner/name --yes
    """
    hub_ref = parse_hub_ref(ref)
    if resolve_local(ref) is not None or hub_ref is None:
        raise UsageError(
            f"{ref!r} is not in the Hub's cache",
            "only weights owner/name in the cache can be removed",
        )
    found = plan_removal(hub_ref)
    count = len(found.commits)
    others = [name for name in found.refs if hub_ref.revision not in (None, name)]
    also = f" (also {', '.join(others)})" if others else ""
    what = f"{hub_ref.name}{also}: {counted(count, 'revision')}, {size_text(found.size)}"
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError(f"{what} would be removed", "--yes removes without asking")
        if not terminal.confirm(f"Remove {what}?"):
            raise PixelgenError("nothing was removed")
    found.execute()
    if as_json:
        facts = {"revisions": found.commits, "refs": found.refs, "bytes": found.size}
        terminal.json({"name": hub_ref.repo, **facts})
    else:
        terminal.status(f"removed {what}", quiet)
