"""Holes in a photo to fill, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.drawing import DrawingArguments, check_whole
from pixelgen.pipelines.request_checks import check_reads_photos
from pixelgen.pipelines.sample_request import SampleRequest

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class CompletionRequest:
    """Pictures to complete."""

    sample: SampleRequest
    """What to draw into the hole, as if it were the whole picture."""
    refine: int
    """Candidates of each picture."""

    @classmethod
    def from_options(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        refine: int = 1,
        **drawing: Unpack[DrawingArguments],
    ) -> CompletionRequest:
        """`n` completions for each of `classes`, or without a class; completes and raises as
        `SampleRequest.from_options` does."""
        if config.has_prior:
            raise UsageError(
                f"{weights} is a PixelVAE: it completes no pictures",
                "its latent is computed from a whole picture",
            )
        check_reads_photos(config, weights)
        refine = check_whole("refine", refine, 1)
        sample = SampleRequest.from_options(
            config, weights, classes=classes, n=n, null_vector=True, **drawing
        )
        return cls(sample, refine)

    @property
    def candidate_count(self) -> int:
        """Pictures of the call in all, those that are not chosen included."""
        return self.sample.count * self.refine

    def parameters(self) -> dict[str, Any]:
        """What, beside photo, hole, weights, seed, pick and device, decides how they come out."""
        return {**self.sample.parameters(), "refine": self.refine}
