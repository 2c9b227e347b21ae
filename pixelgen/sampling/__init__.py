"""Drawing pictures from an autoregressive model. Importing this brings no torch along."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pixelgen.sampling.options import SamplingOptions, SamplingOverrides

if TYPE_CHECKING:
    from pixelgen.sampling.sampler import SAMPLERS, sample, sample_scored
    from pixelgen.sampling.value_sampler import draw_uniforms

__all__ = [
    "SAMPLERS",
    "SamplingOptions",
    "SamplingOverrides",
    "draw_uniforms",
    "sample",
    "sample_scored",
]

_MODULES = {
    "SAMPLERS": "sampler",
    "draw_uniforms": "value_sampler",
    "sample": "sampler",
    "sample_scored": "sampler",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
