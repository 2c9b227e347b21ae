"""How recognisable, realistic and diverse the samples of class-conditional weights are, as rated by
a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.dataset import (
    Part,
    classes_of,
    load_matching_images,
    with_ilsvrc_labels,
)
from pixelgen.evaluation.reconstructions import reconstruct_with
from pixelgen.evaluation.results import ClassSamplingSettings, Quality, QualityScores
from pixelgen.evaluation.shared_samples import draw_shared
from pixelgen.metrics.judge import CALIBRATION_IMAGES, Judge, best_labels, load_judge
from pixelgen.metrics.kid import kernel_distance
from pixelgen.metrics.progress import OnNote, OnPartProgress, OnProgress, ignore_note, part_progress
from pixelgen.pipelines import ClassPipeline, SampleRequest
from pixelgen.sampling import SamplingOverrides

if TYPE_CHECKING:
    from typing_extensions import Unpack


def measure_quality(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    *,
    samples_per_class: int = 4,
    part: Part = "all",
    seed: int = 0,
    limit: int | None = None,
    batch: int = 64,
    code_steps: int = 0,
    judge: Judge | None = None,
    note: OnNote = ignore_note,
    progress: OnPartProgress | None = None,
    **sampling: Unpack[SamplingOverrides],
) -> Quality:
    """Scores of the real images of a part's classes in a split, of their reconstructions, and of
    `samples_per_class` samples of each of these classes.

    Sampling options that are None take the weights' defaults. A tokenizer draws no samples; its
    classes are those that occur in the split. Labels are ILSVRC indices, or of classes with the
    names of ILSVRC's. `limit` takes at most that many images of the split, evenly spread; classes
    without an image are left out. Reconstructions are of codes that are improved in `code_steps`
    steps. `judge` is by default that of `load_judge`. `progress(part, done, total)` is called after
    every batch. Raises UsageError for weights without classes, and PixelgenError for data without
    labels or with those of other classes.
    """
    config, name = weights.config, weights.name
    device = next(weights.network.parameters()).device
    is_tokenizer = config.kind == "tokenizer"
    if config.kind in ("face-embedder", "autoencoder"):
        raise config.cannot_sample_error(name)
    if is_tokenizer and any(option is not None for option in sampling.values()):
        raise UsageError(f"{name} is a tokenizer: it draws no samples")
    if not is_tokenizer and not config.labels:
        raise UsageError(f"{name} has no classes, which quality is measured by")
    if config.labels and not config.has_imagenet_classes:
        raise UsageError(
            f"{name} has classes of its own: quality is judged by a classifier of ILSVRC's"
        )

    of_part = part_progress(progress)

    def request_samples(classes: Sequence[int]) -> SampleRequest:
        return SampleRequest.from_options(
            config,
            name,
            classes=classes,
            n=samples_per_class,
            seed=seed,
            batch_size=batch,
            **sampling,
        )

    # Wrong options and missing packages raise before the work begins.
    if not is_tokenizer:
        request_samples(config.labels[:1])
    judge = judge or load_judge(device, batch)
    loaded = load_matching_images(weights, data, split, limit, note, of_part("decoding"))
    if loaded.labels is None:
        raise PixelgenError(
            f"{data} has no column of labels",
            "quality is measured by ILSVRC class",
        )
    # Of weights with classes the labels have the numbers of these.
    pictures = loaded if config.labels else with_ilsvrc_labels(loaded)
    if pictures is None or pictures.labels is None:
        raise PixelgenError(
            f"the labels of {data} are of other classes than those of ILSVRC",
            "quality is measured by ILSVRC class",
        )
    known = sorted(config.labels or pictures.occurring_labels())
    wanted = torch.tensor(classes_of(part, known), dtype=torch.int64)
    rows = torch.isin(pictures.labels, wanted).nonzero()[:, 0]
    images, labels = pictures.images[rows], pictures.labels[rows]
    if not len(images):
        whose = "that the weights know" if part == "all" else f"of the part {part}"
        raise PixelgenError(f"{data} ({split}) has no pictures of the classes {whose}")
    classes = torch.unique(labels).tolist()
    request = None if is_tokenizer else request_samples(classes)
    some = torch.linspace(0, len(images) - 1, min(len(images), CALIBRATION_IMAGES)).long()
    size = judge.calibrate(images[some], labels[some], known, progress=of_part("calibrating"))

    def judged(what: str, images: Tensor, labels: Tensor) -> _Judged:
        return _Judged(labels, *judge.see(images, of_part(f"judging {what}")))

    real = judged("real", images, labels)
    reconstructed = samples = None
    if config.can_encode:
        decoded = reconstruct_with(
            weights.codec, images, batch, code_steps, of_part("reconstruction")
        )
        reconstructed = _scores(judged("reconstructed", decoded, labels), real, known)
    if request is not None:
        drawn = _sample(ClassPipeline(weights, device), request, of_part("samples"))
        of = torch.tensor(request.classes).repeat_interleave(request.n)
        samples = _scores(judged("samples", drawn, of), real, known)
    return Quality(
        part=part,
        classes=len(classes),
        judge_size=size,
        real=_scores(real, real, known),
        reconstructed=reconstructed,
        samples=samples,
        sampling=None if request is None else _sampling_settings(request),
        code_steps=None if reconstructed is None else code_steps or None,
    )


@dataclass(frozen=True)
class _Judged:
    """Images, as the judge sees them."""

    labels: Tensor
    logits: Tensor
    features: Tensor


def _sample(pipe: ClassPipeline, request: SampleRequest, progress: OnProgress | None) -> Tensor:
    """Samples uint8 [N, 3, H, W]."""
    return draw_shared(
        request.count,
        max(request.drawing.batch_size // request.candidates, 1),
        lambda rows, on_step: pipe.draw(request, [i + 1 for i in rows], on_step).images,
        progress,
    )


def _sampling_settings(request: SampleRequest) -> ClassSamplingSettings:
    drawing, options = request.drawing, request.drawing.options
    return ClassSamplingSettings(
        request.n,
        options.temperature,
        options.top_p,
        options.guidance,
        drawing.seed,
        options.vector_temperature if drawing.uses_vectors else None,
        request.candidates if request.candidates > 1 else None,
        options.effective_schedule,
    )


def _scores(judged: _Judged, real: _Judged, known: Sequence[int]) -> QualityScores:
    hits = best_labels(judged.logits, known, 5) == judged.labels[:, None]
    return QualityScores(
        pictures=len(hits),
        top1=float(hits[:, 0].double().mean()),
        top5=float(hits.any(1).double().mean()),
        kid=None if judged is real else kernel_distance(real.features, judged.features),
        diversity=_diversity(_spread(judged), _spread(real)),
    )


def _spread(judged: _Judged) -> dict[int, float]:
    """The mean distance between the features of each class with two images or more."""
    spread = {}
    for label in torch.unique(judged.labels).tolist():
        own = judged.features[judged.labels == label]
        if len(own) > 1:
            spread[label] = float(torch.pdist(own).mean())
    return spread


def _diversity(spread: dict[int, float], real: dict[int, float]) -> float | None:
    both = spread.keys() & real.keys()
    distance = sum(real[label] for label in both)
    return sum(spread[label] for label in both) / distance if distance else None
