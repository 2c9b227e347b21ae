"""Auto-encoders on the images of a split: what their latents are worth, and to which decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData, evenly_spread
from pixelgen.evaluation.dataset import load_matching_images, with_ilsvrc_labels
from pixelgen.evaluation.results import (
    AutoencoderScores,
    BitsPerDim,
    BottleneckScores,
    DecoderScores,
    Evaluation,
    LatentBound,
    SameClassScores,
    SamplingSettings,
)
from pixelgen.evaluation.shared_samples import draw_shared
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.metrics.judge import CALIBRATION_IMAGES, Judge, load_judge
from pixelgen.metrics.kid import kernel_distance
from pixelgen.metrics.latent_bound import image_bounds
from pixelgen.metrics.latents import conditions_given, latents_and_means
from pixelgen.metrics.progress import OnNote, OnPartProgress, OnProgress, ignore_note, part_progress
from pixelgen.metrics.reconstruction import measure_reconstruction
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.pixelvae import PixelVAE
from pixelgen.pipelines.drawing import DrawingParameters, check_whole
from pixelgen.pipelines.image_sampler import ImageSampler, OnStep
from pixelgen.pipelines.reconstruct_request import autoencoder_drawing
from pixelgen.pipelines.score_request import check_importance_samples
from pixelgen.random_streams import RandomStream, stream_generator
from pixelgen.sampling import SamplingOverrides

if TYPE_CHECKING:
    from typing_extensions import Unpack

RECONSTRUCTIONS = 1000
"""Images that both decoders reconstruct by default, at most."""
ClassifierOutput = tuple[Tensor, Tensor]
"""Logits [N, K] and features [N, F]."""


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
    reconstructions: int = RECONSTRUCTIONS,
    importance_samples: int | None = None,
    judge: Judge | None = None,
    note: OnNote = ignore_note,
    progress: OnPartProgress | None = None,
    **sampling: Unpack[SamplingOverrides],
) -> Evaluation:
    """Exact bits per dimension over all images of a split, each given its own latent h, that of
    another image, and none; and how close reconstructions come, of `reconstructions` images, evenly
    spread.

    Of a PixelVAE, whose h is drawn from q(h | x), also bounds of the likelihood of each image, the
    importance-weighted one by `importance_samples` draws (8), and the bits given an h drawn from
    the prior.

    With `quality` a classifier rates these too: `judge`, by default that of `load_judge`. Sampling
    options that are None take the weights' defaults. `limit` takes at most that many images of the
    split, evenly spread. `progress(part, done, total)` is called after every batch. Raises
    PixelgenError for weights without auto-encoders, and data that do not fit them.
    """
    models = weights.autoencoders
    of_part = part_progress(progress)
    reconstructions = check_whole("reconstructions", reconstructions, 1)
    drawing = autoencoder_drawing(
        weights.config,
        weights.name,
        seed=seed,
        batch_size=batch,
        **sampling,
    )
    samples = check_importance_samples(weights.config, weights.name, importance_samples)
    device = next(weights.network.parameters()).device
    if not quality:
        judge = None
    elif judge is None:  # raises before the work begins where it is not installed
        judge = load_judge(device, batch)
    images = load_matching_images(weights, data, split, limit, note, of_part("decoding"))
    rows = evenly_spread(len(images), reconstructions)
    originals = images.images[rows]
    original_features: ClassifierOutput | None = None
    if judge is not None:
        _calibrate(judge, images, of_part("calibrating"))
        original_features = judge.see(originals, of_part("judging originals"))

    def decoder_scores(decoded: Tensor, progress: OnProgress | None) -> DecoderScores:
        close = measure_reconstruction(originals, decoded, device, batch)
        judged = None
        if judge is not None and original_features is not None:
            judged = _same_class(original_features, judge.see(decoded, progress))
        sharpness = gradient_energy(decoded) / max(gradient_energy(originals), 1e-9)
        return DecoderScores(close.psnr, close.ssim, close.perceptual, sharpness, judged)

    scores = []
    bound: LatentBound | None = None
    without: dict[nn.Module, BitsPerDim] = {}  # two bottlenecks may share one network
    for size, model in models.items():

        def of_model(part: str, size: int = size) -> OnProgress | None:
            return of_part(f"{size}: {part}")

        h, means = latents_and_means(model, images.images, batch, progress=of_model("codes"))
        own = other = None
        if likelihood:
            if weights.config.unconditional and model.pixels not in without:
                without[model.pixels] = _bits(
                    weights, model, images.images, None, batch, of_part("without h")
                )
            latents = h
            if isinstance(model, PixelVAE):
                assert samples is not None  # see `check_importance_samples`
                bound, own, latents = _bound(
                    weights, model, images.images, samples, seed, batch, of_model
                )
            else:
                own = _bits(weights, model, images.images, h, batch, of_model("given h"))
            if len(h) > 1:
                shuffled = _shuffled(latents)
                other = _bits(
                    weights, model, images.images, shuffled, batch, of_model("given another h")
                )
        drawn = _sample(weights, model, h[rows], drawing, of_model("samples"))
        scores.append(
            BottleneckScores(
                bottleneck=size,
                given=own,
                shuffled=other,
                without=without.get(model.pixels),
                mean=decoder_scores(means[rows], of_model("judging means")),
                samples=decoder_scores(drawn, of_model("judging samples")),
            )
        )
    options = drawing.options
    return Evaluation(
        images=len(images),
        autoencoders=AutoencoderScores(
            pictures=len(rows),
            sampling=SamplingSettings(
                options.temperature,
                options.top_p,
                options.guidance,
                drawing.seed,
                options.effective_schedule,
            ),
            judge_size=None if judge is None else judge.size,
            bottlenecks=tuple(scores),
        ),
        bound=bound,
    )


def _calibrate(judge: Judge, images: ImageData, progress: OnProgress | None) -> None:
    """Lets the judge find its best size, where the labels are ILSVRC classes."""
    named = with_ilsvrc_labels(images)
    if named is None or named.labels is None:
        return
    some = evenly_spread(len(named), CALIBRATION_IMAGES)
    known = named.occurring_labels()
    judge.calibrate(named.images[some], named.labels[some], known, progress=progress)


def _bits(
    weights: LoadedCheckpoint,
    model: Autoencoder,
    images: Tensor,
    h: Tensor | None,
    batch: int,
    progress: OnProgress | None,
) -> BitsPerDim:
    """Bits per dimension given h [N, D], or given nothing. Raises PixelgenError where the network
    gives no numbers."""
    condition = None if h is None else conditions_given(model, h)
    found = image_bits(model.pixels, images, condition, batch, progress=progress)
    if found.isnan().any():
        raise weights.not_finite_error()
    return BitsPerDim.of(found)


def _bound(
    weights: LoadedCheckpoint,
    model: PixelVAE,
    images: Tensor,
    samples: int,
    seed: int,
    batch: int,
    of_model: Callable[[str], OnProgress | None],
) -> tuple[LatentBound, BitsPerDim, Tensor]:
    """The bounds of a PixelVAE, the bits given an h drawn from q(h | x) for each image, and such an
    h for each, [N, D]. Raises PixelgenError where the network gives no numbers."""

    def generator(counter: int) -> torch.Generator:
        return stream_generator(seed, RandomStream.LATENT, counter)

    found = image_bounds(model, images, samples, generator(0), batch, progress=of_model("bound"))
    if found.importance_weighted.isnan().any():
        raise weights.not_finite_error()
    size = (len(images), model.config.bottleneck)
    prior = torch.randn(size, generator=generator(1))
    bound = LatentBound(
        importance_weighted=BitsPerDim.of(found.importance_weighted),
        samples=samples,
        elbo=BitsPerDim.of(found.elbo),
        kl=BitsPerDim.of(found.kl),
        prior=_bits(weights, model, images, prior, batch, of_model("given h of the prior")),
    )
    own = found.posterior.at(torch.randn(size, generator=generator(2)))
    return bound, BitsPerDim.of(found.given), own


def _shuffled(h: Tensor) -> Tensor:
    """Latents [N, D] of other images, in random order: neighbours often are of one class."""
    order = torch.randperm(len(h), generator=torch.Generator().manual_seed(0))
    other = torch.empty_like(h)
    other[order] = h[order.roll(1)]
    return other


def _sample(
    weights: LoadedCheckpoint,
    model: Autoencoder,
    h: Tensor,
    drawing: DrawingParameters,
    progress: OnProgress | None,
) -> Tensor:
    """A sample for each latent h [N, D], uint8 [N, 3, S, S]."""
    sampler = ImageSampler(weights, next(model.parameters()).device, model.pixels)
    condition_of = conditions_given(model, h)

    def draw(rows: range, on_step: OnStep | None) -> list[Image.Image]:
        condition = condition_of(slice(rows.start, rows.stop))
        return sampler.sample(len(h), condition, drawing, only=rows, on_step=on_step).images

    return draw_shared(len(h), drawing.batch_size, draw, progress)


def _same_class(originals: ClassifierOutput, decoded: ClassifierOutput) -> SameClassScores:
    """How a classifier rates decoded images against their originals."""
    hits = decoded[0].topk(5).indices == originals[0].argmax(1, keepdim=True)
    return SameClassScores(
        top1=float(hits[:, 0].double().mean()),
        top5=float(hits.any(1).double().mean()),
        kid=kernel_distance(originals[1], decoded[1]),
    )


def gradient_energy(images: Tensor) -> float:
    """The mean squared difference of neighbouring values, across and down, of images
    [N, C, H, W]."""
    x = images.double()
    across, down = x.diff(dim=3).square().mean(), x.diff(dim=2).square().mean()
    return float(across + down)
