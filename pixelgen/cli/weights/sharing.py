"""`pixelgen weights pull` and `push`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixelgen.checkpoints.hub import HubRef, Plan, look_up
from pixelgen.checkpoints.hub import plan as plan_pull
from pixelgen.checkpoints.hub import pull as pull_planned
from pixelgen.checkpoints.hub.cache import is_offline, need_cached
from pixelgen.checkpoints.source import hub_id
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
        typer.Option("--dry-run", help="List the files to fetch with their sizes, fetch nothing."),
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
    asked = hub_id(ref)
    if asked is None:
        raise UsageError(f"{ref!r} is not a Hub id", "owner/name, or owner/name@revision")
    if is_offline():
        need_cached(HubRef(*asked))
        raise WeightsError(
            f"offline, so {ref} cannot be compared with the Hub",
            "the cache has all its files, so they can be used as they are",
        )
    with Download(quiet) as download:
        remote = look_up(*asked, token=token, watch=download)
        planned = plan_pull(remote, token=token, watch=download)
        if dry_run:
            _print_plan(planned, as_json)
            return
        listed = ", ".join(f"{file.name} {size_text(file.size)}" for file in planned.files)
        download.note(f"{remote.errand.repo}@{remote.commit}: {listed}")
        present = size_text(planned.size - planned.to_fetch)
        download.note(f"{size_text(planned.to_fetch)} to fetch, {present} in the cache")
        source = pull_planned(planned, token=token, watch=download)
    if as_json:
        terminal.json(_facts(planned) | {"path": str(source.path)})
        return
    terminal.path(source.path)
    terminal.status(f"verified; {source.name}@{source.commit} always means these files", quiet)


def _facts(planned: Plan) -> dict[str, Any]:
    missing = {file.name for file in planned.missing}
    return {
        "name": planned.remote.errand.repo,
        "revision": planned.remote.commit,
        "files": [
            {"file": f.name, "bytes": f.size, "digest": f.digest, "fetch": f.name in missing}
            for f in planned.files
        ],
        "bytes": planned.size,
        "bytes_to_fetch": planned.to_fetch,
    }


def _print_plan(planned: Plan, as_json: bool) -> None:
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
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Publish weights on the Hub.

    Prints OWNER/NAME@COMMIT, which always means these weights. The model card is generated from
    the recipe and the evaluation.

    \b
    Examples:
      pixelgen weights push my-weights owner/name
      pixelgen weights push my-weights owner/name -m 'Longer training' --private
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
            tell=download.note,
        )
    if as_json:
        result = {"name": pushed.repo, "revision": pushed.commit}
        terminal.json(result | {"url": pushed.url, "files": pushed.files})
        return
    terminal.line(f"{pushed.repo}@{pushed.commit}")
    terminal.status(f"{len(pushed.files)} files at {pushed.url}", quiet)
