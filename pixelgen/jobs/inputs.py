"""What a job reads: whether its files are still those that it was done with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.checkpoints.hub_ref import parse_hub_ref
from pixelgen.checkpoints.layout import present_tensor_files
from pixelgen.checkpoints.source import bundled
from pixelgen.errors import PixelgenError
from pixelgen.files import expanded, open_file
from pixelgen.jobs.photos import list_photos

INPUTS = ("photos", "images", "image", "mask", "codes")
"""The fields of jobs that name files or folders to read, beside `weights`."""
# Of files that are larger than two of these only both ends are read.
_LONGEST_END = 2**25


class InputKeys:
    """Keys of what jobs read: of the files that they name, of all pictures in folders, and of
    weights if they are a folder. A bundled name and a Hub id stand for what they say.

    While a file stays as it is, its content is read once.
    """

    def __init__(self) -> None:
        self._contents: dict[tuple[Path, str], str] = {}
        self._bundled = bundled().keys()

    def of(self, values: Mapping[str, object]) -> dict[str, str]:
        """Two keys for the fields `values` of a job. "content" is a digest of the names and the
        content of all files, "stat" of what the file system says of them: while that is the same,
        so is the content. It is empty on Windows, which does not say when a file was written."""
        stats = self._stats(values)
        contents = {name: self._content(name, stat) for name, stat in stats.items()}
        return {"content": _digest(contents), "stat": _digest(stats) if os.name == "posix" else ""}

    def unchanged(self, values: Mapping[str, object], before: Mapping[str, str] | None) -> bool:
        """Whether all files have the keys that they had `before`. True as well where none were
        noted, and where what the job names is gone: nothing else could be made of it."""
        if before is None or self._gone(values):
            return True
        if before.get("stat") and before["stat"] == _digest(self._stats(values)):
            return True
        return before.get("content") == self.of(values)["content"]

    def _gone(self, values: Mapping[str, object]) -> bool:
        """Whether a file or folder that a job names does not exist."""
        names = [name for field in INPUTS for name in _texts(values.get(field))]
        for ref in _texts(values.get("weights")):
            if ref not in self._bundled and parse_hub_ref(ref) is None:
                names.append(ref)
        return not all(os.path.exists(expanded(name)) for name in names)

    def _stats(self, values: Mapping[str, object]) -> dict[str, str]:
        """By name of a file that is read, what the file system says of it."""
        files: list[str] = []
        for field in INPUTS:
            for name in _texts(values.get(field)):
                try:
                    files += list_photos([name])
                except PixelgenError:  # an empty folder
                    files.append(name)
        for ref in _texts(values.get("weights")):
            folder = expanded(ref)
            if ref not in self._bundled and os.path.isdir(folder):  # no error for any name
                files += map(str, [folder / CONFIG_FILE, *present_tensor_files(folder)])
        return {file: _stat(expanded(file)) for file in files}

    def _content(self, name: str, stat: str) -> str:
        """A digest of a file; empty for what is none, such as a pipe."""
        path = expanded(name).absolute()
        if (path, stat) not in self._contents:
            try:
                self._contents[path, stat] = _content(path)
            except OSError:
                self._contents[path, stat] = ""
        return self._contents[path, stat]


def _texts(value: object) -> list[str]:
    """The texts in a field, which may hold one or several, or none."""
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def _stat(path: Path) -> str:
    """Size, times and inode of a file; empty for none. The time of the last change of the inode
    cannot be set: it tells files apart that were replaced together with their old time."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size},{found.st_mtime_ns},{found.st_ctime_ns},{found.st_ino}"


def _content(path: Path) -> str:
    with open_file(path) as file:
        digest = hashlib.sha256(file.read(_LONGEST_END))
        size = os.fstat(file.fileno()).st_size
        if size > 2 * _LONGEST_END:
            digest.update(str(size).encode())
            file.seek(-_LONGEST_END, os.SEEK_END)
        digest.update(file.read(_LONGEST_END))
    return digest.hexdigest()


def _digest(keys: Mapping[str, str]) -> str:
    """A short digest of names and their keys."""
    text = "".join(f"{name}\0{key}\n" for name, key in keys.items())
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
