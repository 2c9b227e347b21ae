"""Figures of a card, from the JSON of `pixelgen evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixelgen.checkpoints import Figure


def _with_error(value: float, error: float | None) -> str:
    """A value and its standard error, if that is known."""
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def bits_text(bits: Mapping[str, Any]) -> str:
    """What `Bits` says."""
    return _with_error(bits["bits_per_dim"], bits["standard_error"])


def kid_figures(kid: Mapping[str, Any] | None, what: str, command: str) -> list[Figure]:
    """The kernel inception distance, if it was measured, `what` says of which pictures."""
    if kid is None:
        return []
    value = _with_error(kid["mean"], kid["standard_error"])
    return [Figure(f"KID (EfficientNet-lite2) {what}", value, command)]
