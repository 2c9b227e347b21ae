"""Atomic writes, and opening untrusted files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import select
import stat
import tempfile
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
# Temporary names repeat only the start of the target's name, so that they are never too long.
_NAME_PREFIX = 40


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with `~` replaced by the home folder, if it exists."""
    return Path(os.path.expanduser(path))


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
    if not os.path.isabs(text) and os.pardir not in Path(text).parts:
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
    for number in itertools.count(1):
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
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
    """Write `path` through a temporary file beside it that is synced and then renamed.

    `data` is the content, or a function that writes it to the path it is called with. Without
    `replace`, an existing file is left alone and FileExistsError raised. Raises PixelgenError if
    the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:_NAME_PREFIX]}.", dir=path.parent)
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
        os.chmod(temporary, 0o666 & ~_umask())
        size = temporary.stat().st_size
        if replace:
            temporary.replace(path)
        else:
            _rename_without_replacing(temporary, path)
        _log.info("wrote %s, %d bytes", path, size)
    except FileExistsError:
        raise
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _rename_without_replacing(source: Path, path: Path) -> None:
    """Rename `source` to `path`. Raises FileExistsError if that exists."""
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


def _umask() -> int:
    """The permissions that new files do not get. Files of `mkstemp` ignore them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
