"""Pushing weights to the Hub, as one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixelgen._version import __version__
from pixelgen.checkpoints.hub import cache
from pixelgen.checkpoints.hub.pulling import megabytes
from pixelgen.checkpoints.hub_ref import HubRef


@dataclass(frozen=True)
class PushResult:
    """The commit of a push."""

    repo: str
    """`owner/name`."""
    commit: str
    """The commit; `owner/name@commit` always means exactly these weights."""
    url: str
    """Its page."""
    files: tuple[str, ...]
    """The names of its files."""


def push(
    ref: HubRef,
    files: Mapping[str, Path | bytes],
    *,
    token: str | None = None,
    private: bool = False,
    message: str = "",
    on_note: Callable[[str], None] = lambda note: None,
) -> PushResult:
    """Upload `files`, by their names in the repository, in one commit: all of them, or none.

    A missing repository is created, `private` or not, unless `ref` names a branch. `on_note` is
    called with notes on the progress. Raises PixelgenError.
    """
    cache.check_online(ref)
    cache.check_token(token)

    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi

    from pixelgen.checkpoints.hub.client import call_hub

    api = HfApi(token=token, library_name="pixelgen", library_version=__version__)
    if ref.revision is None:  # a new repository has no other branch than main
        call_hub(
            lambda: api.create_repo(ref.repo, private=private or None, exist_ok=True), ref, on_note
        )

    def commit() -> CommitInfo:
        # Built for every try: an operation that was carried out cannot be used again.
        operations = [CommitOperationAdd(name, data) for name, data in files.items()]
        return api.create_commit(
            ref.repo,
            operations,
            commit_message=message or f"Weights of pixelgen {__version__}",
            revision=ref.revision,
        )

    size = sum(len(d) if isinstance(d, bytes) else d.stat().st_size for d in files.values())
    on_note(f"uploading {len(files)} files, {megabytes(size)}")
    created = call_hub(commit, ref, on_note, largest=None)
    return PushResult(ref.repo, created.oid, f"{cache.endpoint()}/{ref.repo}", tuple(files))
