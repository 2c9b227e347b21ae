"""What a run computed of its data once, kept in its folder for when it goes on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from pixelgen.checkpoints.storage import write_tensors
from pixelgen.errors import PixelgenError


def store_tensors(path: Path, tensors: Mapping[str, Tensor], key: Mapping[str, object]) -> None:
    """Writes `tensors`, made as the JSON-ready `key` says. Where the folder does not take them they
    will be made again, no more."""
    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with suppress(OSError, PixelgenError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, packed, {"key": json.dumps(key)})


def load_stored_tensors(
    path: Path, key: Mapping[str, object], besides: Collection[str] = ()
) -> dict[str, Tensor] | None:
    """The tensors of `path`, if they were made as `key` says; None where they were not, or where
    there are none that can be read. With `besides` only that counts which both keys say, and is not
    among these: an earlier version said less."""
    try:
        with safe_open(path, framework="pt") as file:
            made = json.loads((file.metadata() or {})["key"])
            names = (made.keys() & key.keys()) - set(besides) if besides else {*made, *key}
            if any(made.get(name) != key.get(name) for name in names):
                return None
            return {name: file.get_tensor(name) for name in [*file.keys()]}
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
