"""Parts of files that killed pulls have left in the Hub's cache."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from pixelgen.checkpoints.hub import cache


def delete_incomplete(repo: str, wanted: Collection[str]) -> int:
    """Delete the parts of files of `repo` that no process is fetching and no pull of the files with
    the `wanted` digests can continue; their bytes.

    Early versions of the Hub's library continue parts called `DIGEST.incomplete`; later ones give
    every part a name of its own, and continue none.
    """
    from filelock import BaseFileLock, FileLock, Timeout

    folder, size = cache.repo_folder(repo), 0
    for path in sorted((folder / "blobs").glob("*.incomplete")):
        digest, *more = path.name.split(".")
        if len(more) == 1 and digest in wanted:
            continue
        # The library holds this lock while it fetches the file.
        file = cache.cache_root() / ".locks" / folder.name / f"{digest}.lock"
        lock: BaseFileLock = FileLock(file, timeout=0)
        with suppress(OSError, NotImplementedError, Timeout), lock:
            found = path.stat().st_size
            path.unlink()
            size += found
    return size
