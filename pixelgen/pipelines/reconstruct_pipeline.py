"""Pictures drawn anew from a few numbers, and the way from one picture to another (Figure 6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from pixelgen.checkpoints import (
    DEFAULT_RECONSTRUCTION_WEIGHTS,
    LoadedCheckpoint,
)
from pixelgen.errors import UsageError
from pixelgen.imaging import (
    Fit,
    Photo,
    ReconstructionMetrics,
    cut_tiles,
    join_tiles,
    load_photo,
    shrink,
    square,
    tile_count,
    to_rgb,
)
from pixelgen.pipelines.conversion import decode_images, encode_images, to_images, to_tensor
from pixelgen.pipelines.image_sampler import ImageSampler, Progress, SampledImages
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.reconstruct_request import InterpolationRequest, ReconstructRequest
from pixelgen.pipelines.request import Drawing, DrawingOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import Unpack

    from pixelgen.models.autoencoder import Autoencoder

Cut = Literal["crop", "stretch", "patches"]
"""How photos come to the network: as their middle, squeezed, or piece by piece."""
LONGEST = 256
"""Pixels of the longer side of a photo that is taken piece by piece, unless a caller says more."""


@dataclass(frozen=True)
class Reconstruction:
    """One picture by way of one auto-encoder, or of a tokenizer."""

    source: Image.Image
    """The picture as the networks saw it."""
    bottleneck: int | None
    """Numbers in between; None: a tokenizer's codes."""
    image: Image.Image
    """What the deconvolutional decoder gives, the mean; or the tokenizer's picture."""
    likeness: ReconstructionMetrics
    """Of this to the original."""
    samples: list[Image.Image]
    """What the PixelCNN draws; none by a tokenizer."""
    samples_likeness: list[ReconstructionMetrics]
    """Of each of these to the original."""
    bits_per_dim: float | None
    """-log2 p(original | h) per value, of the model itself: at temperature 1, without guidance or
    top-p. Of several pieces the mean, as they are with their mirrored edges. None for a
    tokenizer."""
    seed: int | None
    """The seed that draws the same samples again on the same kind of device; None for a
    tokenizer."""


@dataclass(frozen=True)
class ReconstructResult:
    """Pictures made anew, and what was measured on the way."""

    sources: list[Image.Image]
    """The pictures as the networks saw them."""
    made: list[list[Reconstruction]]
    """Of every picture, the smallest bottleneck first."""
    seed: int | None
    """The seed that draws the same samples again on the same kind of device; None for a
    tokenizer."""
    seconds: float
    """Time of it all."""
    parameters: dict[str, Any]
    """Bottlenecks, n, temperature, top_p, guidance; nothing for a tokenizer."""

    def rows(self) -> list[list[Image.Image]]:
        """For every picture itself, then for every bottleneck the mean and the samples."""
        return [
            [source, *(image for made in row for image in (made.image, *made.samples))]
            for source, row in zip(self.sources, self.made, strict=True)
        ]


@dataclass(frozen=True)
class InterpolationResult:
    """The way from one picture through others to the last, frame by frame."""

    images: list[Image.Image]
    """What the PixelCNN draws, all frames with the same random numbers."""
    means: list[Image.Image]
    """What the deconvolutional decoder gives."""
    sources: list[Image.Image]
    """The pictures that it leads through, as the encoder saw them."""
    bottleneck: int
    """Numbers in between."""
    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    bits_per_dim: list[float]
    """-log2 p(frame | h) per value, of the model itself."""
    seconds: float
    """Time of it all."""
    parameters: dict[str, Any]
    """Steps, bottleneck, temperature, top_p, guidance."""


class ReconstructPipeline(Pretrained):
    """Takes pictures to a few numbers, or to codes, and makes them anew.

    Example: `ReconstructPipeline.from_pretrained()([image], n=3, seed=1).rows()`.
    """

    default_weights = DEFAULT_RECONSTRUCTION_WEIGHTS

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

    def __call__(
        self,
        images: Sequence[Photo],
        n: int | None = None,
        *,
        bottlenecks: Sequence[int] | None = None,
        cut: Cut = "crop",
        longest: int | None = None,
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> ReconstructResult:
        """Each of `images`, pictures or paths, of any size and mode, made anew: `n` samples (3) for
        each of `bottlenecks` (all).

        They are brought to the network as `cut` says; in "patches" with their longer side at most
        `longest` pixels long (left out: 256). `drawing`: seed, temperature, top_p, guidance and
        batch_size. What is left out comes from the weights' own defaults; a missing seed is drawn.
        Raises PixelgenError for what the weights cannot do.
        """
        request = ReconstructRequest.make(
            self.checkpoint.config,
            self.checkpoint.name,
            bottlenecks=bottlenecks,
            n=n,
            **drawing,
        )
        if longest is not None and cut != "patches":
            raise UsageError("longest is for pieces", 'cut="patches"')
        sides = (self.size, cut, LONGEST if longest is None else longest)
        return self.run(request, [fitted(load_photo(i), *sides) for i in images], on_step)

    def run(
        self,
        request: ReconstructRequest,
        images: Sequence[Image.Image],
        on_step: Callable[[Progress], None] | None = None,
    ) -> ReconstructResult:
        """Carry out a request that was made for these weights, on RGB pictures as `fitted` gives
        them: those that are not of the network's size are taken piece by piece."""
        started = time.perf_counter()
        pieces = [tile for image in images for tile in cut_tiles(image, self.size)]
        columns: list[list[Reconstruction]] = []
        if pieces and request.drawing is None:
            columns = [self._by_codes(images, pieces)]
        elif pieces:
            columns = [
                self._by_bottleneck(request, place, images, pieces, on_step)
                for place in range(len(request.bottlenecks))
            ]
        return ReconstructResult(
            sources=[*images],
            made=[list(row) for row in zip(*columns, strict=True)],
            seed=None if request.drawing is None else request.drawing.seed,
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )

    def unfinished(
        self,
        request: ReconstructRequest,
        images: Sequence[Image.Image],
        drawn: Sequence[Image.Image],
    ) -> list[list[Image.Image]]:
        """The rows of the result while it is made of `images`: the means, which come last, in grey.

        `drawn` are all samples of all pieces as they stand, in the order of drawing."""
        n = request.n
        each = len(drawn) // len(request.bottlenecks)
        means = [Image.new("RGB", image.size, (128, 128, 128)) for image in images]
        columns = [[*images]]
        for first in range(0, len(drawn), each):
            pieces = drawn[first : first + each]
            columns += [means, *(self._joined(images, pieces[i::n]) for i in range(n))]
        return [list(row) for row in zip(*columns, strict=True)]

    def interpolate(
        self,
        images: Sequence[Photo],
        steps: int = 9,
        *,
        bottleneck: int | None = None,
        fit: Fit = "crop",
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> InterpolationResult:
        """`steps` pictures on the straight way from the h of the first of `images` through those of
        the next ones to that of the last, both included.

        `bottleneck` is the largest of the weights if it is left out. All frames are drawn with the
        same random numbers, so that neighbours differ by their h alone. Takes `drawing` and raises
        as a call does, also for weights without auto-encoders.
        """
        made = self.checkpoint
        request = InterpolationRequest.make(
            made.config, made.name, len(images), steps, bottleneck=bottleneck, **drawing
        )
        return self.run_path(
            request, [square(load_photo(i), self.size, fit) for i in images], on_step
        )

    def run_path(
        self,
        request: InterpolationRequest,
        sources: Sequence[Image.Image],
        on_step: Callable[[Progress], None] | None = None,
    ) -> InterpolationResult:
        """Carry out a request that was made for these weights, on RGB pictures of the network's
        size. Raises ValueError for another number of pictures."""
        if len(sources) != request.photos:
            raise ValueError(f"{len(sources)} pictures for a request of {request.photos}")
        started = time.perf_counter()
        model = self.autoencoders[request.bottleneck]
        h = model.between(interpolate_path(self._encode(model, sources), request.steps))
        sampled = self._paint(model, h, request.drawing, on_step, one_stream=True)
        return InterpolationResult(
            images=sampled.images,
            means=self._means(model, h),
            sources=list(sources),
            bottleneck=request.bottleneck,
            seed=request.drawing.seed,
            bits_per_dim=sampled.bits_per_dim,
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )

    def _by_codes(
        self, images: Sequence[Image.Image], pieces: Sequence[Image.Image]
    ) -> list[Reconstruction]:
        """Every picture by way of the tokenizer."""
        assert self.codec is not None
        made = decode_images(self.codec, encode_images(self.codec, pieces))
        return [
            Reconstruction(
                source,
                None,
                image,
                ReconstructionMetrics.compare(source, image),
                [],
                [],
                None,
                None,
            )
            for source, image in zip(images, self._joined(images, made), strict=True)
        ]

    def _by_bottleneck(
        self,
        request: ReconstructRequest,
        place: int,
        images: Sequence[Image.Image],
        pieces: Sequence[Image.Image],
        on_step: Callable[[Progress], None] | None,
    ) -> list[Reconstruction]:
        """Every picture by way of the auto-encoder at `place` of the request."""
        assert request.drawing is not None
        n, bottleneck = request.n, request.bottlenecks[place]
        model = self.autoencoders[bottleneck]
        h = self._encode(model, pieces)
        bits = self._bits(model, pieces, h)
        drawn = self._paint(
            model,
            h,
            request.drawing,
            None
            if on_step is None
            else _counted(on_step, place * n * len(pieces), len(request.bottlenecks)),
            each=n,
        ).images
        means = self._joined(images, self._means(model, h))
        samples = [self._joined(images, drawn[i::n]) for i in range(n)]
        made = []
        first = 0
        for number, source in enumerate(images):
            count = tile_count(*source.size, self.size)
            own = [each[number] for each in samples]
            made.append(
                Reconstruction(
                    source=source,
                    bottleneck=bottleneck,
                    image=means[number],
                    likeness=ReconstructionMetrics.compare(source, means[number]),
                    samples=own,
                    samples_likeness=[
                        ReconstructionMetrics.compare(source, sample) for sample in own
                    ],
                    bits_per_dim=sum(bits[first : first + count]) / count,
                    seed=request.drawing.seed,
                )
            )
            first += count
        return made

    def _joined(
        self, images: Sequence[Image.Image], pieces: Sequence[Image.Image]
    ) -> list[Image.Image]:
        """What was made of the pieces of `images`, put together."""
        whole, first = [], 0
        for image in images:
            count = tile_count(*image.size, self.size)
            whole.append(join_tiles(pieces[first : first + count], *image.size))
            first += count
        return whole

    # One picture after the other: what becomes of it does not depend on the others, not even in
    # how sums are rounded.

    def _encode(self, model: Autoencoder, pieces: Sequence[Image.Image]) -> Tensor:
        """The h of every piece, [N, D], on the CPU."""
        import torch

        from pixelgen.models.likelihood import to_signed

        with torch.inference_mode():
            each = [model.encode(to_signed(self._tensor(piece), 256)) for piece in pieces]
        return torch.cat(each).cpu().clone()

    def _bits(self, model: Autoencoder, pieces: Sequence[Image.Image], h: Tensor) -> list[float]:
        """Bits per dimension of every piece given its h."""
        import torch

        from pixelgen.models.likelihood import bits_per_dim

        with torch.inference_mode():
            return [
                float(bits_per_dim(model.log_prob(self._tensor(piece).long(), own[None])))
                for piece, own in zip(pieces, h.to(self.device), strict=True)
            ]

    def _means(self, model: Autoencoder, h: Tensor) -> list[Image.Image]:
        """What the deconvolutional decoder makes of h [N, D]."""
        import torch

        from pixelgen.models.tokenizer import to_bytes

        with torch.inference_mode():
            each = [to_bytes(model.decode(own[None])) for own in h.to(self.device)]
        return to_images(torch.cat(each), 256)

    def _paint(
        self,
        model: Autoencoder,
        h: Tensor,
        drawing: Drawing,
        on_step: Callable[[Progress], None] | None,
        *,
        each: int = 1,
        one_stream: bool = False,
    ) -> SampledImages:
        """What the PixelCNN draws of h [N, D]: `each` pictures of the first, then of the next."""
        import torch

        from pixelgen.models.conditioning import Condition

        with torch.inference_mode():
            told = [model.condition(own[None]).to("cpu") for own in h.to(self.device)]
        return ImageSampler(self.checkpoint, self.device, model.pixels).paint(
            len(h) * each,
            Condition.cat(*told).repeat(each),
            options=drawing.options,
            seed=drawing.seed,
            batch_size=drawing.batch_size,
            streams=1 if one_stream else None,
            on_step=on_step,
        )

    def _tensor(self, piece: Image.Image) -> Tensor:
        return to_tensor([piece]).to(self.device)


def fitted(image: Image.Image, size: int, cut: Cut = "crop", longest: int = LONGEST) -> Image.Image:
    """`image`, of any size and mode, as RGB that a network of size×size pictures takes: of that
    size, or for pieces with its longer side at most `longest` pixels long."""
    if cut != "patches":
        return square(image, size, cut)
    return shrink(to_rgb(image), longest)


def _counted(
    on_step: Callable[[Progress], None], before: int, rounds: int
) -> Callable[[Progress], None]:
    """`on_step`, told of `before` pictures that were drawn earlier, in one of as long `rounds`."""
    return lambda moment: on_step(
        replace(moment, first=moment.first + before, total=moment.total * rounds)
    )
