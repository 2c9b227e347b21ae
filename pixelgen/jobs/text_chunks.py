"""The text chunks of a picture file: all that is needed to make the picture again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pixelgen._version import __version__
from pixelgen.checkpoints import Source
from pixelgen.imaging import COMPOSITE, SOURCE_TYPE, TRAINED


class FileNumber(NamedTuple):
    """What one of several files shows."""

    picture: int
    """Its number, from 0, among the pictures of the whole job."""
    pick: int | None
    """The number, from 1, by which the job draws it alone; None: it is not drawn."""
    photo: bool = False
    """Whether it shows nothing but a photo."""


def drawn_files(picks: Sequence[int]) -> list[FileNumber]:
    """Files of nothing but pictures that are drawn, by their numbers from 1."""
    return [FileNumber(pick - 1, pick) for pick in picks]


def fingerprint(parts: Iterable[bytes]) -> str:
    """A short digest of pixels or codes: `sha256:` and 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"


def text_chunks(
    source: Source,
    parameters: Mapping[str, Any],
    files: Sequence[FileNumber] = (),
    more: Mapping[str, str] | None = None,
    source_type: str | None = TRAINED,
) -> list[dict[str, str]]:
    """The text chunks of each of `files`; of one file with all pictures, unless `parameters` say
    otherwise with "grid". `source_type` is IPTC's term for them; None: they are measurements."""
    revision = source.revision()

    def text(
        pick: int | None, number: Mapping[str, int], source_type: str | None = None
    ) -> dict[str, str]:
        return {
            "Software": f"pixelgen {__version__}",
            **({} if source_type is None else {SOURCE_TYPE: source_type}),
            **(more or {}),
            **({} if pick is None else {"pick": str(pick)}),
            "weights": source.name,
            "revision": revision,
            "parameters": json.dumps({**parameters, **number}),
        }

    if parameters.get("grid", True):
        return [text(None, {}, source_type)]
    return [
        text(file.pick, {"picture": file.picture}, None if file.photo else source_type)
        for file in files
    ]


def synthetic(beside_sources: bool) -> dict[str, str]:
    """The text chunk which says that the faces in a file are no photos."""
    besides = ", save the source photos beside them" if beside_sources else ""
    composite = {SOURCE_TYPE: COMPOSITE} if beside_sources else {}
    return {"Synthetic": f"All faces in this picture were drawn by a model{besides}."} | composite
