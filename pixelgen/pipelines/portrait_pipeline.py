"""New portraits of the person in a photo, and the way from one face to another (section 3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import (
    DEFAULT_FACE_WEIGHTS,
    LoadedCheckpoint,
)
from pixelgen.imaging import FaceCropper, FaceDetector, Photo, load_photo, square
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.pipelines.image_sampler import ImageSampler, Progress
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.request import DrawingOptions, PortraitRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import Unpack


@dataclass(frozen=True)
class PortraitResult:
    """Portraits, what they were made of, and what was measured on the way."""

    images: list[Image.Image]
    """The portraits; of an interpolation the frames, in order."""
    sources: list[Image.Image]
    """The aligned crop of every photo."""
    similarity: list[float]
    """Cosine of each portrait's embedding with the one that it was drawn from, up to 1."""
    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    bits_per_dim: list[float]
    """-log2 p(portrait | embedding) per value that the model draws, of the model itself: at
    temperature 1, without guidance or top-p."""
    seconds: float
    """Time of embedding and drawing."""
    parameters: dict[str, Any]
    """n or steps, temperature, top_p, guidance, candidates."""


class PortraitPipeline(Pretrained):
    """Draws people from photos of them.

    Example: `PortraitPipeline.from_pretrained("my-weights")([photo], n=8, seed=1).images`.
    """

    default_weights = DEFAULT_FACE_WEIGHTS

    def __init__(
        self,
        checkpoint: LoadedCheckpoint,
        device: torch.device | str = "cpu",
        detector: FaceDetector | None = None,
    ) -> None:
        """Without `detector`, one is made when the first photo asks for it."""
        self.checkpoint = checkpoint
        self.device = device
        self.embedder = checkpoint.embedder.to(device)
        self.sampler = ImageSampler(checkpoint, device)
        self.cropper = FaceCropper(self.embedder.config.size, detector)

    def crop(
        self,
        photo: Photo,
        *,
        face: int | None = None,
        aligned: bool = False,
        name: str = "the photo",
    ) -> Image.Image:
        """The face in `photo` as the embedder wants it: of several the largest, or number `face`
        (from 1); with `aligned` the photo is such a crop already. Raises PixelgenError (exit code
        3) where there is none; messages call the photo `name`."""
        return self.cropper.crop(load_photo(photo), face=face, aligned=aligned, name=name).image

    def embed(self, crops: Sequence[Image.Image]) -> Tensor:
        """Aligned crops → embeddings [N, D] of length 1. One does not depend on the others."""
        import torch

        from pixelgen.models.likelihood import to_signed

        squares = [square(crop, self.embedder.config.size) for crop in crops]
        with torch.inference_mode():
            each = [self.embedder(to_signed(to_tensor([s]).to(self.device), 256)) for s in squares]
        return torch.cat(each).cpu().clone()

    def person(self, points: Tensor) -> Tensor:
        """The embedding [1, D] of who is on photos with the embeddings [N, D]."""
        return _unit(points.mean(0, keepdim=True))

    def choose(
        self, images: Sequence[Image.Image], h: Tensor, each: int
    ) -> tuple[list[int], list[float]]:
        """Of every `each` pictures after one another the one whose embedding is nearest to `h`
        [N, D], or [1, D]: their numbers, and their cosines, up to 1."""
        if not images:
            return [], []
        near: list[float] = (self.embed(images) * _unit(h)).sum(1).tolist()
        kept = nearest(near, each)
        return kept, [near[i] for i in kept]

    def choose_stream(
        self, images: Sequence[Image.Image], h: Tensor, each: int
    ) -> tuple[list[int], list[float]]:
        """Of `each` ways, whose pictures at one place stand after one another, the one that is
        nearest to `h` [N, D] all along: the numbers of its pictures, and their cosines."""
        near = (self.embed(images) * _unit(h)).sum(1).view(-1, each)
        best = int(near.mean(0).argmax())
        return [*range(best, len(images), each)], near[:, best].tolist()

    def __call__(
        self,
        photos: Sequence[Photo],
        n: int = 8,
        *,
        candidates: int | None = None,
        face: int | None = None,
        aligned: bool = False,
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> PortraitResult:
        """`n` portraits of the person in `photos`, pictures or paths; of several photos the mean
        embedding counts. Each is the nearest to the person of `candidates` that are drawn.

        `drawing`: seed, temperature, top_p, guidance and batch_size. What is left out comes from
        the weights' own defaults; a missing seed is drawn. Raises PixelgenError for what the
        weights cannot do, and for photos without a face.
        """
        made = self.checkpoint
        request = PortraitRequest.of_person(
            made.config, made.name, len(photos), n, candidates, **drawing
        )
        crops = [self.crop(photo, face=face, aligned=aligned) for photo in photos]
        return self.run(request, crops, on_step)

    def interpolate(
        self,
        photos: Sequence[Photo],
        steps: int = 9,
        *,
        slerp: bool = False,
        candidates: int | None = None,
        face: int | None = None,
        aligned: bool = False,
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> PortraitResult:
        """`steps` portraits on the way from the face in the first photo through those in the next
        ones to the last: straight through the space of embeddings (Figure 5), or with `slerp` along
        the sphere. All are drawn with the same random numbers, so that neighbours differ by their
        embedding alone. Of `candidates` such ways the one is kept whose frames are the most like
        their places. Takes `drawing` and raises as a call does."""
        made = self.checkpoint
        request = PortraitRequest.along_path(
            made.config,
            made.name,
            len(photos),
            steps,
            slerp=slerp,
            candidates=candidates,
            **drawing,
        )
        crops = [self.crop(photo, face=face, aligned=aligned) for photo in photos]
        return self.run(request, crops, on_step)

    def run(
        self,
        request: PortraitRequest,
        crops: Sequence[Image.Image],
        on_step: Callable[[Progress], None] | None = None,
    ) -> PortraitResult:
        """Carry out a request that was made for these weights, on an aligned crop of every photo.
        Raises ValueError for another number of crops."""
        from pixelgen.models.conditioning import Condition

        if len(crops) != request.photos:
            raise ValueError(f"{len(crops)} crops for a request of {request.photos} photos")
        started = time.perf_counter()
        points = self.embed(crops)
        if request.path:
            places = interpolate_path(points, request.count, request.slerp)
            h = places.repeat_interleave(request.each, dim=0)
        else:
            h = self.person(points).expand(request.candidates, -1)
        sampled = self.sampler.paint(
            request.candidates,
            Condition(vector=h),
            options=request.drawing.options,
            seed=request.drawing.seed,
            batch_size=request.drawing.batch_size,
            streams=request.each if request.path else None,
            on_step=on_step,
        )
        choose = self.choose_stream if request.path else self.choose
        kept, similarity = choose(sampled.images, h, request.each)
        return PortraitResult(
            images=[sampled.images[i] for i in kept],
            sources=list(crops),
            similarity=similarity,
            seed=request.drawing.seed,
            bits_per_dim=[sampled.bits_per_dim[i] for i in kept],
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )


def nearest(likeness: Sequence[float], each: int) -> list[int]:
    """Of every `each` pictures after one another the one with the greatest likeness, the first of
    equals: their numbers. Pictures left over at the end are not chosen from."""
    groups = range(0, len(likeness) - each + 1, each)
    return [max(range(g, g + each), key=likeness.__getitem__) for g in groups]


def _unit(h: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.normalize(h, dim=1)
