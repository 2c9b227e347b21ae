"""Weights from the Hub into its own cache: only the files that are needed, and only whole ones."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from pixelgen.checkpoints.hub import cache
from pixelgen.checkpoints.hub.errors import HubRef, OddAnswer, explain, is_inconsistent
from pixelgen.checkpoints.source import CARD_FILE, Source, tensor_files
from pixelgen.errors import PixelgenError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LOOK = 0.2
_MOVES = 3


@dataclass(frozen=True)
class HubFile:
    """A file of a repository."""

    name: str
    """Its name."""
    size: int | None
    """Bytes, if the Hub tells."""
    digest: str
    """Its sha256, or git's sha1 of a file that git itself keeps; "" if the Hub does not tell."""


@dataclass(frozen=True)
class Remote:
    """A repository as the Hub describes it at one commit."""

    errand: HubRef
    """What was asked for."""
    commit: str
    """The commit that the revision led to."""
    files: dict[str, HubFile]
    """All files, by name."""


@dataclass(frozen=True)
class Plan:
    """The files that weights need, and which of them are to be fetched."""

    remote: Remote
    """Where they are."""
    config: CheckpointConfig
    """The configuration, which is fetched already."""
    folder: Path
    """The snapshot in the cache that they go to."""
    files: tuple[HubFile, ...]
    """All that is needed."""
    missing: tuple[HubFile, ...]
    """Those of them that the cache does not have whole."""

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
    """How far a pull has come."""

    name: str
    """What is pulled."""
    done: int
    """Bytes that have arrived."""
    total: int
    """Bytes that are to arrive."""
    note: str = ""
    """What is being waited for."""


Watch = Callable[[Transfer], None]
"""Is called when a pull begins, several times a second on the way, and with every note."""


def obtain(
    repo: str, revision: str | None = None, *, token: str | None = None, watch: Watch | None = None
) -> Source:
    """Weights of the Hub, from its cache if that has what the Hub has; without network whatever the
    cache has of this revision. Raises PixelgenError (exit code 4)."""
    errand = HubRef(repo, revision)
    if cache.is_offline():
        return cache.need_cached(errand)
    held = cache.cached(repo, revision)
    if held is not None and cache.is_commit(revision):
        return held
    try:
        remote = look_up(repo, revision, token=token, watch=watch)
    except PixelgenError:
        if held is not None:
            return held
        raise
    if held is not None and held.commit == remote.commit:
        return held
    return pull(plan(remote, token=token, watch=watch), token=token, watch=watch)


def look_up(
    repo: str, revision: str | None = None, *, token: str | None = None, watch: Watch | None = None
) -> Remote:
    """Ask the Hub for the commit and the files of a revision. Raises PixelgenError."""
    from pixelgen.checkpoints.hub.client import TIMEOUT, ask

    errand = HubRef(repo, revision)
    if cache.is_offline():
        raise errand.error("HF_HUB_OFFLINE or --offline is set", "unset it to ask the Hub")
    cache.check_token(token)
    info: Any = ask(
        lambda: _api(token).model_info(
            repo, revision=revision, files_metadata=True, timeout=TIMEOUT
        ),
        errand,
        _teller(errand, watch),
    )
    try:
        if not cache.is_commit(info.sha):
            raise OddAnswer("it names no commit")
        files = [_described(sibling) for sibling in info.siblings or ()]
    except (ValueError, TypeError, AttributeError) as error:
        raise explain(error, errand) from error
    return Remote(errand, info.sha, {file.name: file for file in files})


def plan(remote: Remote, *, token: str | None = None, watch: Watch | None = None) -> Plan:
    """Which files a pull needs. Fetches the configuration, which says it, and nothing else.

    Raises PixelgenError, also for a repository that holds no weights of ours.
    """
    errand = remote.errand
    if CONFIG_FILE not in remote.files:
        raise errand.error(f"no {CONFIG_FILE} there", "it does not hold weights of pixelgen")
    folder = cache.repo_folder(errand.repo) / "snapshots" / remote.commit
    described = remote.files[CONFIG_FILE]
    if (described.size or 0) > LARGEST_CONFIG:
        raise errand.error(
            f"{CONFIG_FILE} there is larger than a configuration can be",
            "it does not hold weights of pixelgen",
        )
    if not _whole(folder, described):
        _fetch(remote, described, token, watch)
    config = read_config(folder, errand.name)
    names = [CONFIG_FILE, *tensor_files(config)]
    for name in names:
        if name not in remote.files:
            raise errand.error(f"no {name} there", "the repository is not complete")
        listed, digest = config.sha256.get(name), remote.files[name].digest
        if listed and len(digest) == len(listed) and digest != listed:
            raise errand.error(
                f"{name} there is not the one that {CONFIG_FILE} was written with",
                "its owner should push both again",
            )
    if CARD_FILE in remote.files:
        names.append(CARD_FILE)
    files = tuple(remote.files[name] for name in names)
    missing = tuple(file for file in files if not _whole(folder, file))
    return Plan(remote, config, folder, files, missing)


def pull(made: Plan, *, token: str | None = None, watch: Watch | None = None) -> Source:
    """Fetch what is missing, compare it with the Hub's digests, and only then let the branch or tag
    lead to it: a pull that was stopped leaves what was there before. Raises PixelgenError."""
    errand = made.remote.errand
    if made.missing:
        _check_space(made)
        with _watching(made, watch):
            for file in made.missing:
                _fetch(made.remote, file, token, watch)
    for _ in range(_MOVES):
        if _lead_to(made, token, watch):
            return Source(made.folder, errand.repo, made.remote.commit)
        # The branch has moved in the meantime.
        remote = look_up(errand.repo, errand.revision, token=token, watch=watch)
        made = plan(remote, token=token, watch=watch)
        for file in made.missing:
            _fetch(made.remote, file, token, watch)
    raise errand.error("changes while it is pulled", "try again, or name a commit")


def _api(token: str | None) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="pixelgen", library_version=__version__)


def _described(sibling: Any) -> HubFile:
    digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id or ""
    name, size = sibling.rfilename, sibling.size
    if not isinstance(name, str) or (digest and not is_digest(digest)):
        raise OddAnswer(f"a file is {name!r}, its digest {digest!r}")
    if size is not None and (type(size) is not int or not 0 <= size < 2**63):
        raise OddAnswer(f"{name} is of the size {size!r}")
    return HubFile(name, size, digest)


def _teller(errand: HubRef, watch: Watch | None) -> Callable[[str], None]:
    def tell(note: str) -> None:
        if watch is not None:
            watch(Transfer(errand.name, 0, 0, note))

    return tell


def _whole(folder: Path, file: HubFile) -> bool:
    """Whether a snapshot has a file as the Hub describes it. A spoilt one is removed."""
    path = folder / file.name
    if not path.is_file():
        return False
    recorded = file.digest or recorded_digest(path)
    try:
        if recorded and not matches(path, recorded):
            cache.drop(path)
            return False
    except OSError:
        return False
    return True


def _fetch(remote: Remote, file: HubFile, token: str | None, watch: Watch | None) -> None:
    """Bring one file into the cache. Twice, if the first time other bytes come than announced."""
    for _ in range(2):
        path = _download(remote, file.name, remote.commit, token, watch)
        if path.parent.name != remote.commit:
            raise remote.errand.error(
                f"{file.name} comes from another commit than asked for",
                "check HF_ENDPOINT and proxies",
            )
        if _whole(path.parent, file):
            return
    raise remote.errand.error(
        f"{file.name} does not have the digest that the Hub announced",
        "nothing of it was kept; a proxy or mirror may spoil it",
    )


def _download(
    remote: Remote, name: str, revision: str, token: str | None, watch: Watch | None
) -> Path:
    from huggingface_hub import hf_hub_download

    from pixelgen.checkpoints.hub.client import ask

    spoilt = False

    def call() -> Path:
        nonlocal spoilt
        try:
            return Path(
                hf_hub_download(
                    remote.errand.repo,
                    name,
                    revision=revision,
                    token=token,
                    # Else the library, before version 1.0, adds to what is too long already.
                    force_download=spoilt,
                    library_name="pixelgen",
                    library_version=__version__,
                )
            )
        except OSError as error:
            spoilt = is_inconsistent(error)
            raise

    return ask(call, remote.errand, _teller(remote.errand, watch))


def _lead_to(made: Plan, token: str | None, watch: Watch | None) -> bool:
    """Let the branch or tag in the cache lead to the snapshot; False where it has moved on."""
    revision = made.remote.errand.revision or "main"
    if cache.is_commit(revision):
        return True
    # What the cache has already is not fetched again, only the way to it is noted.
    path = _download(made.remote, CONFIG_FILE, revision, token, watch)
    return path.parent.name == made.remote.commit


def _check_space(made: Plan) -> None:
    """Raises PixelgenError where the disk cannot take what is to be fetched."""
    folder = made.folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < made.to_fetch:
        needed, left = megabytes(made.to_fetch), megabytes(free)
        raise made.remote.errand.error(
            f"{needed} are to be fetched, {left} are free in {cache.cache_root()}",
            "free some, or HF_HOME=FOLDER puts the cache elsewhere",
        )


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.1f} MB"


@contextmanager
def _watching(made: Plan, watch: Watch | None) -> Iterator[None]:
    """Tell `watch` how far the pull is. The sizes on disk show it, whatever brings the bytes."""
    if watch is None:
        yield
        return
    name, total = made.remote.errand.name, made.to_fetch
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            watch(Transfer(name, min(_arrived(made), total), total))

    watch(Transfer(name, 0, total))
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    watch(Transfer(name, total, total))


def _arrived(made: Plan) -> int:
    """Bytes on disk of the files that were missing."""
    blobs = cache.repo_folder(made.remote.errand.repo) / "blobs"
    arrived = 0
    for file in made.missing:
        if (made.folder / file.name).is_file():
            arrived += file.size or 0
        elif file.digest:
            # A pull that was killed may have left a part; the latest is ours.
            parts = [_stat(path) for path in blobs.glob(f"{file.digest}*")]
            arrived += max(parts, default=(0.0, 0))[1]
    return arrived


def _stat(path: Path) -> tuple[float, int]:
    try:
        found = path.stat()
        return found.st_mtime, found.st_size
    except OSError:
        return 0.0, 0
