"""Parts of files that killed pulls have left in the Hub's cache.

Early versions of the Hub's library continue parts called `DIGEST.incomplete`; later ones give every
part a name of its own, `DIGEST.LETTERS.incomplete`, and continue none. So `complete` does.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from pixelgen._version import __version__
from pixelgen.checkpoints.digests import matches
from pixelgen.checkpoints.hub import cache
from pixelgen.checkpoints.hub.bounds import TooLong
from pixelgen.checkpoints.hub.errors import http_status, is_wrong_length
from pixelgen.files import umask

_REFUSALS = (400, 401, 403, 404, 416)
"""Answers to a request for the rest of a file after which the library asks for all of it."""


def delete_incomplete(repo: str, wanted: Collection[str]) -> int:
    """Delete the parts of files of `repo` that no process is fetching, but for the largest part of
    each file with one of the `wanted` digests, which a pull continues; their bytes."""
    size = 0
    for digest, parts in _parts(repo).items():
        with _locked(repo, digest) as is_ours:
            for part in parts[1:] if digest in wanted else parts:
                if is_ours:
                    size += _deleted(part)
    return size


def bytes_there(repo: str, digest: str) -> int:
    """Bytes of the largest part of a file."""
    parts = _parts(repo).get(digest)
    return _size(parts[0]) if parts else 0


def complete(repo: str, name: str, digest: str, revision: str, token: str | None) -> None:
    """Fetch what the part of a file lacks that a killed pull has left, and put the file where the
    library finds it. Does nothing where there is no part, or another process is fetching the file.

    A part that does not become the file is deleted. Raises what the library raises.
    """
    with _locked(repo, digest) as is_ours:
        parts = _parts(repo).get(digest) if is_ours else None
        if not parts:
            return
        part, blob = parts[0], _blobs(repo) / digest
        try:
            if not blob.exists():
                _append_rest(part, repo, name, digest, revision, token)
        except Exception as error:
            if http_status(error) in _REFUSALS:
                _deleted(part)
                return
            if isinstance(error, TooLong) or is_wrong_length(error):
                _deleted(part)
            raise
        if blob.exists() or not matches(part, digest):
            _deleted(part)
            return
        os.chmod(part, 0o666 & ~umask())
        part.replace(blob)


def _append_rest(
    part: Path, repo: str, name: str, digest: str, revision: str, token: str | None
) -> None:
    """Fetch the bytes from the end of `part` to the end of the file."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(repo, name, revision=revision)
    headers = build_hf_headers(token=token, library_name="pixelgen", library_version=__version__)
    found = get_hf_file_metadata(url, token=token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    start = _size(part)
    if found.etag != digest or found.size is None or start >= found.size:
        return
    if urlsplit(found.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # as the library does it
    with part.open("r+b") as file:
        file.seek(start)
        http_get(found.location, file, resume_size=start, headers=headers, expected_size=found.size)


def _blobs(repo: str) -> Path:
    return cache.repo_folder(repo) / "blobs"


def _parts(repo: str) -> dict[str, list[Path]]:
    """The parts of files by the digests of these, the largest first."""
    parts: dict[str, list[Path]] = {}
    for path in sorted(_blobs(repo).glob("*.incomplete"), key=_size, reverse=True):
        if path.is_symlink() or not path.is_file():
            continue  # not the library's; it could lead to any other file
        parts.setdefault(path.name.split(".")[0], []).append(path)
    return parts


@contextmanager
def _locked(repo: str, digest: str) -> Iterator[bool]:
    """A context that keeps other processes from fetching a file; whether it does: the library holds
    the lock while it fetches."""
    from filelock import BaseFileLock, FileLock, Timeout

    path = cache.cache_root() / ".locks" / cache.repo_folder(repo).name / f"{digest}.lock"
    lock: BaseFileLock = FileLock(path, timeout=0, mode=0o664)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError, Timeout):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _deleted(path: Path) -> int:
    """Delete a file; its bytes."""
    size = _size(path)
    with suppress(OSError):
        path.unlink()
        return size
    return 0
