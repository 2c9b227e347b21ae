"""Replacing the files of a weights folder together, so that a kill at any time leaves either all
old or all new ones.

A new version is written to a hidden folder inside, which is then renamed to `.new`. From then on it
is the one that is read (see `current_folder`). Its files replace the old ones one by one;
if this is interrupted, the next process that writes to the folder completes it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pixelgen.checkpoints.config import CONFIG_FILE, LARGEST_CONFIG
from pixelgen.checkpoints.layout import present_tensor_files
from pixelgen.errors import PixelgenError
from pixelgen.files import read_file, umask

_NEW = ".new"
_STAGED, _DONE = ".new-", ".old-"


def current_folder(folder: Path) -> Path:
    """Where the files of the weights in `folder` are: there, or in a new version inside, of which a
    killed process has not moved all files to their places."""
    new = folder / _NEW
    return new if (new / CONFIG_FILE).is_file() else folder


def installed_version(folder: Path) -> tuple[Path, bytes]:
    """What tells the weights that were read from `folder`, a `current_folder`, from those that
    replace them meanwhile: where the files are now, and their configuration."""
    place = current_folder(folder.parent if folder.name == _NEW else folder)
    try:
        return place, read_file(place / CONFIG_FILE, LARGEST_CONFIG)
    except OSError:
        return place, b""


def is_left_over(path: Path) -> bool:
    """Whether `path`, inside a weights folder, was left by a process that was killed before its new
    version was complete, or after all files were moved."""
    return path.name.startswith((_STAGED, _DONE))


@contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """A context with a folder that a new version of the weights in `folder` is written to. At its
    end the new files replace the old ones, unless an exception ends it.

    Tensor files that the new version lacks are deleted, other files stay. Other processes of this
    machine wait meanwhile. Raises PixelgenError where `folder` cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelgenError(f"cannot create the folder {folder}: {error.strerror}") from error
    try:
        with _locked(folder):
            _put_in_place(folder)
            staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=folder))
            try:
                yield staged
                staged.chmod(0o777 & ~umask())
                staged.replace(folder / _NEW)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            _put_in_place(folder)
    except OSError as error:
        why = error.strerror or error
        raise PixelgenError(f"cannot write into {folder}: {why}") from error


def _put_in_place(folder: Path) -> None:
    """Replace the files of `folder` by those of its complete new version, if it has one, and delete
    what killed processes left. Raises OSError."""
    new = folder / _NEW
    if new.is_dir():
        spare = Path(tempfile.mkdtemp(prefix=_DONE, dir=folder))
        for file in sorted(new.iterdir()):
            copy = spare / file.name
            try:
                os.link(file, copy)
            except OSError:  # not every file system has hard links
                shutil.copy(file, copy)
            copy.replace(folder / file.name)
        # Tensors of an earlier model would count in the revision, and be pushed.
        for path in present_tensor_files(folder):
            if not (new / path.name).exists():
                path.unlink(missing_ok=True)
        new.replace(spare / _NEW)  # at once: without some of its files it must not be read
    for path in folder.iterdir():
        if is_left_over(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A context that one process of this machine at a time can be in. Systems without locks keep
    nobody out."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
