"""Gated PixelCNN image models: exact likelihoods, fast exact sampling, training.

import pixelgen

for sample in pixelgen.load("imagenet32").sample(classes=[207], n=4, seed=1):
    print(sample.seed, sample.bits_per_dim, sample.image)

pixelgen.save(model, "my-weights", class_names=["cat", "dog"])  # a network of pixelgen.models
pixelgen.push_to_hub("my-weights", "owner/name", license="cc-by-4.0")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelgen._version import __version__
from pixelgen.errors import InputError, PixelgenError, UsageError, WeightsError

if TYPE_CHECKING:
    from pixelgen.evaluation.batches import LoaderLikelihood, evaluate
    from pixelgen.jobs.batch import run_jobs
    from pixelgen.jobs.picture_info import PictureInfo, picture_info
    from pixelgen.jobs.results_log import JobResult
    from pixelgen.pipelines import (
        CodesFile,
        Completion,
        CompletionResult,
        Frame,
        InterpolationResult,
        Portrait,
        PortraitResult,
        Reconstruction,
        ReconstructResult,
        Sample,
        SampleResult,
        SamplingProgress,
        Score,
        ScoreResult,
        Weights,
        load,
    )
    from pixelgen.publishing.networks import save
    from pixelgen.publishing.push import push_to_hub

__all__ = [
    "CodesFile",
    "Completion",
    "CompletionResult",
    "Frame",
    "InputError",
    "InterpolationResult",
    "JobResult",
    "LoaderLikelihood",
    "PictureInfo",
    "PixelgenError",
    "Portrait",
    "PortraitResult",
    "ReconstructResult",
    "Reconstruction",
    "Sample",
    "SampleResult",
    "SamplingProgress",
    "Score",
    "ScoreResult",
    "UsageError",
    "Weights",
    "WeightsError",
    "__version__",
    "evaluate",
    "load",
    "picture_info",
    "push_to_hub",
    "run_jobs",
    "save",
]


def __getattr__(name: str) -> object:
    """What is in `__all__`, imported when first asked for, so that `import pixelgen` is quick."""
    if name == "push_to_hub":
        from pixelgen.publishing import push

        return push.push_to_hub
    if name == "save":
        from pixelgen.publishing import networks

        return networks.save
    if name in ("LoaderLikelihood", "evaluate"):
        from pixelgen.evaluation import batches

        return getattr(batches, name)
    if name in ("JobResult", "run_jobs"):
        from pixelgen.jobs import batch

        return getattr(batch, name)
    if name in ("PictureInfo", "picture_info"):
        from pixelgen.jobs import picture_info as module

        return getattr(module, name)
    if name in __all__:
        from pixelgen import pipelines

        return getattr(pipelines, name)
    raise AttributeError(f"module 'pixelgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
