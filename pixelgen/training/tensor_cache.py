"""Tensors that a run computes from its data once and reads from its folder when it resumes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from pixelgen.checkpoints.storage import write_tensors
from pixelgen.errors import PixelgenError
from pixelgen.json_text import parse_json


def store_tensors(path: Path, tensors: Mapping[str, Tensor], key: Mapping[str, object]) -> None:
    """Writes `tensors` with the JSON-ready `key` of what they were computed from. A folder that
    cannot be written to is no error: they will be computed again."""
    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with suppress(OSError, PixelgenError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, packed, {"key": json.dumps(key)})


def load_stored_tensors(
    path: Path, key: Mapping[str, object], ignore: Collection[str] = ()
) -> dict[str, Tensor] | None:
    """The tensors in `path` if they were stored with this `key`; None otherwise, and where the file
    cannot be read. With `ignore`, only names that are in both keys and not in `ignore` must agree:
    earlier versions stored fewer."""
    try:
        with safe_open(path, framework="pt") as file:
            stored = parse_json((file.metadata() or {})["key"])
            if not isinstance(stored, dict):
                return None
            names = (stored.keys() & key.keys()) - set(ignore) if ignore else {*stored, *key}
            if any(stored.get(name) != key.get(name) for name in names):
                return None
            return {name: file.get_tensor(name) for name in [*file.keys()]}
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
