"""What a run computed of its data once, kept in its folder for when it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pixelgen.files import write_atomically


def keep_tensors(path: Path, tensors: Mapping[str, Tensor], key: Mapping[str, object]) -> None:
    """Writes `tensors`, made as the JSON-ready `key` says."""
    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {"key": json.dumps(key)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: save_file(packed, part, metadata=metadata))


def kept_tensors(path: Path, key: Mapping[str, object]) -> dict[str, Tensor] | None:
    """The tensors of `path`, if they were made as `key` says; None where they were not, or where
    there are none that can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            if json.loads((file.metadata() or {})["key"]) != key:
                return None
            return {name: file.get_tensor(name) for name in [*file.keys()]}
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
