"""Portraits to draw, checked before anything heavy is loaded. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.drawing import DrawingArguments, DrawingParameters, check_whole
from pixelgen.pipelines.request_checks import check_draws_pictures, check_guidance

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class PortraitRequest:
    """Portraits to draw: of the person in some photos, or on a path from face to face."""

    photos: int
    """Photos that they are drawn from."""
    face_size: int
    """Side of the aligned faces that are cut out of these, pixels."""
    count: int
    """Portraits of the call, of which `drawing.pick` may choose one."""
    path: bool
    """Whether they lead from the face in the first photo through the others to the last; else all
    photos show one person."""
    slerp: bool
    """Whether such a path follows the sphere of embeddings, rather than straight lines."""
    drawing: DrawingParameters
    """How they are drawn. `options.candidates` are drawn of each portrait, or of the whole path,
    and the most similar one is kept."""

    @classmethod
    def for_person(
        cls,
        config: CheckpointConfig,
        weights: str,
        photos: int,
        n: int = 8,
        **drawing: Unpack[DrawingArguments],
    ) -> PortraitRequest:
        """`n` portraits of the person in `photos` photos, completed by the defaults of the weights
        and, without `seed`, a random one. Raises UsageError for anything that these weights cannot
        do."""
        size = _face_size(config, weights, drawing.get("guidance"))
        if photos < 1:
            raise UsageError("a photo must be given")
        n = check_whole("n", n, 1)
        parameters = _drawing_parameters(config, n, drawing)
        return cls(photos, size, n, path=False, slerp=False, drawing=parameters)

    @classmethod
    def for_path(
        cls,
        config: CheckpointConfig,
        weights: str,
        photos: int,
        steps: int = 9,
        *,
        slerp: bool = False,
        **drawing: Unpack[DrawingArguments],
    ) -> PortraitRequest:
        """`steps` portraits, at least one for each of the `photos` that the path leads through.
        Completes and raises as `for_person` does."""
        size = _face_size(config, weights, drawing.get("guidance"))
        if photos < 2:
            raise UsageError("at least 2 photos must be given")
        steps = check_whole("steps", steps, photos)
        parameters = _drawing_parameters(config, steps, drawing)
        return cls(photos, size, steps, path=True, slerp=slerp, drawing=parameters)

    @property
    def candidate_count(self) -> int:
        """Pictures of the call in all, those that are not kept included."""
        return self.count * self.drawing.options.candidates

    @property
    def picks(self) -> Sequence[int]:
        """Numbers, from 1, of those that are drawn."""
        return self.drawing.picks(self.count)

    def parameters(self) -> dict[str, Any]:
        """What, beside photos, weights, seed, pick and device, decides how they come out."""
        amount = {"steps": self.count, "slerp": self.slerp} if self.path else {"n": self.count}
        return amount | self.drawing.parameters()


def _drawing_parameters(
    config: CheckpointConfig, count: int, drawing: DrawingArguments
) -> DrawingParameters:
    parameters = DrawingParameters.from_arguments(config, uses_candidates=True, **drawing)
    check_whole("pictures in all", count * parameters.options.candidates, 1)
    parameters.picks(count)  # is there such a picture?
    return parameters


def _face_size(config: CheckpointConfig, weights: str, guidance: float | None) -> int:
    """Side of the faces that the weights see. Raises UsageError for weights that draw no faces, or
    not with this `guidance`."""
    check_draws_pictures(config, weights)
    if config.embedder is None:
        raise UsageError(f"{weights} has no face embedder")
    if not config.unconditional:
        check_guidance(weights, guidance, "it was not trained without faces")
    return config.embedder.size
