"""Draws portraits of the person in a photo, and paths from one face to another (section 3.3)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.imaging import FaceCropper, FaceDetector, Photo, load_photo, square
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.pipelines.image_sampler import (
    ImageSampler,
    OnStep,
    best_of_each,
    candidate_indices,
)
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.portrait_request import PortraitRequest
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.results import Portrait, PortraitResult

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pixelgen.models.face_embedder import FaceEmbedder


class PortraitPipeline(Pretrained):
    """Draws people from photos of them."""

    def __init__(
        self,
        checkpoint: LoadedCheckpoint,
        device: torch.device | str = "cpu",
        detector: FaceDetector | None = None,
    ) -> None:
        """`detector` finds the faces in photos; by default one is loaded for the first photo."""
        self.checkpoint = checkpoint
        self.device = device
        self.embedder = checkpoint.embedder.to(device)
        self.conditioner = self.embedder.first()
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
        (from 1); with `aligned` the photo is such a crop already. Raises InputError where there is
        none; messages call the photo `name`."""
        return self.cropper.crop(load_photo(photo), face=face, aligned=aligned, name=name).image

    def embed(self, crops: Sequence[Image.Image]) -> Tensor:
        """Aligned crops → embeddings [N, D] of length 1, which tell people apart. One does not
        depend on the others."""
        return self._embed(self.embedder, crops)

    def conditions_and_embeddings(self, crops: Sequence[Image.Image]) -> tuple[Tensor, Tensor]:
        """Aligned crops → their condition vectors [N, D], and what `embed` returns: the same, but
        for an ensemble, whose first network computes the former."""
        h = self._embed(self.conditioner, crops)
        return h, h if self.conditioner is self.embedder else self.embed(crops)

    def _embed(self, embedder: FaceEmbedder, crops: Sequence[Image.Image]) -> Tensor:
        import torch

        from pixelgen.models.likelihood import to_signed

        squares = [square(crop, embedder.config.size) for crop in crops]
        with torch.inference_mode():
            each = [embedder(to_signed(to_tensor([s]).to(self.device), 256)) for s in squares]
        return torch.cat(each).cpu().clone()

    def person(self, points: Tensor) -> Tensor:
        """The embedding [1, D] of the person on photos with the embeddings `points` [N, D]: the
        mean, of length 1."""
        return _unit(points.mean(0, keepdim=True))

    def choose(
        self, images: Sequence[Image.Image], people: Tensor, candidates: int
    ) -> tuple[list[int], list[float]]:
        """Of every `candidates` consecutive pictures the one whose embedding is nearest to that in
        `people` [N, D], or [1, D]: their indices, and their cosines, up to 1."""
        if not images:
            return [], []
        cosines: list[float] = (self.embed(images) * _unit(people)).sum(1).tolist()
        chosen = best_of_each(cosines, candidates)
        return chosen, [cosines[i] for i in chosen]

    def choose_stream(
        self, images: Sequence[Image.Image], people: Tensor, candidates: int
    ) -> tuple[list[int], list[float]]:
        """Of `candidates` paths, whose pictures at one step are consecutive, the one that is
        nearest to `people` [N, D] on average: the indices of its pictures, and their cosines."""
        cosines = (self.embed(images) * _unit(people)).sum(1)
        cosines = cosines.view(-1, candidates)  # [steps, candidates]
        best = int(cosines.mean(0).argmax())
        return [*range(best, len(images), candidates)], cosines[:, best].tolist()

    def run(
        self,
        request: PortraitRequest,
        crops: Sequence[Image.Image],
        on_step: OnStep | None = None,
    ) -> PortraitResult:
        """Carry out a request that was made for these weights, on an aligned crop of every photo.

        Of several photos of a person the mean embedding counts. A path goes straight through the
        space of embeddings (Figure 5), or with `slerp` along the sphere; its frames share their
        random numbers, so that neighbours differ by their embedding alone. Where one of several
        paths is to be chosen, all are drawn for a single frame too. Raises ValueError for another
        number of crops.
        """
        from pixelgen.models.conditioning import Condition

        if len(crops) != request.photos:
            raise ValueError(f"{len(crops)} crops for a request of {request.photos} photos")
        started = time.perf_counter()
        candidates = request.drawing.options.candidates
        picks, choosing = request.picks, request.path and candidates > 1
        drawn = range(1, request.count + 1) if choosing else picks
        only = candidate_indices(drawn, candidates)
        h, people = (
            self._of_candidates(request, points)[only]
            for points in self.conditions_and_embeddings(crops)
        )
        sampled = self.sampler.sample(
            request.candidate_count,
            Condition(vector=h),
            request.drawing,
            only=only,
            streams=candidates if request.path else None,
            on_step=on_step,
        )
        choose = self.choose_stream if request.path else self.choose
        chosen, similarity = choose(sampled.images, people, candidates)
        sources, seed = list(crops), request.drawing.seed
        return PortraitResult(
            items=[
                Portrait(
                    sampled.images[i], seed, pick, sampled.bits_per_dim[i], None, cosine, sources
                )
                for pick, i, cosine in zip(drawn, chosen, similarity, strict=True)
                if pick in picks
            ],
            seconds=time.perf_counter() - started,
            seed=seed,
            parameters=request.parameters(),
            sources=sources,
        )

    def _of_candidates(self, request: PortraitRequest, points: Tensor) -> Tensor:
        """The vectors [n · candidates, D] of all candidates, given those of the photos [N, D]."""
        if request.path:
            steps = interpolate_path(points, request.count, request.slerp)
            return steps.repeat_interleave(request.drawing.options.candidates, dim=0)
        return self.person(points).expand(request.candidate_count, -1)


def _unit(h: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.normalize(h, dim=1)
