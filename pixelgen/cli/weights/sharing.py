"""`pixelgen weights pull` and `push`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pixelgen.checkpoints.hub import (
    PullPlan,
    execute_pull,
    look_up,
    parse_hub_ref,
    plan_pull,
    require_cached,
)
from pixelgen.checkpoints.hub.cache import is_offline
from pixelgen.cli import options
from pixelgen.cli.downloads import Download, size_text
from pixelgen.errors import UsageError, WeightsError


def pull(
    ref: Annotated[
        str,
        typer.Argument(metavar="OWNER/NAME[@REVISION]", help="On the Hub.", show_default=False),
    ],
    token: options.Token = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be fetched, with sizes.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch weights from the Hub into its cache.

    Only the files that are needed are fetched. All are compared with the digests of the Hub, also
    those that the cache has, and fetched again if they are damaged. The folder is printed.

    \b
    Examples:
      pixelgen weights pull owner/name@v1
      pixelgen weights pull owner/name --dry-run
    """
    hub_ref = parse_hub_ref(ref)
    if hub_ref is None:
        raise UsageError(f"{ref!r} is not a Hub id", "owner/name, or owner/name@revision")
    if is_offline():
        require_cached(hub_ref)
        raise WeightsError(
            f"offline, so {ref} cannot be compared with the Hub",
            "it is complete in the cache and can be used",
        )
    with Download(quiet) as download:
        remote = look_up(hub_ref, token=token, on_transfer=download)
        made = plan_pull(remote, token=token, on_transfer=download)
        if dry_run:
            _tell_plan(made, as_json)
            return
        listed = ", ".join(f"{file.name} {size_text(file.size)}" for file in made.files)
        download.note(f"{remote.ref.repo}@{remote.commit}: {listed}")
        kept = size_text(made.size - made.to_fetch)
        download.note(f"{size_text(made.to_fetch)} to fetch, {kept} in the cache")
        source = execute_pull(made, token=token, on_transfer=download)
    if as_json:
        typer.echo(json.dumps(_facts(made) | {"path": str(source.path)}, ensure_ascii=False))
        return
    typer.echo(str(source.path))
    if not quiet:
        typer.echo(f"verified; {source.name}@{source.commit} always means these files", err=True)


def _facts(made: PullPlan) -> dict[str, Any]:
    fetched = {file.name for file in made.missing}
    return {
        "name": made.remote.ref.repo,
        "revision": made.remote.commit,
        "files": [
            {"file": f.name, "bytes": f.size, "digest": f.digest, "fetch": f.name in fetched}
            for f in made.files
        ],
        "bytes": made.size,
        "bytes_to_fetch": made.to_fetch,
    }


def _tell_plan(made: PullPlan, as_json: bool) -> None:
    facts = _facts(made)
    if as_json:
        typer.echo(json.dumps(facts | {"path": None}, ensure_ascii=False))
        return
    for row in facts["files"]:
        state = "to fetch" if row["fetch"] else "in the cache"
        typer.echo(f"{size_text(row['bytes']):>10}  {row['file']}  {state}")


def push(
    weights: Annotated[
        str, typer.Argument(metavar="REF", help="A folder or bundled name.", show_default=False)
    ],
    repo: Annotated[
        str, typer.Argument(metavar="OWNER/NAME[@BRANCH]", help="On the Hub.", show_default=False)
    ],
    token: options.Token = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    message: Annotated[
        str, typer.Option("-m", "--message", help="Of the commit.", show_default=False)
    ] = "",
    keep_card: Annotated[
        bool, typer.Option("--keep-card", help="Take the README.md beside the weights.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Publish weights on the Hub.

    The model card is made of the recipe and the figures, with commands that name OWNER/NAME.
    OWNER/NAME@COMMIT is printed: it means these very weights for ever.

    \b
    Examples:
      pixelgen weights push my-weights owner/name
      pixelgen weights push my-weights owner/name -m 'Longer training' --private
    """
    from pixelgen.publishing.push import push_to_hub

    with Download(quiet) as download:
        made = push_to_hub(
            weights,
            repo,
            token=token,
            private=private,
            message=message,
            keep_card=keep_card,
            tell=download.note,
        )
    if as_json:
        facts = {"name": made.repo, "revision": made.commit, "url": made.url, "files": made.files}
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    typer.echo(f"{made.repo}@{made.commit}")
    if not quiet:
        typer.echo(f"{len(made.files)} files at {made.url}", err=True)
