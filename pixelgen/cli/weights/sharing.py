"""`pixelgen weights pull` and `push`."""

from __future__ import annotations

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
from pixelgen.cli import options, terminal
from pixelgen.cli.downloads import Download, size_text
from pixelgen.errors import UsageError, WeightsError


def pull(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME[@REVISION]", help="Repository on the Hub.", show_default=False
        ),
    ],
    token: options.Token = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the files to fetch with their sizes; fetch only the configuration.",
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch weights from the Hub into its cache.

    Prints the folder. Every file is compared with its digest on the Hub, those in the cache too;
    missing and damaged ones are fetched.

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
            "the cache has all its files, so they can be used as they are",
        )
    with Download(quiet) as download:
        remote = look_up(hub_ref, token=token, on_transfer=download)
        planned = plan_pull(remote, token=token, on_transfer=download)
        if dry_run:
            _print_plan(planned, as_json)
            return
        listed = ", ".join(f"{file.name} {size_text(file.size)}" for file in planned.files)
        download.note(f"{remote.ref.repo}@{remote.commit}: {listed}")
        present = size_text(planned.size - planned.to_fetch)
        download.note(f"{size_text(planned.to_fetch)} to fetch, {present} in the cache")
        source = execute_pull(planned, token=token, on_transfer=download)
    if as_json:
        terminal.json(_facts(planned) | {"path": str(source.path)})
        return
    terminal.path(source.path)
    terminal.status(f"verified; {source.name}@{source.commit} always means these files", quiet)


def _facts(planned: PullPlan) -> dict[str, Any]:
    missing = {file.name for file in planned.missing}
    return {
        "name": planned.remote.ref.repo,
        "revision": planned.remote.commit,
        "files": [
            {"file": f.name, "bytes": f.size, "digest": f.digest, "fetch": f.name in missing}
            for f in planned.files
        ],
        "bytes": planned.size,
        "bytes_to_fetch": planned.to_fetch,
    }


def _print_plan(planned: PullPlan, as_json: bool) -> None:
    facts = _facts(planned)
    if as_json:
        terminal.json(facts | {"path": None})
        return
    state = {True: "to fetch", False: "in the cache"}
    rows = [(size_text(f["bytes"]), f["file"], state[f["fetch"]]) for f in facts["files"]]
    terminal.table((), rows, align=">")


def push(
    weights: Annotated[
        str, typer.Argument(metavar="REF", help="A folder or a bundled name.", show_default=False)
    ],
    repo: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME[@BRANCH]", help="Repository on the Hub.", show_default=False
        ),
    ],
    token: options.Token = None,
    private: Annotated[
        bool, typer.Option("--private", help="Create a private repository if there is none.")
    ] = False,
    message: Annotated[
        str, typer.Option("-m", "--message", help="Message of the commit.", show_default=False)
    ] = "",
    keep_card: Annotated[
        bool,
        typer.Option("--keep-card", help="Publish the README.md beside the weights as model card."),
    ] = False,
    license: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Licence of the weights, such as cc-by-4.0, instead of that of their recipe.",
            show_default=False,
        ),
    ] = "",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Publish weights on the Hub.

    Prints OWNER/NAME@COMMIT, which always means these weights. The model card is generated from
    the recipe and the evaluation.

    \b
    Examples:
      pixelgen weights push my-weights owner/name --license cc-by-4.0
      pixelgen weights push my-weights owner/name -m 'Longer training' --keep-card
    """
    from pixelgen.publishing.push import push_to_hub

    with Download(quiet) as download:
        pushed = push_to_hub(
            weights,
            repo,
            token=token,
            private=private,
            message=message,
            keep_card=keep_card,
            license=license,
            tell=download.note,
        )
    if as_json:
        result = {"name": pushed.repo, "revision": pushed.commit}
        terminal.json(result | {"url": pushed.url, "files": pushed.files})
        return
    terminal.line(f"{pushed.repo}@{pushed.commit}")
    terminal.status(f"{len(pushed.files)} files at {pushed.url}", quiet)
