"""`pixelgen weights verify` and `remove`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from pixelgen.checkpoints import Source, bundled
from pixelgen.checkpoints.digests import FileCheck
from pixelgen.checkpoints.digests import verify as verify_files
from pixelgen.checkpoints.hub import cached_weights, parse_hub_ref, plan_removal
from pixelgen.checkpoints.hub.cache import not_cached_error, snapshot_folder
from pixelgen.checkpoints.source import resolve_local, unknown_weights_error
from pixelgen.cli import completions, options
from pixelgen.cli.downloads import size_text
from pixelgen.errors import PixelgenError, UsageError

_BAD = ("changed", "missing")


def verify(
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF]…",
            help="Weights; all if left out.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare weights with the digests they were published with.

    Nothing is fetched. Exit code 1 if a file is damaged or missing.

    \b
    Examples:
      pixelgen weights verify
      pixelgen weights verify imagenet32 owner/name --json
    """
    sources = [_on_disk(ref) for ref in refs] if refs else _all()
    checks = [(source, check) for source in sources for check in verify_files(source)]
    if as_json:
        rows = [
            {"weights": _name(source), "file": c.file, "state": c.state, "digest": c.digest}
            for source, c in checks
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif not quiet:
        for source, check in checks:
            typer.echo(_line(source, check))
    bad = [source for source, check in checks if check.state in _BAD]
    if bad:
        names = ", ".join(dict.fromkeys(_name(source) for source in bad))
        raise PixelgenError(f"damaged: {names}", _cure(bad[0]))


def _line(source: Source, check: FileCheck) -> str:
    shown = {"unknown": "no digest is recorded, it is now " + check.digest}.get(
        check.state, check.why or check.digest
    )
    return f"{check.state:<7}  {_name(source)}/{check.file}  {shown}".rstrip()


def _cure(source: Source) -> str:
    if source.commit is not None:
        return f"`pixelgen weights pull {_name(source)}` fetches what is damaged"
    if source.name in bundled():
        return "`pip install --force-reinstall pixelgen`"
    return "copy them again from where they came"


def _name(source: Source) -> str:
    return source.name if source.commit is None else f"{source.name}@{source.commit}"


def _all() -> list[Source]:
    here = [Source(path, name) for name, path in bundled().items()]
    return here + [found.source for found in cached_weights()]


def _on_disk(ref: str) -> Source:
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
            help="In the Hub's cache.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Remove weights from the Hub's cache.

    Without @REVISION all revisions go. Other programs that use the cache lose them too.

    \b
    Examples:
      pixelgen weights remove owner/name@v1
      pixelgen weights remove owner/name --yes
    """
    hub_ref = parse_hub_ref(ref)
    if resolve_local(ref) is not None or hub_ref is None:
        raise UsageError(
            f"{ref!r} is not in the Hub's cache", "only weights owner/name can be removed"
        )
    found = plan_removal(hub_ref)
    count = len(found.commits)
    what = f"{ref}: {count} revision{'s' * (count != 1)}, {size_text(found.size)}"
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError(f"{what} would be removed", "--yes removes without asking")
        if not typer.confirm(f"Remove {what}?", err=True):
            raise PixelgenError("nothing was removed")
    found.execute()
    if as_json:
        facts = {"name": hub_ref.repo, "revisions": found.commits, "bytes": found.size}
        typer.echo(json.dumps(facts))
    elif not quiet:
        typer.echo(f"removed {what}", err=True)
