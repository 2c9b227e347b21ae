"""The way from one class, face or picture to another, whichever of these the weights know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import DEFAULT_WEIGHTS, CheckpointConfig, LoadedCheckpoint
from pixelgen.errors import UsageError
from pixelgen.imaging import Fit, Photo, load_photo, square
from pixelgen.pipelines.class_pipeline import ClassPipeline, SampleResult
from pixelgen.pipelines.image_sampler import Progress
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline, PortraitResult
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.reconstruct_pipeline import InterpolationResult, ReconstructPipeline
from pixelgen.pipelines.reconstruct_request import InterpolationRequest
from pixelgen.pipelines.request import DrawingOptions, PortraitRequest, SampleRequest

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

PathRequest = SampleRequest | PortraitRequest | InterpolationRequest
"""What `path_request` makes."""
PathResult = SampleResult | PortraitResult | InterpolationResult
"""What comes of it: frames in order, as `images`."""


def path_request(
    config: CheckpointConfig,
    weights: str,
    *,
    photos: int = 0,
    classes: Sequence[int | str] = (),
    steps: int = 9,
    slerp: bool = False,
    bottleneck: int | None = None,
    candidates: int | None = None,
    of_faces: Sequence[str] = (),
    **drawing: Unpack[DrawingOptions],
) -> PathRequest:
    """`steps` pictures through `classes`, or through what `photos` photos show: faces, or with
    auto-encoders anything.

    `of_faces` names options that the caller was given and that make sense for faces alone.
    Completes as `Drawing.make` does, and raises PixelgenError (exit code 2) for anything that these
    weights cannot do.
    """
    strange = ["a photo"] * bool(photos) + [*of_faces] + ["bottleneck"] * (bottleneck is not None)
    if classes:
        if strange:
            raise UsageError(f"{strange[0]} does not go with classes")
        return SampleRequest.make(config, weights, classes=classes, steps=steps, **drawing)
    if not photos:
        raise UsageError("photos or classes must be given")
    if config.bottlenecks:
        if of_faces:
            raise UsageError(f"{of_faces[0]} is for faces, {weights} takes any picture")
        return InterpolationRequest.make(
            config, weights, photos, steps, bottleneck=bottleneck, **drawing
        )
    if bottleneck is not None:
        raise UsageError(f"bottleneck is for auto-encoders, {weights} has none")
    return PortraitRequest.along_path(
        config, weights, photos, steps, slerp=slerp, candidates=candidates, **drawing
    )


class InterpolatePipeline(Pretrained):
    """Draws pictures on the way from one to another, all with the same random numbers, so that
    neighbours differ by their condition alone (Figure 5).

    Example: `InterpolatePipeline.from_pretrained()(classes=["lion", "cougar"], seed=1).images`.
    """

    default_weights = DEFAULT_WEIGHTS

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device

    def __call__(
        self,
        photos: Sequence[Photo] = (),
        *,
        classes: Sequence[int | str] = (),
        steps: int = 9,
        slerp: bool = False,
        bottleneck: int | None = None,
        candidates: int | None = None,
        face: int | None = None,
        aligned: bool = False,
        fit: Fit = "crop",
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> PathResult:
        """`steps` pictures through `classes` (numbers, WordNet ids, names), or through `photos`,
        pictures or paths.

        Of faces: `slerp`, `candidates`, `face` and `aligned` are those of `PortraitPipeline`; of
        auto-encoders: `bottleneck` and `fit` are those of `ReconstructPipeline`. `drawing` is what
        `ClassPipeline` takes. Raises PixelgenError for what the weights cannot do, and for photos
        that cannot be read or have no face.
        """
        told = {
            "slerp": slerp,
            "candidates": candidates is not None,
            "face": face is not None,
            "aligned": aligned,
        }
        request = path_request(
            self.checkpoint.config,
            self.checkpoint.name,
            photos=len(photos),
            classes=classes,
            steps=steps,
            slerp=slerp,
            bottleneck=bottleneck,
            candidates=candidates,
            of_faces=[name for name, given in told.items() if given],
            **drawing,
        )
        if fit != "crop" and not isinstance(request, InterpolationRequest):
            raise UsageError("fit is for photos that auto-encoders take")
        shown: list[Image.Image] = []
        if isinstance(request, PortraitRequest):
            by_face = PortraitPipeline(self.checkpoint, self.device)
            shown = [by_face.crop(photo, face=face, aligned=aligned) for photo in photos]
        elif isinstance(request, InterpolationRequest):
            size = self.checkpoint.config.image_shape[1]
            shown = [square(load_photo(photo), size, fit) for photo in photos]
        return self.run(request, shown, on_step)

    def run(
        self,
        request: PathRequest,
        shown: Sequence[Image.Image] = (),
        on_step: Callable[[Progress], None] | None = None,
    ) -> PathResult:
        """Carry out a request that was made for these weights: on an aligned crop of every photo of
        faces, on RGB pictures of the network's size for auto-encoders, on nothing for classes.
        Raises ValueError for another number of pictures."""
        if isinstance(request, SampleRequest):
            return ClassPipeline(self.checkpoint, self.device).run(request, on_step)
        if isinstance(request, InterpolationRequest):
            by_code = ReconstructPipeline(self.checkpoint, self.device)
            return by_code.run_path(request, shown, on_step)
        return PortraitPipeline(self.checkpoint, self.device).run(request, shown, on_step)
