"""The text chunks of a picture file: all that is needed to make the picture again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pixelgen._version import __version__
from pixelgen.checkpoints import Source


def fingerprint(parts: Iterable[bytes]) -> str:
    """A short digest of pixels or codes: `sha256:` and 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"


def text_chunks(
    source: Source,
    parameters: Mapping[str, Any],
    files: int,
    more: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The text chunks of each of `files` files. All pictures are in one file unless `parameters`
    say otherwise with "grid"."""
    common = {
        "Software": f"pixelgen {__version__}",
        **(more or {}),
        "weights": source.name,
        "revision": source.revision(),
    }
    number = [{}] if parameters.get("grid", True) else [{"picture": i} for i in range(files)]
    return [common | {"parameters": json.dumps({**parameters, **one})} for one in number]


def synthetic(beside_sources: bool) -> dict[str, str]:
    """The text chunk which says that the faces in a file are no photos."""
    besides = ", save the source photos beside them" if beside_sources else ""
    return {"Synthetic": f"All faces in this picture were drawn by a model{besides}."}
