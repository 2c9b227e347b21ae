"""How recognisable, how near to real pictures and how diverse samples of class-conditional weights
are, in the eyes of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.likelihood import fitting_pictures
from pixelgen.labels import imagenet
from pixelgen.metrics.judge import Judge, best_labels, load_judge
from pixelgen.metrics.kid import Kid, kernel_distance
from pixelgen.metrics.progress import Progress, Told, teller
from pixelgen.pipelines import ClassPipeline, SampleRequest, picture_progress
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.sampling import SamplingOverrides
from pixelgen.training.tokenizer_loss import reconstruct

if TYPE_CHECKING:
    from typing_extensions import Unpack

Part = Literal["all", "tune", "report"]

CALIBRATED_ON = 1000
"""Real pictures at most, spread evenly, that the judge is calibrated on."""


@dataclass(frozen=True)
class QualityScores:
    """What the judge makes of some pictures."""

    pictures: int
    """How many they are."""
    top1: float
    """Share that it takes for their own class, among all classes that the weights know."""
    top5: float
    """Share whose own class is among its first five."""
    kid: Kid | None
    """Distance to the real pictures; None for these themselves, and for too few pictures."""
    diversity: float | None
    """Mean distance between the features of different pictures of a class, over that of real ones:
    1 is as diverse. None where no class has two pictures."""


@dataclass(frozen=True)
class Draws:
    """How the samples were drawn."""

    samples_per_class: int
    temperature: float
    top_p: float
    guidance: float
    seed: int
    vector_temperature: float | None = None
    """None where no vectors of classes were drawn first."""


@dataclass(frozen=True)
class Quality:
    """Real pictures, their reconstructions and samples of the same classes, side by side."""

    part: Part
    """Which of the classes that the weights know."""
    classes: int
    """How many of them."""
    judge_size: int
    """The side to which the judge enlarges pictures, calibrated on the real ones."""
    real: QualityScores
    reconstructed: QualityScores | None
    """None for weights that model pixels."""
    samples: QualityScores | None
    """None for a tokenizer."""
    sampling: Draws | None
    """None for a tokenizer."""


def classes_of(part: Part, labels: Sequence[int]) -> list[int]:
    """The classes of a part: `tune`, to choose settings by, is every second one in order, from the
    first; `report`, for figures that these choices did not see, is the others."""
    first, step = {"all": (0, 1), "tune": (0, 2), "report": (1, 2)}[part]
    return sorted(labels)[first::step]


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
    judge: Judge | None = None,
    progress: Progress | None = None,
    **sampling: Unpack[SamplingOverrides],
) -> Quality:
    """Marks of the real pictures of a part's classes in a split, of their reconstructions, and of
    `samples_per_class` samples of every one of these classes.

    What is left out of the sampling options comes from the weights' own defaults. A tokenizer draws
    no samples; it knows the classes that occur in the split. Labels are ILSVRC indices. `limit`
    takes that many rows of the split, spread evenly; a class without a row is left out. Without a
    `judge` it is that of `load_judge`. `progress(what, done, total)` is told as the work goes on.
    Raises PixelgenError for weights without classes (exit code 2) and data without labels.
    """
    config, name = weights.config, weights.name
    device = next(weights.network.parameters()).device
    alone = config.kind == "tokenizer"
    if config.kind in ("face-embedder", "autoencoder"):
        raise config.cannot_sample_error(name)
    if alone and any(option is not None for option in sampling.values()):
        raise UsageError(f"{name} is a tokenizer: it draws no samples")
    if not alone and not config.labels:
        raise UsageError(f"{name} knows no classes, so none can be recognised")

    told = teller(progress)

    def asked_of(classes: Sequence[int]) -> SampleRequest:
        return SampleRequest.from_options(
            config,
            name,
            classes=classes,
            n=samples_per_class,
            seed=seed,
            batch_size=batch,
            **sampling,
        )

    # Whatever is wrong or missing is told before the work begins.
    if not alone:
        asked_of(config.labels[:1])
    judge = judge or load_judge(device, batch)
    pictures = fitting_pictures(weights, data, split, limit, told("decoding"))
    if pictures.labels is None:
        raise PixelgenError(f"{data} has no column of labels", "quality is judged by class")
    known = sorted(config.labels or pictures.occurring_labels())
    if not 0 <= known[0] <= known[-1] < len(imagenet()):
        raise PixelgenError(f"the judge knows the {len(imagenet())} classes of ILSVRC only")
    wanted = torch.tensor(classes_of(part, known), dtype=torch.int64)
    rows = torch.isin(pictures.labels, wanted).nonzero()[:, 0]
    images, labels = pictures.images[rows], pictures.labels[rows]
    if not len(images):
        whose = "that the weights know" if part == "all" else f"of the part {part}"
        raise PixelgenError(f"{data} ({split}) has no pictures of the classes {whose}")
    classes = torch.unique(labels).tolist()
    request = None if alone else asked_of(classes)
    some = torch.linspace(0, len(images) - 1, min(len(images), CALIBRATED_ON)).long()
    size = judge.calibrate(images[some], labels[some], known, progress=told("calibrating"))

    def see(what: str, images: Tensor, labels: Tensor) -> _Seen:
        return _Seen(labels, *judge.see(images, told(f"judging {what}")))

    real = see("real", images, labels)
    reconstructed = samples = None
    if config.can_encode:
        made = reconstruct(weights.codec, images, batch, progress=told("reconstruction"))
        reconstructed = _marks(see("reconstructed", made, labels), real, known)
    if request is not None:
        drawn = _draw(ClassPipeline(weights, device), request, told("samples"))
        of = torch.tensor(request.classes).repeat_interleave(request.n)
        samples = _marks(see("samples", drawn, of), real, known)
    return Quality(
        part=part,
        classes=len(classes),
        judge_size=size,
        real=_marks(real, real, known),
        reconstructed=reconstructed,
        samples=samples,
        sampling=None if request is None else _draws(request),
    )


@dataclass(frozen=True)
class _Seen:
    """Pictures as the judge sees them."""

    labels: Tensor
    logits: Tensor
    features: Tensor


def _draw(pipe: ClassPipeline, request: SampleRequest, progress: Told | None) -> Tensor:
    """Samples uint8 [N, 3, H, W]."""
    return to_tensor(pipe.run(request, picture_progress(progress)).images)


def _draws(request: SampleRequest) -> Draws:
    drawing, options = request.drawing, request.drawing.options
    return Draws(
        request.n,
        options.temperature,
        options.top_p,
        options.guidance,
        drawing.seed,
        options.vector_temperature if drawing.uses_vectors else None,
    )


def _marks(seen: _Seen, real: _Seen, known: Sequence[int]) -> QualityScores:
    hits = best_labels(seen.logits, known, 5) == seen.labels[:, None]
    return QualityScores(
        pictures=len(hits),
        top1=float(hits[:, 0].double().mean()),
        top5=float(hits.any(1).double().mean()),
        kid=None if seen is real else kernel_distance(real.features, seen.features),
        diversity=_diversity(_spread(seen), _spread(real)),
    )


def _spread(seen: _Seen) -> dict[int, float]:
    """Of every class with two pictures or more, the mean distance between their features."""
    spread = {}
    for label in torch.unique(seen.labels).tolist():
        own = seen.features[seen.labels == label]
        if len(own) > 1:
            spread[label] = float(torch.pdist(own).mean())
    return spread


def _diversity(spread: dict[int, float], real: dict[int, float]) -> float | None:
    both = spread.keys() & real.keys()
    distance = sum(real[label] for label in both)
    return sum(spread[label] for label in both) / distance if distance else None
