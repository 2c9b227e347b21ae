"""Writing files so that nobody ever sees half of one, and opening what nobody vouches for."""

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
from pathlib import Path
from typing import BinaryIO, Literal

from pixelgen.errors import PixelgenError

IfExists = Literal["number", "replace", "fail"]
"""What happens where a file is there already: count on (a.png, a-2.png, a-3.png, …), put the new
one in its place, or raise FileExistsError."""

MAX_PIXELS = 100_000_000
"""The largest picture that is decoded, unless a caller says otherwise."""

_log = logging.getLogger(__name__)
_PATIENCE = 5.0
# Of a name, with what is put around it, that is no longer than names can be.
_KEPT = 40


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with a home folder in the place of `~`; of people who have none here it stays."""
    return Path(os.path.expanduser(path))


def folded(path: str | os.PathLike[str]) -> str:
    """What is the same for names that some file systems cannot tell apart."""
    return unicodedata.normalize("NFC", str(path)).casefold().rstrip("/")


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, to be read. Raises OSError, also for pipes and devices, which may never end."""
    return open(path, "rb", opener=_open_file)


def open_input(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, or a pipe that somebody writes to, to be read. Raises OSError, also for a pipe that
    nobody writes to within some seconds."""
    return open(path, "rb", opener=_open_input)


def read_file(path: str | os.PathLike[str], largest: int) -> bytes:
    """The content of a file. Raises OSError as `open_file` does, and for more than `largest`
    bytes."""
    with open_file(path) as file:
        return read_up_to(file, largest)


def read_up_to(stream: BinaryIO, largest: int) -> bytes:
    """What is left in `stream`. Raises OSError for more than `largest` bytes."""
    data = stream.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest / 2**20:g} MiB")
    return data


def hex_digest(digest: hashlib._Hash, *paths: Path) -> str:
    """What becomes of `digest` with the content of files, one after the other, in hexadecimal.
    Raises OSError as `open_file` does."""
    for path in paths:
        with open_file(path) as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _open_file(path: str, flags: int) -> int:
    handle = _at_once(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a file", path)
    return handle


def _open_input(path: str, flags: int) -> int:
    handle = _at_once(path, flags)
    if stat.S_ISFIFO(os.fstat(handle).st_mode):
        try:
            if not select.select([handle], [], [], _PATIENCE)[0] and not os.read(handle, 1):
                raise OSError(errno.EPIPE, "nobody writes to this pipe", path)
        except BlockingIOError:
            pass  # somebody is only slow
        except BaseException:
            os.close(handle)
            raise
        os.set_blocking(handle, True)
    return handle


def _at_once(path: str, flags: int) -> int:
    """Opens what is no folder, without waiting for the other end of a pipe."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.close(handle)
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    return handle


def write_file(path: Path, data: bytes, if_exists: IfExists = "fail") -> Path:
    """Write `data` to `path`, or to the free name that `if_exists` asks for, and return where it
    went. Raises PixelgenError where the folder does not take it."""
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
            continue  # another process was quicker
    raise AssertionError("unreachable")


def write_atomically(
    path: Path, data: bytes | Callable[[Path], None], *, replace: bool = True
) -> None:
    """Write `path` through a file beside it that is synced and then renamed.

    `data` is the content, or a function that writes it to the path given to it. Without `replace`,
    a file that is already there is left alone and FileExistsError raised. Raises PixelgenError
    where the folder does not take it.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:_KEPT]}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror}") from error
    part = Path(name)
    try:
        if callable(data):
            data(part)
        else:
            part.write_bytes(data)
        with part.open("r+b") as file:  # Windows syncs only what may be written to
            os.fsync(file.fileno())
        os.chmod(part, 0o666 & ~_umask())
        size = part.stat().st_size
        if replace:
            part.replace(path)
        else:
            _move_to_free(part, path)
        _log.info("wrote %s, %d bytes", path, size)
    except FileExistsError:
        raise
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _move_to_free(part: Path, path: Path) -> None:
    """Gives `part` the name `path`. Raises FileExistsError where that is taken."""
    try:
        os.link(part, path)
        return
    except FileExistsError:
        raise
    except OSError:
        pass  # not every file system has hard links
    path.touch(exist_ok=False)
    try:
        part.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The permissions that new files do not get (mkstemp's files are for their owner alone)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
