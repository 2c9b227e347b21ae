"""Weights on disk: bundled ones, and local folders. No torch here."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.checkpoints.hub_ref import is_address
from pixelgen.checkpoints.layout import present_tensor_files, unreadable_file_error
from pixelgen.checkpoints.replacement import current_folder
from pixelgen.checkpoints.weights_cache import active_cache, file_signature
from pixelgen.errors import PixelgenError, UsageError, did_you_mean
from pixelgen.files import expanded, hex_digest, shipped_folder

DEFAULT_WEIGHTS = "imagenet64"
"""Bundled weights that sample pictures of classes unless others are named."""
DEFAULT_PIXEL_WEIGHTS = "imagenet32"
"""Bundled weights over pixels, for likelihoods."""
DEFAULT_COMPLETION_WEIGHTS = "imagenet64"
"""Bundled weights that complete pictures unless others are named: see benchmarks/completion.py."""
DEFAULT_FACE_WEIGHTS = "faces64"
"""Bundled weights that sample portraits unless others are named."""
DEFAULT_RECONSTRUCTION_WEIGHTS = "autoencoder32"
"""Bundled weights that reconstruct pictures unless others are named."""

_NAME = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True)
class Source:
    """The folder that a reference to weights resolved to."""

    path: Path
    """The folder."""
    name: str
    """Bundled name, folder name, or Hub id."""
    commit: str | None = None
    """Commit on the Hub, or None for a local folder."""

    def revision(self) -> str:
        """What identifies these weights: the Hub's commit, or a hash of the tensor files."""
        if self.commit is not None:
            return self.commit
        files = self.files()
        try:
            if (cache := active_cache()) is None:
                return _digest(files)
            return cache.revisions.get(file_signature(files), lambda: _digest(files))
        except OSError as error:
            raise unreadable_file_error(self.name, self.path, error) from error

    def files(self) -> list[Path]:
        """The tensor files; the first may be missing."""
        return present_tensor_files(self.path)


def _digest(files: Sequence[Path]) -> str:
    """A short hash of the content of all `files`."""
    return f"sha256:{hex_digest(hashlib.sha256(), *files)[:16]}"


def weights_root() -> Path:
    """The folder of the bundled weights: inside the package, or beside it in a source tree."""
    return shipped_folder("weights")


def bundled() -> dict[str, Path]:
    """Name and folder of every bundled checkpoint."""
    return {
        path.parent.name: path.parent for path in sorted(weights_root().glob(f"*/{CONFIG_FILE}"))
    }


def resolve_local(ref: str | Path | Source) -> Source | None:
    """Weights by bundled name, else local folder, or None.

    Raises UsageError for a file, and for an empty name.
    """
    if isinstance(ref, Source):
        return ref
    text = str(ref)
    if not text:  # a path of no characters would be the current folder
        raise unknown_weights_error(text)
    known = bundled()
    if text in known:
        return Source(current_folder(known[text]), text)
    path = expanded(text)
    if os.path.isdir(path):
        return Source(current_folder(path), path.resolve().name)
    if os.path.lexists(path):
        hint = f"weights are a folder with a {CONFIG_FILE}"
        if (path.parent / CONFIG_FILE).is_file():
            hint = f"give its folder, {path.parent}"
        raise UsageError(f"{text} is a file", hint)
    return None


def unknown_weights_error(ref: str) -> PixelgenError:
    """The UsageError for a reference that is neither a bundled name nor a folder nor a Hub id."""
    names = ", ".join(bundled()) or "none"
    if not ref:
        return UsageError("the name of the weights is empty", f"bundled: {names}")
    if is_address(ref):
        return UsageError(
            f"{ref} is not the address of weights on the Hub",
            "give owner/name, or owner/name@revision",
        )
    if _NAME.fullmatch(ref):
        return UsageError(
            f"no weights called {ref}{did_you_mean(ref, bundled())}",
            f"bundled: {names}; or give a folder, or a Hub id owner/name",
        )
    return UsageError(f"no weights folder {ref}", f"bundled: {names}")
