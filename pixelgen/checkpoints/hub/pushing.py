"""Weights to the Hub, as one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixelgen._version import __version__
from pixelgen.checkpoints.hub import cache
from pixelgen.checkpoints.hub.errors import HubRef
from pixelgen.checkpoints.hub.pulling import megabytes


@dataclass(frozen=True)
class Pushed:
    """What a push made."""

    repo: str
    """`owner/name`."""
    commit: str
    """The commit; `owner/name@commit` means these very weights for ever."""
    url: str
    """Where people see it."""
    files: tuple[str, ...]
    """What the commit holds."""


def push(
    errand: HubRef,
    files: Mapping[str, Path | bytes],
    *,
    token: str | None = None,
    private: bool = False,
    message: str = "",
    tell: Callable[[str], None] = lambda note: None,
) -> Pushed:
    """Upload `files`, by their names in the repository, in one commit: all of them, or none.

    The repository is made if there is none, `private` or not. Raises PixelgenError.
    """
    if cache.is_offline():
        raise errand.error("HF_HUB_OFFLINE or --offline is set", "unset it to push")
    cache.check_token(token)

    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, constants

    from pixelgen.checkpoints.hub.client import ask

    api = HfApi(token=token, library_name="pixelgen", library_version=__version__)
    ask(lambda: api.create_repo(errand.repo, private=private or None, exist_ok=True), errand, tell)

    def commit() -> CommitInfo:
        # Made anew for every try: an operation that was carried out once cannot be used again.
        operations = [CommitOperationAdd(name, data) for name, data in files.items()]
        return api.create_commit(
            errand.repo,
            operations,
            commit_message=message or f"Weights of pixelgen {__version__}",
            revision=errand.revision,
        )

    size = sum(len(d) if isinstance(d, bytes) else d.stat().st_size for d in files.values())
    tell(f"uploading {len(files)} files, {megabytes(size)}")
    made = ask(commit, errand, tell)
    return Pushed(errand.repo, made.oid, f"{constants.ENDPOINT}/{errand.repo}", tuple(files))
