"""Likelihoods to measure, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.drawing import check_whole
from pixelgen.pipelines.request_checks import check_reads_photos, find_classes

IMPORTANCE_SAMPLES = 8
"""Latents drawn for the bound of each picture, where the user does not say."""
_MOST_SAMPLES = 2**20


@dataclass(frozen=True)
class ScoreRequest:
    """What the likelihood is conditioned on, and whether classes are ranked by it."""

    label: int | None
    """Number of the class; None: no class."""
    row: int | None
    """The row of the model's class table that it stands for."""
    classify: bool
    """Whether classes are ranked."""
    batch_size: int
    """Pictures, classes of one picture or latents of one picture, side by side."""
    importance_samples: int | None = None
    """Latents drawn for the bound of each picture; None: the likelihood is exact."""

    @classmethod
    def from_options(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        label: int | str | None = None,
        classify: bool = False,
        batch_size: int = 32,
        importance_samples: int | None = None,
    ) -> ScoreRequest:
        """The class is a number, a WordNet id or a name. Raises UsageError for anything that these
        weights cannot do."""
        check_reads_photos(config, weights)
        batch_size = check_whole("batch_size", batch_size, 1)
        indices, rows = find_classes(config, weights, [] if label is None else [label])
        if len(indices) > 1:
            raise UsageError(f"{label} names {len(indices)} classes: give one")
        if classify and not config.labels:
            raise UsageError(f"{weights} knows no classes to rank")
        samples = check_importance_samples(config, weights, importance_samples)
        return cls(next(iter(indices), None), next(iter(rows), None), classify, batch_size, samples)


def check_importance_samples(
    config: CheckpointConfig, weights: str, samples: int | None
) -> int | None:
    """`samples`, by default `IMPORTANCE_SAMPLES`; None for weights whose likelihood is exact.
    Raises UsageError for samples that these would not use, and for bad numbers."""
    if not config.has_prior:
        if samples is not None:
            raise UsageError(
                f"importance_samples has no effect: {weights} has an exact likelihood",
                "it is for bounds, of a PixelVAE",
            )
        return None
    chosen = IMPORTANCE_SAMPLES if samples is None else samples
    chosen = check_whole("importance_samples", chosen, 1)
    if chosen > _MOST_SAMPLES:
        raise UsageError(f"importance_samples must be at most {_MOST_SAMPLES}, not {chosen}")
    return chosen
