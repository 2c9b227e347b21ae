"""The endings of picture files in folders of data."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pixelgen.imaging.formats import picture_endings

_MODULE = "imagefolder"
_lock = threading.RLock()


@contextmanager
def all_picture_endings() -> Iterator[None]:
    """A context in which `datasets` finds the files of all `picture_endings` in folders. Its own
    list lacks some, such as .heic, .avif and .jxl. One thread at a time: the lists are global."""
    from datasets import packaged_modules
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    with _lock:
        library: Any = packaged_modules
        modules: dict[str, Any] = library._EXTENSION_TO_MODULE
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
        try:
            yield
        finally:
            for known, original in zip(lists, before, strict=True):
                known[:] = original
            for ending in added:
                del modules[ending]
