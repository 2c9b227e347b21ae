"""Interpolations between classes, faces or pictures, whichever the weights know. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.pipelines.drawing import DrawingArguments
from pixelgen.pipelines.portrait_request import PortraitRequest
from pixelgen.pipelines.reconstruct_request import InterpolationRequest
from pixelgen.pipelines.sample_request import SampleRequest

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathRequest = SampleRequest | PortraitRequest | InterpolationRequest
"""Of classes, faces, or pictures that an auto-encoder takes."""


def path_request(
    config: CheckpointConfig,
    weights: str,
    *,
    photos: int = 0,
    classes: Sequence[int | str] = (),
    steps: int = 9,
    slerp: bool = False,
    bottleneck: int | None = None,
    face_options: Sequence[str] = (),
    **drawing: Unpack[DrawingArguments],
) -> PathRequest:
    """`steps` pictures through `classes`, or through what `photos` photos show: faces, or with
    auto-encoders anything.

    `face_options` names options that the caller was given and that are for faces alone. Completed
    by the defaults of the weights and, without `seed`, a random one. Raises UsageError for anything
    that these weights cannot do.
    """
    photo_options = ["a photo"] * bool(photos) + [*face_options]
    photo_options += ["bottleneck"] * (bottleneck is not None)
    if classes:
        if photo_options:
            raise UsageError(f"{photo_options[0]} cannot be combined with classes")
        return SampleRequest.from_options(config, weights, classes=classes, steps=steps, **drawing)
    if not photos:
        raise UsageError("photos or classes must be given")
    if config.bottlenecks:
        if face_options:
            raise UsageError(
                f"{face_options[0]} requires weights of faces, {weights} takes any picture",
                "leave it out",
                code="face-option-of-other-weights",
            )
        return InterpolationRequest.from_options(
            config, weights, photos, steps, bottleneck=bottleneck, **drawing
        )
    if bottleneck is not None:
        raise UsageError(f"bottleneck requires auto-encoders, {weights} has none")
    return PortraitRequest.for_path(config, weights, photos, steps, slerp=slerp, **drawing)
