"""Weights in the Hub's own cache: finding, listing and removing them, without the network."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from pixelgen.checkpoints.config import CONFIG_FILE, read_config
from pixelgen.checkpoints.hub_ref import HubRef, is_commit
from pixelgen.checkpoints.layout import tensor_files
from pixelgen.checkpoints.source import Source
from pixelgen.errors import PixelgenError, UsageError

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class CachedWeights:
    """A snapshot in the cache that is a checkpoint of pixelgen."""

    source: Source
    """The folder, the repository's name and the commit."""
    refs: tuple[str, ...]
    """Branches and tags that pointed to this commit when the Hub was last asked."""
    complete: bool
    """Whether all files are present; a pull that was stopped leaves some out."""


@dataclass(frozen=True)
class Removal:
    """Snapshots that can be removed from the cache; nothing is removed before `execute`."""

    commits: tuple[str, ...]
    """The commits of the snapshots."""
    refs: tuple[str, ...]
    """Branches and tags in the cache that point to these commits, and are removed with them."""
    size: int
    """Bytes that become free."""
    execute: Callable[[], None]
    """Removes them. Raises PixelgenError where that fails."""


def _settings() -> ModuleType:
    """The library's settings, which come from environment variables. Raises UsageError where one of
    these stops the library from being imported."""
    try:
        from huggingface_hub import constants
    except ValueError as error:
        hint = "check the environment variables that begin with HF_"
        raise UsageError(f"settings of the Hub: {error}", hint) from error
    return constants


def cache_root() -> Path:
    """The folder of the cache, which need not exist (HF_HUB_CACHE, else HF_HOME/hub)."""
    return Path(_settings().HF_HUB_CACHE).expanduser()


def repo_folder(repo: str) -> Path:
    """The folder of a repository in the cache, which need not exist."""
    return cache_root() / f"models--{repo.replace('/', '--')}"


def endpoint() -> str:
    """The address of the Hub (HF_ENDPOINT), without a user name and a password."""
    scheme, slashes, rest = str(_settings().ENDPOINT).rpartition("://")
    return scheme + slashes + rest.rpartition("@")[2]


def is_offline() -> bool:
    """Whether the network must not be used (HF_HUB_OFFLINE)."""
    return bool(_settings().HF_HUB_OFFLINE)


def check_online(ref: HubRef) -> None:
    """Raises PixelgenError in offline mode."""
    if is_offline():
        raise ref.error(
            "the Hub cannot be asked in offline mode",
            "unset HF_HUB_OFFLINE",
            code="hub-offline",
            unreachable=True,
        )


def check_token(token: str | None) -> None:
    """Raises UsageError if `token`, or what would be used without one, cannot be a token. The
    message does not repeat it."""
    from huggingface_hub import get_token

    origin = "the token"
    if token is None:
        origin, token = "the token of HF_TOKEN or `hf auth login`", get_token()
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError(f"{origin} is empty or holds a character that no token has")


def snapshot_folder(ref: HubRef) -> Path | None:
    """The folder in the cache that `ref` points to, complete or not; None if there is none."""
    folder = repo_folder(ref.repo)
    commit = ref.revision or "main"
    try:
        if not is_commit(commit):
            commit = (folder / "refs" / commit).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    path = folder / "snapshots" / commit
    return path if is_commit(commit) and os.path.isdir(path) else None


def is_complete(folder: Path) -> bool:
    """Whether a snapshot has a valid configuration and all tensor files that this needs."""
    try:
        config = read_config(folder, folder.name)
    except PixelgenError:
        return False
    return all((folder / name).is_file() for name in tensor_files(config))


def find_cached(ref: HubRef) -> Source | None:
    """Complete weights in the cache, or None."""
    folder = snapshot_folder(ref)
    return Source(folder, ref.repo, folder.name) if folder and is_complete(folder) else None


def require_cached(ref: HubRef) -> Source:
    """Complete weights in the cache. Raises WeightsError that says what is missing."""
    folder = snapshot_folder(ref)
    if folder is None or not (folder / CONFIG_FILE).is_file():
        raise not_cached_error(ref)
    config = read_config(folder, ref.name)
    for name in tensor_files(config):
        if not (folder / name).is_file():
            raise not_cached_error(ref, f"only partly in the cache, {name} is missing")
    return Source(folder, ref.repo, folder.name)


def not_cached_error(ref: HubRef, message: str = "not in the cache") -> PixelgenError:
    """The WeightsError for weights that are not, or not all, in the cache."""
    return ref.error(message, "load them once while online", code="weights-not-cached")


def cached_weights() -> list[CachedWeights]:
    """All checkpoints of pixelgen in the cache, by name, without those of which only the
    configuration was read: there is nothing in them yet."""
    entries: list[CachedWeights] = []
    if not os.path.isdir(cache_root()):  # or its permissions hide it
        return entries
    for path in sorted(cache_root().glob(f"models--*--*/snapshots/*/{CONFIG_FILE}")):
        folder, home = path.parent, path.parents[2]
        repo = home.name.removeprefix("models--").replace("--", "/")
        try:
            read_config(folder, repo)
        except PixelgenError:
            continue  # of another library, like most of the cache
        if [file.name for file in folder.iterdir()] == [CONFIG_FILE]:
            continue
        source = Source(folder, repo, folder.name)
        entries.append(CachedWeights(source, _refs(home, folder.name), is_complete(folder)))
    return entries


def _refs(home: Path, commit: str) -> tuple[str, ...]:
    root = home / "refs"
    names = []
    for path in sorted(root.rglob("*")):
        try:
            if path.is_file() and path.read_text("utf-8").strip() == commit:
                names.append(path.relative_to(root).as_posix())
        except (OSError, UnicodeDecodeError):
            continue
    return tuple(names)


def delete_file(path: Path) -> None:
    """Delete a file of a snapshot and the blob that it links to, so that it is fetched again. What
    a link to another place leads to stays."""
    if path.is_symlink():
        blob = Path(os.path.abspath(path.parent / path.readlink()))
        if blob.parent == Path(os.path.abspath(path.parents[2] / "blobs")):
            blob.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def plan_removal(ref: HubRef) -> Removal:
    """What to remove from the cache for a repository, or for one revision of it if `ref` has one.

    Raises UsageError if the cache does not have it, PixelgenError if it cannot be read or is a
    link.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    folder = repo_folder(ref.repo)
    target = snapshot_folder(ref) if ref.revision else None
    if not folder.is_dir() or (ref.revision and target is None):
        raise UsageError(
            f"{ref.name} is not in the cache", "see cached_weights()", code="weights-not-listed"
        )
    if folder.is_symlink():
        raise PixelgenError(f"{folder} is a link", "remove it, and what it leads to, by hand")
    try:
        info = scan_cache_dir(cache_root())
    except (CacheNotFound, ValueError, OSError) as error:
        raise PixelgenError(f"cannot read the cache {folder.parent}: {error}") from error
    known = next((r for r in info.repos if Path(r.repo_path).resolve() == folder.resolve()), None)
    if known is None:
        if target is not None:
            raise PixelgenError(
                f"{folder} is damaged, no single revision can be removed",
                f"remove all of {ref.repo}, without a revision",
            )
        # The library does not touch what it cannot read; the whole folder can be removed.
        size = sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir())
        return Removal((), (), size, lambda: _remove_all(folder))
    commits = sorted(r.commit_hash for r in known.revisions)
    if target is not None:
        commits = [commit for commit in commits if commit == target.name]
    refs = tuple(name for commit in commits for name in _refs(folder, commit))
    # Of this repository alone: another one, or a data set, may have a snapshot of the same name.
    strategy = replace(info, repos=frozenset({known})).delete_revisions(*commits)
    # A link in a snapshot may lead out of the repository; the library would delete its target.
    blobs = {folder / "blobs", Path(known.repo_path) / "blobs", (folder / "blobs").resolve()}
    own = frozenset(blob for blob in strategy.blobs if Path(blob).parent in blobs)
    strategy = replace(strategy, blobs=own)

    def execute() -> None:
        # The library only logs what it cannot remove, with a traceback.
        logger = logging.getLogger("huggingface_hub")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            strategy.execute()
        except OSError as error:
            raise PixelgenError(f"cannot remove {ref.name}: {error.strerror or error}") from error
        finally:
            logger.setLevel(level)
        left = [r.snapshot_path for r in known.revisions if r.commit_hash in commits]
        if any(Path(path).exists() for path in left):
            raise PixelgenError(f"cannot remove {ref.name}", f"check the permissions of {folder}")

    return Removal(tuple(commits), refs, strategy.expected_freed_size, execute)


def _remove_all(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise PixelgenError(f"cannot remove {folder}: {error.strerror or error}") from error
