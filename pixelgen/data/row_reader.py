"""Decoding the pictures in the rows of a data set."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from pixelgen.errors import InputError, PixelgenError
from pixelgen.files import MAX_PIXELS, expanded, open_file, read_up_to
from pixelgen.imaging.read import decode_image

_IN_ZIP = "zip://"
"""`zip://NAME::ARCHIVE` is how `datasets` calls a file in an archive."""
_LARGEST_IN_ZIP = 2**28
_max_pixels: ContextVar[int] = ContextVar("max_pixels", default=MAX_PIXELS)


@contextmanager
def pictures_up_to(pixels: int) -> Iterator[None]:
    """A context in which pictures of data sets may have up to `pixels` pixels, rather than
    `MAX_PIXELS`."""
    before = _max_pixels.set(pixels)
    try:
        yield
    finally:
        _max_pixels.reset(before)


class RowReader:
    """Decodes rows {"bytes", "path"}, where a path is read if there are no bytes."""

    def __init__(self, ref: str | Path) -> None:
        """`ref` is the data set, as for `load_images`."""
        self.max_pixels = _max_pixels.get()
        self.remarks: list[str] = []
        """What is odd about pictures that were read, with their rows."""
        self.error: PixelgenError | None = None
        """Why the last row that is unreadable is so."""
        self._folders = _folders_of(ref)
        self._where = ""
        self._archive: zipfile.ZipFile | None = None

    def read(self, row: dict[str, Any] | None, where: str) -> np.ndarray:
        """uint8 [H, W, 3]. Messages call the row `where`. Raises PixelgenError if it is unreadable,
        and where its path leads out of the data set."""
        self._where = where
        try:
            return self.decode(row)
        except InputError as error:
            self.error = PixelgenError(
                f"{where} is not a readable picture: {error.message}", error.hint, code=error.code
            )
            raise self.error from error

    def decode(self, row: dict[str, Any] | None) -> np.ndarray:
        """What `read` returns. Raises InputError, whose message does not name the row."""
        try:
            with self._open(row) as file:
                return np.asarray(decode_image(file, self.max_pixels, self._note))
        except InputError as error:
            if error.code:  # the hint names a parameter of `read_image`
                raise InputError(error.message, code=error.code) from error
            raise
        except (OSError, ValueError) as error:  # the last for names with a zero byte
            strerror = error.strerror if isinstance(error, OSError) else None
            raise InputError(strerror or str(error).strip()) from error

    def _note(self, remark: str) -> None:
        self.remarks.append(f"{self._where}: {remark}")

    def _open(self, row: dict[str, Any] | None) -> BinaryIO:
        if row is not None and row["bytes"]:
            return io.BytesIO(row["bytes"])
        if row is None or not row["path"]:
            raise InputError("it is empty")
        path = str(row["path"])
        if path.startswith(_IN_ZIP):
            name, _, archive = path.removeprefix(_IN_ZIP).partition("::")
            return self._open_in_archive(self._inside(archive), name)
        return open_file(self._inside(path))

    def _inside(self, path: str) -> str:
        """The full form of a path. Raises InputError where it leads out of the data set: a file of
        rows from elsewhere could name any picture of this computer."""
        full = os.path.abspath(path)
        if not any(Path(full).is_relative_to(folder) for folder in self._folders):
            raise InputError("it refers to a file outside of the data set")
        return full

    def _open_in_archive(self, archive: str, name: str) -> BinaryIO:
        """A file in a ZIP archive. Raises InputError where there is none that can be read."""
        try:
            if self._archive is None or self._archive.filename != archive:
                open_file(archive).close()
                self._archive = zipfile.ZipFile(archive)
            with self._archive.open(name) as file:
                return io.BytesIO(read_up_to(cast(BinaryIO, file), _LARGEST_IN_ZIP))
        except OSError:
            raise
        except Exception as error:  # `zipfile` and its decompressors raise many kinds
            reason = "its end is missing" if isinstance(error, EOFError) else error
            raise InputError(f"it cannot be read from {Path(archive).name}: {reason}") from error


def _folders_of(ref: str | Path) -> Sequence[Path]:
    """Where the pictures of a data set may lie that are files of their own."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    extracted = Path(datasets.config.EXTRACTED_DATASETS_PATH).absolute()  # archives
    path = expanded(ref)
    if os.path.lexists(path):
        resolved, absolute = path.resolve(), path.absolute()
        if path.is_file():  # it lists pictures that lie beside it or below
            resolved, absolute = resolved.parent, absolute.parent
        return resolved, absolute, extracted
    return (Path(HF_HUB_CACHE).absolute() / f"datasets--{str(ref).replace('/', '--')}", extracted)
