"""How `datasets` finds the files of a folder, and which of them are pictures."""

from __future__ import annotations

import glob
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pixelgen.imaging.formats import picture_endings

_MODULE = "imagefolder"
_HOLD_PICTURES = {_MODULE, "parquet", "arrow", "webdataset", "hdf5", "lance", "vortex"}
"""The library's readers of files that are pictures or hold some."""
_LISTS = {"csv", "json"}
"""Its readers of files that may list pictures."""
_lock = threading.RLock()


@contextmanager
def all_picture_endings() -> Iterator[None]:
    """A context in which `datasets` finds the files of all `picture_endings` in folders, whatever
    characters their paths have, without what belongs to one of them, such as a.png.txt to a.png.
    Its own list of endings lacks some, such as .heic, .avif and .jxl. Pictures in a folder are of a
    split only by a folder with exactly its name: the library also takes "steam train" or "test.jpg"
    for one. One thread at a time: the lists are global."""
    from datasets import data_files, packaged_modules
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    files_module: Any = data_files
    endings = tuple(picture_endings())

    def resolve(pattern: str, base_path: str, *arguments: Any, **options: Any) -> list[str]:
        local = "://" not in base_path
        if local:  # a folder, which is not a pattern
            base_path = glob.escape(base_path)
        files: list[str] = resolve_pattern(pattern, base_path, *arguments, **options)
        pictures = {file for file in files if file.lower().endswith(endings)}
        files = [f for f in files if f in pictures or f.rpartition(".")[0] not in pictures]
        if local and part_of_name in pattern:
            captioned = {picture.rpartition(".")[0] for picture in pictures}
            files = [f for f in files if f.lower().endswith(named_by_split)]
            files = [f for f in files if f.rpartition(".")[0] not in captioned]
        return files

    with _lock:
        resolve_pattern = files_module.resolve_pattern  # not what another thread has put there
        library: Any = packaged_modules
        modules: dict[str, Any] = library._EXTENSION_TO_MODULE
        part_of_name = f"[{files_module.NON_WORDS_CHARS}"  # in a pattern: what a name is split at
        tables = (_HOLD_PICTURES - {_MODULE}) | _LISTS
        named_by_split = (".zip", *(e for e, module in modules.items() if module[0] in tables))
        # Versions differ in which lists they have.
        lists: list[list[str]] = [
            ImageFolder.EXTENSIONS,
            getattr(library, "_MODULE_TO_EXTENSIONS", {}).get(_MODULE, []),
            getattr(library, "_ALL_EXTENSIONS", []),
            getattr(library, "_ALL_ALLOWED_EXTENSIONS", []),
        ]
        before = [[*known] for known in lists]
        lower = sorted(picture_endings() - {*ImageFolder.EXTENSIONS})
        added = [ending for ending in (*lower, *map(str.upper, lower)) if ending not in modules]
        for known in lists:
            known += [ending for ending in added if ending not in known]
        modules.update(dict.fromkeys(added, (_MODULE, {})))
        files_module.resolve_pattern = resolve
        try:
            yield
        finally:
            files_module.resolve_pattern = resolve_pattern
            for known, original in zip(lists, before, strict=True):
                known[:] = original
            for ending in added:
                del modules[ending]


@contextmanager
def files_with_pictures() -> Iterator[None]:
    """Inside of `all_picture_endings`, a context in which `datasets` knows only files that are
    pictures or hold some. It reads a folder as what most of its files are, which beside pictures
    may be captions or videos."""
    from datasets import packaged_modules

    library: Any = packaged_modules
    modules: dict[str, Any] = library._EXTENSION_TO_MODULE
    others = {e: module for e, module in modules.items() if module[0] not in _HOLD_PICTURES}
    for ending in others:
        del modules[ending]
    try:
        yield
    finally:
        modules.update(others)
