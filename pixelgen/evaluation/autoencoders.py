"""What auto-encoders reach on a split: how much their code tells, and how each decoder uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData
from pixelgen.evaluation.likelihood import (
    Bits,
    Evaluation,
    Reconstructions,
    compare,
    fitting_pictures,
)
from pixelgen.evaluation.quality import CALIBRATED_ON
from pixelgen.labels import imagenet
from pixelgen.metrics.judge import Judge, load_judge
from pixelgen.metrics.kid import Kid, kernel_distance
from pixelgen.metrics.progress import Progress, Told, teller
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.pipelines.drawing import DrawingParameters
from pixelgen.pipelines.image_sampler import ImageSampler, picture_progress
from pixelgen.pipelines.reconstruct_request import autoencoder_drawing
from pixelgen.sampling import SamplingOverrides
from pixelgen.training.autoencoder_loss import bottleneck, conditions
from pixelgen.training.objective import image_bits

if TYPE_CHECKING:
    from typing_extensions import Unpack

DRAWN = 1000
"""Pictures at most, spread evenly over the split, that both decoders reconstruct."""


@dataclass(frozen=True)
class Judged:
    """Reconstructions in the eyes of a classifier of 1000 classes, beside their originals."""

    top1: float
    """Share whose first class is that of the original."""
    top5: float
    """Share that have the original's first class among their first five."""
    kid: Kid | None
    """Distance to the originals as a whole; None for fewer than four."""


@dataclass(frozen=True)
class DecoderFigures(Reconstructions):
    """How near a decoder's pictures come to the originals, means over all."""

    sharpness: float
    """Gradient energy, the mean squared difference of neighbours, over that of the originals."""
    judged: Judged | None
    """None if not asked for."""


@dataclass(frozen=True)
class BottleneckFigures:
    """An auto-encoder, its code and its decoders."""

    bottleneck: int
    """Numbers in between."""
    given: Bits | None
    """Each picture given its own h; None if not asked for."""
    shuffled: Bits | None
    """Given the h of another picture: a decoder that ignores h loses nothing. None for one
    picture."""
    without: Bits | None
    """By the same network, not told h; None where it never drew without."""
    mean: DecoderFigures
    """The deconvolutional decoder."""
    samples: DecoderFigures
    """The PixelCNN, one sample of each picture."""


@dataclass(frozen=True)
class Drawn:
    """How the samples were drawn."""

    temperature: float
    top_p: float
    guidance: float
    seed: int


@dataclass(frozen=True)
class AutoencoderFigures:
    """All auto-encoders of one folder."""

    pictures: int
    """How many were reconstructed."""
    sampling: Drawn
    """How."""
    judge_size: int | None
    """The side to which the judge enlarged them; None without a judge."""
    bottlenecks: tuple[BottleneckFigures, ...]
    """The smallest first."""


def measure_autoencoders(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    *,
    limit: int | None = None,
    batch: int = 64,
    likelihood: bool = True,
    quality: bool = False,
    seed: int = 0,
    reconstructions: int = DRAWN,
    judge: Judge | None = None,
    progress: Progress | None = None,
    **sampling: Unpack[SamplingOverrides],
) -> Evaluation:
    """Exact bits per dimension over every row of a split, each picture given its own h, another's,
    and none; and how near those come that are made of `reconstructions` pictures, spread evenly.

    With `quality` a classifier judges these too: `judge`, by default that of `load_judge`. What is
    left out of the sampling options comes from the weights' own defaults. `limit` takes that many
    rows of the split, spread evenly. `progress(what, done, total)` is told as the work goes on.
    Raises PixelgenError for weights without auto-encoders, and data that do not fit them.
    """
    models = weights.autoencoders

    told = teller(progress)
    drawing = autoencoder_drawing(
        weights.config,
        weights.name,
        ("reconstructions", reconstructions, 1),
        seed=seed,
        batch_size=batch,
        **sampling,
    )
    device = next(weights.network.parameters()).device
    if quality:  # where it is missing, that is told before the work begins
        judge = judge or load_judge(device, batch)
    pictures = fitting_pictures(weights, data, split, limit, told("decoding"))
    rows = _spread(len(pictures), reconstructions)
    if quality and judge:
        _calibrate(judge, pictures, told("calibrating"))
    originals = _Originals(
        pictures.images[rows],
        judge.see(pictures.images[rows], told("judging originals")) if quality and judge else None,
    )
    figures = []
    untold: dict[nn.Module, Bits] = {}  # two bottlenecks may have one network
    for numbers, model in models.items():

        def about(what: str, numbers: int = numbers) -> Told | None:
            return told(f"{numbers}: {what}")

        h, means = bottleneck(model, pictures.images, batch, progress=about("codes"))
        bits: tuple[Bits | None, Bits | None, Bits | None] = (None, None, None)
        if likelihood:
            if weights.config.unconditional and model.pixels not in untold:
                untold[model.pixels] = _bits(model, pictures.images, None, batch, told("without h"))
            without = untold.get(model.pixels)
            bits = (*_given_h(model, pictures.images, h, batch, about), without)
        samples = _draw(weights, model, h[rows], drawing, about("samples"))
        see = judge if quality else None
        figures.append(
            BottleneckFigures(
                numbers,
                *bits,
                _decoder(originals, means[rows], see, device, batch, about("judging means")),
                _decoder(originals, samples, see, device, batch, about("judging samples")),
            )
        )
    options = drawing.options
    return Evaluation(
        images=len(pictures),
        conditional=None,
        unconditional=None,
        reconstruction=None,
        autoencoders=AutoencoderFigures(
            pictures=len(rows),
            sampling=Drawn(options.temperature, options.top_p, options.guidance, drawing.seed),
            judge_size=judge.size if quality and judge else None,
            bottlenecks=tuple(figures),
        ),
    )


@dataclass(frozen=True)
class _Originals:
    images: Tensor
    """uint8 [N, 3, S, S]."""
    seen: tuple[Tensor, Tensor] | None
    """The judge's logits and features of them."""


def _spread(total: int, count: int) -> Tensor:
    """Up to `count` of `total` rows, evenly, int64."""
    return torch.linspace(0, total - 1, min(total, count)).round().long()


def _calibrate(judge: Judge, pictures: ImageData, progress: Told | None) -> None:
    """Lets the judge find its best size, if labels say what is on the pictures."""
    if pictures.labels is None:
        return
    if not 0 <= int(pictures.labels.min()) <= int(pictures.labels.max()) < len(imagenet()):
        return
    some = _spread(len(pictures), CALIBRATED_ON)
    known = pictures.occurring_labels()
    judge.calibrate(pictures.images[some], pictures.labels[some], known, progress=progress)


def _bits(
    model: Autoencoder,
    images: Tensor,
    h: Tensor | None,
    batch: int,
    progress: Told | None,
) -> Bits:
    """Bits per dimension given h [N, D], or none."""
    condition = None if h is None else conditions(model, h)
    return Bits.of(image_bits(model.pixels, images, condition, batch, progress=progress))


def _given_h(
    model: Autoencoder, images: Tensor, h: Tensor, batch: int, about: Callable[[str], Told | None]
) -> tuple[Bits, Bits | None]:
    """Bits per dimension given each picture's own h, and that of another picture."""
    own = _bits(model, images, h, batch, about("given h"))
    if len(h) == 1:
        return own, None
    # Pictures of one class often stand side by side: the other one is drawn at random.
    order = torch.randperm(len(h), generator=torch.Generator().manual_seed(0))
    other = torch.empty_like(h)
    other[order] = h[order.roll(1)]
    return own, _bits(model, images, other, batch, about("given another h"))


def _draw(
    weights: LoadedCheckpoint,
    model: Autoencoder,
    h: Tensor,
    drawing: DrawingParameters,
    progress: Told | None,
) -> Tensor:
    """A sample of each h [N, D], uint8 [N, 3, S, S]."""
    sampler = ImageSampler(weights, next(model.parameters()).device, model.pixels)
    told, batch = conditions(model, h), drawing.batch_size
    every = (told(slice(first, first + batch)).to("cpu") for first in range(0, len(h), batch))
    sampled = sampler.sample(
        len(h), Condition.cat(*every), drawing, on_step=picture_progress(progress)
    )
    return to_tensor(sampled.images)


def _decoder(
    originals: _Originals,
    made: Tensor,
    judge: Judge | None,
    device: torch.device,
    batch: int,
    progress: Told | None,
) -> DecoderFigures:
    """Of what a decoder made of the originals, uint8 [N, 3, S, S]."""
    images = originals.images
    near = compare(images, made, device, batch)
    judged = None
    if judge is not None and originals.seen is not None:
        logits, features = originals.seen
        own_logits, own_features = judge.see(made, progress)
        hits = own_logits.topk(5).indices == logits.argmax(1, keepdim=True)
        judged = Judged(
            top1=float(hits[:, 0].double().mean()),
            top5=float(hits.any(1).double().mean()),
            kid=kernel_distance(features, own_features),
        )
    sharpness = gradient_energy(made) / max(gradient_energy(images), 1e-9)
    return DecoderFigures(near.psnr, near.ssim, near.perceptual, sharpness, judged)


def gradient_energy(images: Tensor) -> float:
    """The mean squared difference of neighbouring values, across and down, of pictures
    [N, C, H, W]."""
    x = images.double()
    across, down = x.diff(dim=3).square().mean(), x.diff(dim=2).square().mean()
    return float(across + down)
