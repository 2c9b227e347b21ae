"""Gated PixelCNN image models: exact likelihoods, fast exact sampling, training.

from pixelgen import ClassPipeline

pipe = ClassPipeline.from_pretrained()
pipe(classes=[207], n=4, seed=1).images[0].save("golden-retriever.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelgen._version import __version__
from pixelgen.errors import PixelgenError

if TYPE_CHECKING:
    from pixelgen.pipelines import ClassPipeline, SampleResult

__all__ = ["ClassPipeline", "PixelgenError", "SampleResult", "__version__"]


def __getattr__(name: str) -> object:
    """The pipelines, imported when first asked for: they bring torch along."""
    if name in ("ClassPipeline", "SampleResult"):
        from pixelgen import pipelines

        return getattr(pipelines, name)
    raise AttributeError(f"module 'pixelgen' has no attribute {name!r}")
