"""Weights in the Hub's own cache: found, listed and removed, without asking the Hub."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pixelgen.checkpoints.config import CONFIG_FILE, read_config
from pixelgen.checkpoints.hub.errors import HubRef
from pixelgen.checkpoints.source import Source, tensor_files
from pixelgen.errors import PixelgenError, UsageError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class CachedWeights:
    """A snapshot in the cache whose configuration is one of ours."""

    source: Source
    """The folder, the repository's name and the commit."""
    refs: tuple[str, ...]
    """Branches and tags that led to this commit when the Hub was last asked."""
    complete: bool
    """Whether all files are there; not so where a pull was stopped."""


@dataclass(frozen=True)
class Removal:
    """What would be removed from the cache."""

    commits: tuple[str, ...]
    """The commits of the snapshots."""
    size: int
    """Bytes that become free."""
    carry_out: Callable[[], None]
    """Removes it."""


def _settings() -> ModuleType:
    """What the variables of the Hub say. Raises PixelgenError (exit code 2) where one of them stops
    the library from being imported."""
    try:
        from huggingface_hub import constants
    except ValueError as error:
        hint = "look at the variables that begin with HF_"
        raise UsageError(f"settings of the Hub: {error}", hint) from error
    return constants


def cache_root() -> Path:
    """The folder of the cache, which need not exist (HF_HUB_CACHE, else HF_HOME/hub)."""
    return Path(_settings().HF_HUB_CACHE).expanduser()


def repo_folder(repo: str) -> Path:
    """The folder of a repository in the cache, which need not exist."""
    return cache_root() / f"models--{repo.replace('/', '--')}"


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a whole commit, which always means the same files."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE (or `--offline`) keeps from the network."""
    return bool(_settings().HF_HUB_OFFLINE)


def check_token(token: str | None) -> None:
    """Raises PixelgenError (exit code 2) for what cannot be a token, without repeating it: `token`,
    or what would be used without one."""
    from huggingface_hub import get_token

    whose = "--token"
    if token is None:
        whose, token = "the token of HF_TOKEN or `hf auth login`", get_token()
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError(f"{whose} is empty or holds a character that no token has")


def snapshot(repo: str, revision: str | None = None) -> Path | None:
    """The folder in the cache that `revision` leads to, complete or not; None if there is none."""
    folder = repo_folder(repo)
    commit = revision or "main"
    try:
        if not is_commit(commit):
            commit = (folder / "refs" / commit).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    path = folder / "snapshots" / commit
    return path if is_commit(commit) and os.path.isdir(path) else None


def is_complete(folder: Path) -> bool:
    """Whether a snapshot has a configuration that is understood, and the tensors it needs."""
    try:
        config = read_config(folder, folder.name)
    except PixelgenError:
        return False
    return all((folder / name).is_file() for name in tensor_files(config))


def cached(repo: str, revision: str | None = None) -> Source | None:
    """Complete weights in the cache, or None."""
    folder = snapshot(repo, revision)
    return Source(folder, repo, folder.name) if folder and is_complete(folder) else None


def need_cached(errand: HubRef) -> Source:
    """Complete weights in the cache. Raises PixelgenError that says what they lack."""
    folder = snapshot(errand.repo, errand.revision)
    pull = f"`pixelgen weights pull {errand.name}` with network"
    if folder is None or not (folder / CONFIG_FILE).is_file():
        raise errand.error("not in the cache", pull)
    config = read_config(folder, errand.name)
    for name in tensor_files(config):
        if not (folder / name).is_file():
            raise errand.error(f"only partly in the cache, {name} is missing", pull)
    return Source(folder, errand.repo, folder.name)


def cached_weights() -> list[CachedWeights]:
    """All weights of ours in the cache, by name."""
    found: list[CachedWeights] = []
    if not os.path.isdir(cache_root()):  # or nobody may look there
        return found
    for path in sorted(cache_root().glob(f"models--*--*/snapshots/*/{CONFIG_FILE}")):
        folder, home = path.parent, path.parents[2]
        repo = home.name.removeprefix("models--").replace("--", "/")
        try:
            read_config(folder, repo)
        except PixelgenError:
            continue  # of another library, as most of the cache is
        source = Source(folder, repo, folder.name)
        found.append(CachedWeights(source, _refs(home, folder.name), is_complete(folder)))
    return found


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


def drop(path: Path) -> None:
    """Remove a file of a snapshot and what it links to, so that a pull brings it anew."""
    if path.is_symlink():
        (path.parent / path.readlink()).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def removal(repo: str, revision: str | None = None) -> Removal:
    """What goes if `repo`, or one revision of it, is removed from the cache.

    Raises PixelgenError: exit code 2 where the cache does not have it.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    folder = repo_folder(repo)
    name = HubRef(repo, revision).name
    target = snapshot(repo, revision) if revision else None
    if not folder.is_dir() or (revision and target is None):
        raise UsageError(f"{name} is not in the cache", "`pixelgen weights` lists it")
    try:
        info = scan_cache_dir(cache_root())
    except (CacheNotFound, ValueError, OSError) as error:
        raise PixelgenError(f"cannot read the cache {folder.parent}: {error}") from error
    known = next((r for r in info.repos if Path(r.repo_path).resolve() == folder.resolve()), None)
    if known is None:
        if target is not None:
            raise PixelgenError(
                f"{folder} is damaged, no single revision can be removed",
                f"`pixelgen weights remove {repo}` removes all",
            )
        # The library does not touch what it cannot read; all of it can go nevertheless.
        size = sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir())
        return Removal((), size, lambda: _remove_all(folder))
    commits = [r.commit_hash for r in known.revisions]
    if target is not None:
        commits = [commit for commit in commits if commit == target.name]
    strategy = info.delete_revisions(*commits)

    def carry_out() -> None:
        # What the library may not remove it only logs, with a traceback.
        logger = logging.getLogger("huggingface_hub")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            strategy.execute()
        except OSError as error:
            raise PixelgenError(f"cannot remove {name}: {error.strerror or error}") from error
        finally:
            logger.setLevel(level)
        left = [r.snapshot_path for r in known.revisions if r.commit_hash in commits]
        if any(Path(path).exists() for path in left):
            raise PixelgenError(f"cannot remove {name}", f"may you write to {folder}?")

    return Removal(tuple(sorted(commits)), strategy.expected_freed_size, carry_out)


def _remove_all(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise PixelgenError(f"cannot remove {folder}: {error.strerror or error}") from error
