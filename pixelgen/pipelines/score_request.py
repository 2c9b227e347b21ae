"""Likelihoods to measure, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.drawing import check_whole
from pixelgen.pipelines.request_checks import check_reads_photos, find_classes


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
    """Pictures, or classes of one picture, side by side."""

    @classmethod
    def from_options(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        label: int | str | None = None,
        classify: bool = False,
        batch_size: int = 32,
    ) -> ScoreRequest:
        """The class is a number, a WordNet id or a name. Raises UsageError for anything that these
        weights cannot do."""
        check_reads_photos(config, weights)
        check_whole("batch_size", batch_size, 1)
        indices, rows = find_classes(config, weights, [] if label is None else [label])
        if len(indices) > 1:
            raise UsageError(f"{label} is {len(indices)} classes, one is taken")
        if classify and not config.labels:
            raise UsageError(f"{weights} knows no classes to rank")
        return cls(next(iter(indices), None), next(iter(rows), None), classify, batch_size)
