"""Grids of codes on disk, as safetensors: one tensor `codes`, and where it comes from."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelgen.errors import InputError, UsageError, harmless, without_credentials
from pixelgen.files import expanded, open_file, path_below, public_path, write_atomically
from pixelgen.imaging import MAX_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

_LARGEST_HEADER = 2**26
_LARGEST_COUNT = 2**27
_WHOLE = ("U8", "I16", "I32", "I64")


@dataclass(frozen=True)
class CodesFile:
    """The content of a file of codes."""

    codes: Tensor
    """Whole numbers [N, C, h, w]."""
    levels: int | None = None
    """Values that a code can take; None: the file does not say."""
    weights: str = ""
    """The weights that encoded them, as `pixelgen.load` takes them; empty: the file does not say,
    as for a folder that does not lie below the current one when the file is written."""
    revision: str = ""
    """The exact revision of these weights; empty: the file does not say."""
    files: tuple[str, ...] = ()
    """Names of the pictures' files, without their folders."""

    def save(self, path: str | Path, *, replace: bool = False) -> None:
        """Write the file; equal content gives equal bytes.

        Raises UsageError for a file that exists already, unless `replace`.
        """
        try:
            write_atomically(expanded(path), self.to_bytes(), replace=replace)
        except FileExistsError:
            raise UsageError(
                f"{path} exists", "replace=True replaces it", code="file-exists"
            ) from None

    @property
    def stored_weights(self) -> str:
        """The `weights` that a file names; empty where it names none: a name alone could mean other
        weights than those of a folder that does not lie below the current one."""
        weights = without_credentials(path_below(self.weights) or "")
        return weights if weights == harmless(weights) else ""

    def to_bytes(self) -> bytes:
        """The content of the file."""
        import torch

        small = self.levels is not None and self.levels <= 256
        data = self.codes.to(torch.uint8 if small else torch.int64).cpu().contiguous().numpy()
        # `safetensors` itself writes metadata in an order that differs from one time to the next.
        header = {
            "__metadata__": {
                "weights": self.stored_weights,
                "revision": self.revision,
                "levels": "" if self.levels is None else str(self.levels),
                "files": json.dumps([public_path(file) for file in self.files]),
            },
            "codes": {
                "dtype": "U8" if small else "I64",
                "shape": list(self.codes.shape),
                "data_offsets": [0, data.nbytes],
            },
        }
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        little = data.astype(data.dtype.newbyteorder("<"))
        return struct.pack("<Q", len(text)) + text + little.tobytes()

    @classmethod
    def load(cls, path: Path, *, name: str = "") -> CodesFile:
        """Read the file at `path`, which is not trusted: nothing is unpickled. Messages call it
        `name`.

        Raises InputError, in one line, for anything that is not a file of codes.
        """
        from safetensors import SafetensorError, safe_open

        try:
            _check_header(path)
            with safe_open(path, framework="pt") as file:
                if "codes" not in [*file.keys()]:
                    raise ValueError("it holds no tensor called codes")
                header = file.get_slice("codes")
                _check_tensor(header.get_dtype(), header.get_shape())
                metadata = file.metadata() or {}
                return cls(file.get_tensor("codes"), **_fields(metadata, header.get_shape()[0]))
        except SafetensorError as error:
            why = f"not a readable safetensors file ({error})"
        except OSError as error:
            why = error.strerror or str(error)
        except ValueError as error:
            why = str(error)
        raise InputError(f"cannot read {name or path}: {harmless(why[:200])}")


def check_amount(count: int, shape: Sequence[int], scale: int = 1) -> None:
    """Raises UsageError where `count` pictures of `shape`, rows and columns last, are more than are
    drawn at once, enlarged `scale` times."""
    height, width = (side * scale for side in shape[-2:])
    if count * height * width > MAX_PIXELS:
        raise UsageError(
            f"{count} pictures of {width}×{height} pixels are too many at once",
            f"at most {MAX_PIXELS // 10**6} million pixels",
        )


def _check_header(path: Path) -> None:
    """Raises ValueError for a header that would take long to read, or a pipe that would never end,
    OSError for a file that cannot be opened."""
    with open_file(path) as file:
        start = file.read(8)
    if len(start) == 8 and struct.unpack("<Q", start)[0] > _LARGEST_HEADER:
        raise ValueError("not a safetensors file, or one with far too large a header")


def _check_tensor(kind: str, shape: list[int]) -> None:
    if kind not in _WHOLE:
        raise ValueError(f"its codes are of type {kind}, not whole numbers")
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f"its codes have shape {shape}, not [pictures, channels, rows, columns]")
    count = 1
    for length in shape:
        count *= length
    if count > _LARGEST_COUNT:
        raise ValueError(f"it holds {count} codes, more than are read at once")


def _fields(metadata: dict[str, str], pictures: int) -> dict[str, Any]:
    """What the metadata says, as fields of `CodesFile`; ValueError if that is nonsense."""
    for name in ("weights", "revision"):
        if (text := metadata.get(name, "")) != harmless(text):
            raise ValueError(f"its metadata {name} is not plain text")
    levels = metadata.get("levels", "")
    if levels and not (levels.isascii() and levels.isdigit() and len(levels) < 10):
        raise ValueError(f"its metadata levels is {levels[:20]!r}, not a number")
    try:
        files = json.loads(metadata.get("files", "[]"))
    except (ValueError, RecursionError):
        files = None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise ValueError("its metadata files is not a list of names")
    if files and len(files) != pictures:
        raise ValueError(f"it names {len(files)} files of {pictures} pictures")
    return {
        "levels": int(levels) if levels else None,
        "weights": metadata.get("weights", ""),
        "revision": metadata.get("revision", ""),
        "files": tuple(files),
    }
