"""Names of tensors in stored weights of earlier versions, and their names of today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_Value = TypeVar("_Value")

RENAMED = {
    r"link": "vertical_to_horizontal",
    r"mix": "out_1x1",
    r"class_vectors": "class_prior",
    r"head(?=\.(?:weight|bias)(?:\.|$))": "head.out",
}
"""Parts of a tensor's dotted name, as regular expressions, and what they are called today."""

_PATTERNS = [(re.compile(rf"(?<![^.]){old}(?![^.])"), new) for old, new in RENAMED.items()]


def renamed(name: str) -> str:
    """The name of today of the tensor that was stored as `name`."""
    for pattern, new in _PATTERNS:
        name = pattern.sub(new, name)
    return name


def renamed_state(state: Mapping[str, _Value]) -> dict[str, _Value]:
    """`state` with the names of today: a state dict, or names with prefixes such as `model.`.

    Raises ValueError if two tensors would have the same name.
    """
    result = {renamed(name): value for name, value in state.items()}
    if len(result) < len(state):
        raise ValueError("a tensor is stored twice, under its old and its new name")
    return result
