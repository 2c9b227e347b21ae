"""Pulling weights from the Hub into its own cache: only the files that are needed, and only whole
ones."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelgen._version import __version__
from pixelgen.checkpoints.config import (
    CONFIG_FILE,
    LARGEST_CONFIG,
    CheckpointConfig,
    read_config,
)
from pixelgen.checkpoints.digests import is_digest, matches, recorded_digest
from pixelgen.checkpoints.hub import cache, incomplete
from pixelgen.checkpoints.hub.errors import InvalidResponse, explain, is_wrong_length
from pixelgen.checkpoints.hub_ref import HubRef, is_commit
from pixelgen.checkpoints.layout import CARD_FILE, tensor_files
from pixelgen.checkpoints.source import Source
from pixelgen.errors import PixelgenError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_POLL_INTERVAL = 0.2
_MAX_BRANCH_MOVES = 3
LARGEST_CARD = 2**22
"""Bytes; a larger README.md is not fetched."""
_NOT_OURS = "it does not hold weights of pixelgen"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository."""

    name: str
    """Its name."""
    size: int | None
    """Bytes, if the Hub reports them."""
    digest: str
    """Its sha256, or git's sha1 of a file that git itself stores; "" if the Hub reports neither."""


@dataclass(frozen=True)
class RemoteRepo:
    """A repository at one commit, as the Hub describes it."""

    ref: HubRef
    """What was looked up."""
    commit: str
    """The commit that the revision points to."""
    files: dict[str, HubFile]
    """All files, by name."""


@dataclass(frozen=True)
class PullPlan:
    """The files that weights need, and which of them must be fetched."""

    remote: RemoteRepo
    """Where they are."""
    config: CheckpointConfig
    """The configuration, which has been fetched already."""
    folder: Path
    """The snapshot in the cache that they go to."""
    files: tuple[HubFile, ...]
    """All files that are needed."""
    missing: tuple[HubFile, ...]
    """Those that are missing or damaged in the cache."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size or 0 for file in self.files)

    @property
    def to_fetch(self) -> int:
        """Bytes to fetch."""
        return sum(file.size or 0 for file in self.missing)


@dataclass(frozen=True)
class Transfer:
    """The progress of a pull."""

    name: str
    """The weights."""
    done: int
    """Bytes that have arrived."""
    total: int
    """Bytes to fetch."""
    note: str = ""
    """What the pull waits for."""


OnTransfer = Callable[[Transfer], None]
"""Is called when a pull begins, several times a second while it runs, and with every note."""


def fetch(
    ref: HubRef, *, token: str | None = None, on_transfer: OnTransfer | None = None
) -> Source:
    """Weights of the Hub: from its cache if that is up to date or the Hub cannot be reached, else
    pulled. Raises WeightsError."""
    if cache.is_offline():
        return cache.require_cached(ref)
    cached = cache.find_cached(ref)
    if cached is not None and ref.is_pinned:
        return cached
    try:
        remote = look_up(ref, token=token, on_transfer=on_transfer)
    except PixelgenError:
        if cached is not None:
            return cached
        raise
    if cached is not None and cached.commit == remote.commit:
        return cached
    plan = plan_pull(remote, token=token, on_transfer=on_transfer)
    return execute_pull(plan, token=token, on_transfer=on_transfer)


def look_up(
    ref: HubRef, *, token: str | None = None, on_transfer: OnTransfer | None = None
) -> RemoteRepo:
    """Ask the Hub for the commit and the files of a revision. Raises PixelgenError."""
    from pixelgen.checkpoints.hub.client import TIMEOUT, call_hub

    cache.check_online(ref)
    cache.check_token(token)
    info: Any = call_hub(
        lambda: _api(token).model_info(
            ref.repo, revision=ref.revision, files_metadata=True, timeout=TIMEOUT
        ),
        ref,
        _report_note(ref, on_transfer),
    )
    try:
        if not is_commit(info.sha):
            raise InvalidResponse("it names no commit")
        files = [_hub_file(sibling) for sibling in info.siblings or ()]
    except (ValueError, TypeError, AttributeError) as error:
        raise explain(error, ref) from error
    return RemoteRepo(ref, info.sha, {file.name: file for file in files})


def plan_pull(
    remote: RemoteRepo, *, token: str | None = None, on_transfer: OnTransfer | None = None
) -> PullPlan:
    """Which files a pull needs. Fetches the configuration, which says so, and nothing else.

    Raises PixelgenError, also for a repository that does not hold weights of pixelgen.
    """
    ref = remote.ref
    if CONFIG_FILE not in remote.files:
        listed = f"{cache.endpoint()}/models?library=pixelgen"
        raise ref.error(
            f"the repository has no {CONFIG_FILE}", f"{_NOT_OURS}; those are listed at {listed}"
        )
    folder = cache.repo_folder(ref.repo) / "snapshots" / remote.commit
    config_file = remote.files[CONFIG_FILE]
    if (config_file.size or 0) > LARGEST_CONFIG:
        raise ref.error(f"{CONFIG_FILE} is larger than a configuration can be", _NOT_OURS)
    if not _is_whole(folder, config_file):
        _fetch_file(remote, config_file, token, on_transfer)
    config = read_config(folder, ref.name)
    names = [CONFIG_FILE, *tensor_files(config)]
    for name in names:
        if name not in remote.files:
            raise ref.error(f"the repository has no {name}", "the repository is not complete")
        expected, digest = config.sha256.get(name), remote.files[name].digest
        if expected and len(digest) == len(expected) and digest != expected:
            raise ref.error(
                f"{name} is not the one that {CONFIG_FILE} was written with",
                "its owner should push both again",
            )
    if CARD_FILE in remote.files and (remote.files[CARD_FILE].size or 0) <= LARGEST_CARD:
        names.append(CARD_FILE)
    files = tuple(remote.files[name] for name in names)
    missing = tuple(file for file in files if not _is_whole(folder, file))
    return PullPlan(remote, config, folder, files, missing)


def execute_pull(
    plan: PullPlan, *, token: str | None = None, on_transfer: OnTransfer | None = None
) -> Source:
    """Fetch the missing files and compare them with the Hub's digests. Only then the branch or tag
    in the cache is moved: a pull that was stopped leaves the previous weights usable. Raises
    PixelgenError."""
    ref = plan.remote.ref
    digests, note = {file.digest for file in plan.missing}, _report_note(ref, on_transfer)
    if size := incomplete.delete_incomplete(ref.repo, digests):
        note(f"deleted {megabytes(size)} of pulls that were killed")
    if size := sum(incomplete.bytes_there(ref.repo, digest) for digest in digests if digest):
        note(f"continues a pull that was killed: {megabytes(size)} are there")
    if plan.missing:
        _check_space(plan)
        with _reporting(plan, on_transfer):
            for file in plan.missing:
                _fetch_file(plan.remote, file, token, on_transfer)
    for _ in range(_MAX_BRANCH_MOVES):
        if _move_branch(plan, token, on_transfer):
            return Source(plan.folder, ref.repo, plan.remote.commit)
        # The branch has moved on the Hub in the meantime.
        remote = look_up(ref, token=token, on_transfer=on_transfer)
        plan = plan_pull(remote, token=token, on_transfer=on_transfer)
        for file in plan.missing:
            _fetch_file(plan.remote, file, token, on_transfer)
    raise ref.error("changes while it is pulled", "try again, or name a commit")


def _api(token: str | None) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="pixelgen", library_version=__version__)


def _hub_file(sibling: Any) -> HubFile:
    """A file of the Hub's answer. Raises InvalidResponse for impossible values."""
    digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id or ""
    name, size = sibling.rfilename, sibling.size
    if not isinstance(name, str) or (digest and not is_digest(digest)):
        raise InvalidResponse(f"a file is {name!r}, its digest {digest!r}")
    if size is not None and (type(size) is not int or not 0 <= size < 2**63):
        raise InvalidResponse(f"{name} is of the size {size!r}")
    return HubFile(name, size, digest)


def _report_note(ref: HubRef, on_transfer: OnTransfer | None) -> Callable[[str], None]:
    def report(note: str) -> None:
        if on_transfer is not None:
            on_transfer(Transfer(ref.name, 0, 0, note))

    return report


def _is_whole(folder: Path, file: HubFile) -> bool:
    """Whether a snapshot has a file as the Hub describes it. A damaged one is deleted."""
    path = folder / file.name
    if not path.is_file():
        return False
    expected = file.digest or recorded_digest(path)
    try:
        if expected and not matches(path, expected):
            cache.delete_file(path)
            return False
    except OSError:
        return False
    return True


def _fetch_file(
    remote: RemoteRepo, file: HubFile, token: str | None, on_transfer: OnTransfer | None
) -> None:
    """Fetch one file into the cache; a second time if the first differs from the announced one."""
    for _ in range(2):
        path = _download(remote, file, remote.commit, token, on_transfer)
        if path.parent.name != remote.commit:
            raise remote.ref.error(
                f"{file.name} comes from another commit than requested",
                "check HF_ENDPOINT and proxies",
            )
        if _is_whole(path.parent, file):
            return
    raise remote.ref.error(
        f"{file.name} does not have the digest that the Hub announced",
        "it was deleted; a proxy or mirror may damage it",
    )


def _download(
    remote: RemoteRepo,
    file: HubFile,
    revision: str,
    token: str | None,
    on_transfer: OnTransfer | None,
) -> Path:
    from huggingface_hub import hf_hub_download

    from pixelgen.checkpoints.hub.bounds import LARGEST_FILE
    from pixelgen.checkpoints.hub.client import call_hub

    largest = file.size
    if largest is None:
        largest = {CONFIG_FILE: LARGEST_CONFIG, CARD_FILE: LARGEST_CARD}.get(
            file.name, LARGEST_FILE
        )
    is_damaged = False

    def call() -> Path:
        nonlocal is_damaged
        try:
            if file.digest and not is_damaged:
                incomplete.complete(remote.ref.repo, file.name, file.digest, revision, token)
            return Path(
                hf_hub_download(
                    remote.ref.repo,
                    file.name,
                    revision=revision,
                    token=token,
                    # Before version 1.0 the library would append to a file that is too long.
                    force_download=is_damaged,
                    library_name="pixelgen",
                    library_version=__version__,
                )
            )
        except OSError as error:
            is_damaged = is_wrong_length(error)
            raise

    return call_hub(call, remote.ref, _report_note(remote.ref, on_transfer), largest=largest)


def _move_branch(plan: PullPlan, token: str | None, on_transfer: OnTransfer | None) -> bool:
    """Point the branch or tag in the cache to the snapshot; False if it has moved on the Hub."""
    if plan.remote.ref.is_pinned:
        return True
    revision = plan.remote.ref.revision or "main"
    # The library notes the commit of the branch; the file itself is in the cache already.
    # If the branch has moved, that of the new commit is fetched, which may be larger.
    config_file = replace(plan.remote.files[CONFIG_FILE], size=None)
    path = _download(plan.remote, config_file, revision, token, on_transfer)
    return path.parent.name == plan.remote.commit


def _check_space(plan: PullPlan) -> None:
    """Raises PixelgenError where the disk has too little space for the missing files."""
    folder = plan.folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    repo = plan.remote.ref.repo
    there = sum(incomplete.bytes_there(repo, f.digest) for f in plan.missing if f.digest)
    left = max(plan.to_fetch - there, 0)
    if free < left:
        raise plan.remote.ref.error(
            f"{megabytes(left)} must be fetched, "
            f"{megabytes(free)} are free in {cache.cache_root()}",
            "free some, or HF_HOME=FOLDER moves the cache elsewhere",
        )


def megabytes(size: int) -> str:
    """Bytes as text: `1.5 MB`."""
    return f"{size / 1e6:.1f} MB"


@contextmanager
def _reporting(plan: PullPlan, on_transfer: OnTransfer | None) -> Iterator[None]:
    """Report the progress of the pull. It is read from the sizes of the files on disk, which works
    for every client of the library."""
    if on_transfer is None:
        yield
        return
    name, total = plan.remote.ref.name, plan.to_fetch
    finished = threading.Event()

    def poll() -> None:
        while not finished.wait(_POLL_INTERVAL):
            on_transfer(Transfer(name, min(_arrived(plan), total), total))

    on_transfer(Transfer(name, 0, total))
    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
    on_transfer(Transfer(name, total, total))


def _arrived(plan: PullPlan) -> int:
    """Bytes on disk of the files that were missing."""
    blobs = cache.repo_folder(plan.remote.ref.repo) / "blobs"
    arrived = 0
    for file in plan.missing:
        if (plan.folder / file.name).is_file():
            arrived += file.size or 0
        elif file.digest:
            # A pull that was killed may have left a part; the latest one is being written now.
            parts = [_modified_and_size(path) for path in blobs.glob(f"{file.digest}*")]
            arrived += max(parts, default=(0.0, 0))[1]
    return arrived


def _modified_and_size(path: Path) -> tuple[float, int]:
    try:
        stat = path.stat()
        return stat.st_mtime, stat.st_size
    except OSError:
        return 0.0, 0
