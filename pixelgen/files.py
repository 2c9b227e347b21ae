"""Atomic writes, and opening untrusted files."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import itertools
import logging
import os
import select
import shutil
import stat
import tempfile
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, Literal

from pixelgen.errors import PixelgenError

IfExists = Literal["number", "replace", "fail"]
"""What happens to an existing file: the new one gets a number (a-2.png, a-3.png, …), replaces it,
or is not written and FileExistsError is raised."""

MAX_PIXELS = 100_000_000
"""The largest picture that is decoded, unless a caller sets another limit."""

_log = logging.getLogger(__name__)
_PIPE_TIMEOUT = 5.0
_BLOCK = 2**16
_TEMPORARY = ".pixelgen-part"
_STALE = 3600.0
# Temporary names repeat only the start of the target's name, so that they are never too long.
_NAME_PREFIX = 40
# Bytes: with a number and a suffix, a name must not be longer than 255.
_NUMBERED_STEM = 230


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with `~` replaced by the home folder, if it exists."""
    return Path(os.path.expanduser(path))


def shipped_folder(name: str) -> Path:
    """A folder of data that comes with the package: inside of it, or in a source tree beside it."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def folded(path: str | os.PathLike[str]) -> str:
    """A key that is equal for names that some file systems cannot tell apart (by case, accents)."""
    return unicodedata.normalize("NFC", str(path)).casefold().rstrip("/")


def home_prefix() -> str:
    """The home folder with a separator at its end; empty where there is none, or it is the root."""
    home = os.path.expanduser("~")
    return home + os.sep if os.path.isabs(home) and Path(home).name else ""


def path_below(path: str | os.PathLike[str]) -> str | None:
    """`path` relative to the current folder, None where it does not lie below it. A relative path
    that stays below is returned as it is. Paths are compared as written: no link is followed."""
    text = os.path.expanduser(os.fspath(path))
    if os.name != "nt" and PureWindowsPath(text).is_absolute():
        return None
    # Not `isabs`: on Windows a path without a drive lies elsewhere too if it starts at the root.
    if not Path(text).anchor and os.pardir not in Path(text).parts:
        return text
    try:
        below = os.path.relpath(text)
    except ValueError:  # on another drive
        return None
    return None if Path(below).parts[:1] == (os.pardir,) else below


def public_path(path: str | os.PathLike[str]) -> str:
    """`path` as a file for others may hold it: relative to the current folder, or only its last
    part where it is that folder or lies elsewhere, and `~` for the home folder itself."""
    if (below := path_below(path)) not in (None, os.curdir):
        return below
    text = os.path.expanduser(os.fspath(path))
    if os.name != "nt" and PureWindowsPath(text).is_absolute():
        return PureWindowsPath(text).name
    text = os.path.abspath(text)
    return "~" if text == os.path.expanduser("~") else Path(text).name or os.sep


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading. Raises OSError, also for pipes and devices, which may never end."""
    return open(path, "rb", opener=_open_file)


def open_input(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file, or a pipe with a writer, for reading. Raises OSError, also for a pipe that gets
    no data within some seconds."""
    return open(path, "rb", opener=_open_input)


def read_file(path: str | os.PathLike[str], largest: int) -> bytes:
    """The content of a file. Raises OSError as `open_file` does, and for more than `largest`
    bytes."""
    with open_file(path) as file:
        return read_up_to(file, largest)


def read_up_to(stream: BinaryIO, largest: int) -> bytes:
    """The rest of `stream`. Raises OSError for more than `largest` bytes."""
    data = stream.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest / 2**20:g} MiB")
    return data


def hex_digest(digest: hashlib._Hash, *paths: Path) -> str:
    """`digest` updated with the content of all files in order, in hexadecimal. Raises OSError as
    `open_file` does."""
    for path in paths:
        with open_file(path) as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def content_key(path: str | os.PathLike[str]) -> str:
    """A digest that changes when another file takes the place of this one, even with its old time:
    of the content, or, above 128 KiB, of size, modification time, inode, and the first and last
    64 KiB. Raises OSError as `open_file` does."""
    with open_file(path) as file:
        found = os.fstat(file.fileno())
        digest = hashlib.sha256(file.read(_BLOCK))
        if found.st_size > 2 * _BLOCK:
            digest.update(f"{found.st_size},{found.st_mtime_ns},{found.st_ino},".encode())
            file.seek(-_BLOCK, os.SEEK_END)
        digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _open_file(path: str, flags: int) -> int:
    handle = _open_nonblocking(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a file", path)
    return handle


def _open_input(path: str, flags: int) -> int:
    handle = _open_nonblocking(path, flags)
    if stat.S_ISFIFO(os.fstat(handle).st_mode):
        try:
            if not select.select([handle], [], [], _PIPE_TIMEOUT)[0] and not os.read(handle, 1):
                raise OSError(errno.EPIPE, "no process writes to this pipe", path)
        except BlockingIOError:
            pass  # there is a writer, which is slow
        except BaseException:
            os.close(handle)
            raise
        os.set_blocking(handle, True)
    return handle


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe. Raises IsADirectoryError for a folder."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.close(handle)
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    return handle


def write_file(path: Path, data: bytes, if_exists: IfExists = "fail") -> Path:
    """Write `data` to `path`, or to a numbered name if `if_exists` says so, and return where it
    went. Raises PixelgenError if it cannot be written."""
    if if_exists != "number":
        write_atomically(path, data, replace=if_exists == "replace")
        return path
    stem = path.stem
    if len(os.fsencode(stem)) > _NUMBERED_STEM:
        stem = os.fsencode(stem)[:_NUMBERED_STEM].decode(errors="ignore")
    for number in itertools.count(1):
        target = path if number == 1 else path.with_stem(f"{stem}-{number}")
        if os.path.lexists(target):
            continue
        try:
            write_atomically(target, data, replace=False)
            return target
        except FileExistsError:
            continue  # another process took the name
    raise AssertionError("unreachable")


def write_atomically(
    path: Path, data: bytes | Callable[[Path], None], *, replace: bool = True
) -> None:
    """Write `path` through a temporary file beside it that is synced and then renamed. Those that
    killed processes have left there are deleted after an hour.

    `data` is the content, or a function that writes it to the path it is called with. Without
    `replace`, an existing file is left alone and FileExistsError raised. Raises PixelgenError if
    the file cannot be written.
    """
    _sweep_once(os.path.abspath(path.parent))
    try:
        prefix = f".{path.name[:_NAME_PREFIX]}."
        handle, name = tempfile.mkstemp(_TEMPORARY, prefix, path.parent)
        os.close(handle)
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror}") from error
    temporary = Path(name)
    try:
        if callable(data):
            data(temporary)
        else:
            temporary.write_bytes(data)
        with temporary.open("r+b") as file:  # Windows syncs only files that are open for writing
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        size = temporary.stat().st_size
        if replace:
            temporary.replace(path)
        else:
            rename_without_replacing(temporary, path)
        _log.info("wrote %s, %d bytes", path, size)
    except FileExistsError:
        raise
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether this is the name of a temporary file of `write_atomically`."""
    return name.startswith(".") and name.endswith(_TEMPORARY)


@functools.lru_cache(maxsize=100)
def _sweep_once(folder: str) -> None:
    """Delete old temporary files in `folder`, unless this process has just done so."""
    sweep(folder, is_temporary)


def sweep(
    folder: str | os.PathLike[str], is_own: Callable[[str], bool], age: float = _STALE
) -> None:
    """Delete what killed processes have left in `folder`: files and folders that are `is_own` by
    their names, and were last changed more than `age` seconds ago."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if not is_own(entry.name):
                    continue
                if time.time() - entry.stat(follow_symlinks=False).st_mtime < age:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)


def rename_without_replacing(source: Path, path: Path) -> None:
    """Rename `source` to `path`; where there are hard links, `source` stays too. Raises
    FileExistsError if `path` exists."""
    try:
        os.link(source, path)
        return
    except FileExistsError:
        raise
    except OSError:
        pass  # not every file system has hard links
    path.touch(exist_ok=False)
    try:
        source.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def umask() -> int:
    """The permissions that new files do not get. Files of `mkstemp` ignore them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
