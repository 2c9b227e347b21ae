"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pixelgen.errors import PixelgenError

IfExists = Literal["number", "replace", "fail"]
"""What happens where a file is there already: count on (a.png, a-2.png, a-3.png, …), put the new
one in its place, or raise FileExistsError."""

_log = logging.getLogger(__name__)


def write_file(path: Path, data: bytes, if_exists: IfExists = "fail") -> Path:
    """Write `data` to `path`, or to the free name that `if_exists` asks for, and return where it
    went. Raises PixelgenError where the folder does not take it."""
    if if_exists != "number":
        write_atomically(path, data, replace=if_exists == "replace")
        return path
    for number in itertools.count(1):
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if target.exists():
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
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror}") from error
    part = Path(name)
    try:
        if callable(data):
            data(part)
        else:
            part.write_bytes(data)
        os.chmod(part, 0o666 & ~_umask())
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if not replace:
            path.touch(exist_ok=False)  # takes the name for itself, or raises FileExistsError
        size = part.stat().st_size
        part.replace(path)
        _log.info("wrote %s, %d bytes", path, size)
    except FileExistsError:
        raise
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _umask() -> int:
    """The permissions that new files do not get (mkstemp's files are for their owner alone)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
