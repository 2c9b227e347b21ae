"""Reconstructs pictures by auto-encoders or a tokenizer, and draws paths between pictures by an
auto-encoder (Figure 6)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.imaging import (
    ReconstructionMetrics,
    cut_tiles,
    join_tiles,
    shrink,
    square,
    tile_count,
    to_rgb,
)
from pixelgen.pipelines.conversion import (
    PictureCallback,
    decode_images,
    encode_images,
    to_images,
    to_tensor,
)
from pixelgen.pipelines.drawing import DrawingParameters
from pixelgen.pipelines.image_sampler import (
    ImageSampler,
    OnStep,
    SampledImages,
    candidate_indices,
)
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.reconstruct_request import (
    InterpolationRequest,
    ReconstructRequest,
    Selection,
)
from pixelgen.pipelines.results import (
    Frame,
    InterpolationResult,
    Reconstruction,
    ReconstructResult,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pixelgen.models.autoencoder import Autoencoder

Cut = Literal["crop", "stretch", "patches"]
"""How photos are fitted to the network: their middle, squeezed into a square, or in patches."""
LONGEST = 256
"""Pixels of the longer side of a photo that is taken in patches, by default."""


class ReconstructPipeline(Pretrained):
    """Encodes pictures as a few numbers, or as codes, and decodes them again.

    Pictures go through the networks one by one, so that the result for one depends on no other, not
    even in how sums are rounded. Those that are larger than the network's are taken in patches.
    """

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.autoencoders: dict[int, Autoencoder] = {}
        self.codec = None
        if checkpoint.config.bottlenecks:
            self.autoencoders = {n: a.to(device) for n, a in checkpoint.autoencoders.items()}
        else:
            self.codec = checkpoint.codec.to(device)
        self.size = checkpoint.config.image_shape[1]

    def run(
        self,
        request: ReconstructRequest,
        images: Sequence[Image.Image],
        on_step: OnStep | None = None,
        progress: PictureCallback | None = None,
    ) -> ReconstructResult:
        """Carry out a request that was made for these weights, on RGB pictures as `fit_photo`
        returns them. `progress(done, total)` is called before a tokenizer encodes a patch. Raises
        UsageError where there is no sample of the number that was picked."""
        started = time.perf_counter()
        selection = request.selection(len(images))
        sources = [images[i] for i in selection.pictures]
        patches = [tile for image in sources for tile in cut_tiles(image, self.size)]
        columns: list[list[Reconstruction]] = []
        if patches and request.drawing is None:
            columns = [self._by_codec(request, sources, patches, progress)]
        elif patches:
            columns = [
                self._by_bottleneck(request, selection, turn, images, patches, on_step)
                for turn in range(len(selection.bottlenecks))
            ]
        return ReconstructResult(
            items=[one for row in zip(*columns, strict=True) for one in row],
            seconds=time.perf_counter() - started,
            sources=sources,
            seed=None if request.drawing is None else request.drawing.seed,
            parameters=request.parameters(),
        )

    def unfinished(
        self,
        request: ReconstructRequest,
        images: Sequence[Image.Image],
        drawn: Sequence[Image.Image],
    ) -> list[list[Image.Image]]:
        """`ReconstructResult.rows` of `images` while they are drawn, with the means, which come
        last, in grey.

        `drawn` are all samples of all patches so far, in the order of drawing."""
        selection = request.selection(len(images))
        images, n = [images[i] for i in selection.pictures], len(selection.samples)
        count = len(drawn) // len(selection.bottlenecks)
        means = [Image.new("RGB", image.size, (128, 128, 128)) for image in images]
        columns = [[*images]]
        for first in range(0, len(drawn), count):
            patches = drawn[first : first + count]
            columns += [means, *(self._joined(images, patches[i::n]) for i in range(n))]
        return [list(row) for row in zip(*columns, strict=True)]

    def run_path(
        self,
        request: InterpolationRequest,
        sources: Sequence[Image.Image],
        on_step: OnStep | None = None,
    ) -> InterpolationResult:
        """Carry out a request that was made for these weights, on RGB pictures of the network's
        size: straight from the h of the first to that of the last, with the same random numbers.
        Raises ValueError for another number of pictures."""
        if len(sources) != request.photos:
            raise ValueError(f"{len(sources)} pictures for a request of {request.photos}")
        started = time.perf_counter()
        model = self.autoencoders[request.bottleneck]
        h = model.project(interpolate_path(self._encode(model, sources), request.steps))
        picks = request.drawing.picks(request.steps)
        only = candidate_indices(picks, 1)
        h = h[only]
        sampled = self._sample(
            model, h, request.steps, only, request.drawing, on_step, one_stream=True
        )
        seed = request.drawing.seed
        return InterpolationResult(
            items=[
                Frame(image, seed, pick, bits, None, mean)
                for image, pick, bits, mean in zip(
                    sampled.images, picks, sampled.bits_per_dim, self._means(model, h), strict=True
                )
            ],
            seconds=time.perf_counter() - started,
            seed=seed,
            parameters=request.parameters(),
            sources=list(sources),
            bottleneck=request.bottleneck,
        )

    def _by_codec(
        self,
        request: ReconstructRequest,
        images: Sequence[Image.Image],
        patches: Sequence[Image.Image],
        progress: PictureCallback | None,
    ) -> list[Reconstruction]:
        """Every picture by the tokenizer."""
        assert self.codec is not None
        codes = encode_images(self.codec, patches, progress, request.code_steps)
        decoded = decode_images(self.codec, codes)
        return [
            Reconstruction(
                source,
                None,
                image,
                ReconstructionMetrics.compare(source, image),
                [],
                [],
                [],
                None,
                None,
            )
            for source, image in zip(images, self._joined(images, decoded), strict=True)
        ]

    def _by_bottleneck(
        self,
        request: ReconstructRequest,
        selection: Selection,
        turn: int,
        images: Sequence[Image.Image],
        patches: Sequence[Image.Image],
        on_step: OnStep | None,
    ) -> list[Reconstruction]:
        """Those of `images` that are selected, whose `patches` these are, by the auto-encoder at
        `turn` of the selection."""
        assert request.drawing is not None
        n, index = len(selection.samples), selection.bottlenecks[turn]
        bottleneck = request.bottlenecks[index]
        model = self.autoencoders[bottleneck]
        h = self._encode(model, patches)
        bits = self._bits(model, patches, h)
        if on_step is not None:
            on_step = _in_rounds(on_step, turn * n * len(patches), len(selection.bottlenecks))
        counts = [tile_count(*image.size, self.size) for image in images]
        before = sum(counts[: selection.pictures[0]])  # patches of earlier pictures
        only = [
            patch * request.n + sample
            for patch in range(before, before + len(patches))
            for sample in selection.samples
        ]
        total = sum(counts) * request.n
        drawn = self._sample(model, h, total, only, request.drawing, on_step).images
        sources = [images[i] for i in selection.pictures]
        means = self._joined(sources, self._means(model, h))
        columns = [self._joined(sources, drawn[i::n]) for i in range(n)]
        reconstructions = []
        first = 0
        for number, source in enumerate(sources):
            count = tile_count(*source.size, self.size)
            samples = [column[number] for column in columns]
            reconstructions.append(
                Reconstruction(
                    source=source,
                    bottleneck=bottleneck,
                    image=means[number],
                    likeness=ReconstructionMetrics.compare(source, means[number]),
                    samples=samples,
                    samples_likeness=[
                        ReconstructionMetrics.compare(source, one) for one in samples
                    ],
                    picks=[
                        request.pick(selection.pictures[number], index, sample)
                        for sample in selection.samples
                    ],
                    bits_per_dim=sum(bits[first : first + count]) / count,
                    seed=request.drawing.seed,
                )
            )
            first += count
        return reconstructions

    def _joined(
        self, images: Sequence[Image.Image], patches: Sequence[Image.Image]
    ) -> list[Image.Image]:
        """`patches` in the place of those of `images`, joined to whole pictures."""
        whole, first = [], 0
        for image in images:
            count = tile_count(*image.size, self.size)
            whole.append(join_tiles(patches[first : first + count], *image.size))
            first += count
        return whole

    def _encode(self, model: Autoencoder, patches: Sequence[Image.Image]) -> Tensor:
        """The h of every patch, [N, D], on the CPU."""
        import torch

        from pixelgen.models.likelihood import to_signed

        with torch.inference_mode():
            h = [model.encode(to_signed(self._tensor(patch), 256)) for patch in patches]
        return torch.cat(h).cpu().clone()

    def _bits(self, model: Autoencoder, patches: Sequence[Image.Image], h: Tensor) -> list[float]:
        """Bits per dimension of every patch given its h [N, D]."""
        import torch

        from pixelgen.models.likelihood import bits_per_dim

        with torch.inference_mode():
            return [
                float(bits_per_dim(model.log_prob(self._tensor(patch).long(), own[None])))
                for patch, own in zip(patches, h.to(self.device), strict=True)
            ]

    def _means(self, model: Autoencoder, h: Tensor) -> list[Image.Image]:
        """What the deconvolutional decoder makes of h [N, D]."""
        import torch

        from pixelgen.models.tokenizer import to_bytes

        with torch.inference_mode():
            x = [to_bytes(model.decode(own[None])) for own in h.to(self.device)]
        return to_images(torch.cat(x), 256)

    def _sample(
        self,
        model: Autoencoder,
        h: Tensor,
        count: int,
        only: Sequence[int],
        drawing: DrawingParameters,
        on_step: OnStep | None,
        *,
        one_stream: bool = False,
    ) -> SampledImages:
        """What the PixelCNN draws of h [N, D]: of `count` pictures those with the indices `only`,
        the same number of each h."""
        import torch

        from pixelgen.models.conditioning import Condition

        with torch.inference_mode():
            conditions = [model.condition(own[None]).to("cpu") for own in h.to(self.device)]
        return ImageSampler(self.checkpoint, self.device, model.pixels).sample(
            count,
            Condition.cat(*conditions).repeat(len(only) // len(h)),
            drawing,
            only=only,
            streams=1 if one_stream else None,
            on_step=on_step,
        )

    def _tensor(self, patch: Image.Image) -> Tensor:
        return to_tensor([patch]).to(self.device)


def fit_photo(
    image: Image.Image, size: int, cut: Cut = "crop", longest: int = LONGEST
) -> Image.Image:
    """`image`, of any size and mode, as RGB that a network of size×size pictures takes: of that
    size, or for patches with its longer side at most `longest` pixels long."""
    if cut != "patches":
        return square(image, size, cut)
    return shrink(to_rgb(image), longest)


def _in_rounds(on_step: OnStep, before: int, rounds: int) -> OnStep:
    """`on_step` for one of several equally long `rounds`, where `before` pictures were drawn in
    earlier ones."""
    return lambda moment: on_step(
        replace(moment, first=moment.first + before, total=moment.total * rounds)
    )
