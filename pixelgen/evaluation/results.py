"""What an evaluation measures: typed results, and their JSON.

The fields are the keys of the JSON that `pixelgen evaluate --json` prints and of "evaluation" in a
`config.json`, which must stay readable: a renamed field needs its old name in `from_dict`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from torch import Tensor

from pixelgen.checkpoints.classification import ClassificationScores
from pixelgen.evaluation.dataset import Part
from pixelgen.metrics.bootstrap import Estimate
from pixelgen.metrics.face_similarity import IdentityMatch
from pixelgen.metrics.kid import Kid
from pixelgen.metrics.lightness import LightnessMatch
from pixelgen.metrics.reconstruction import ReconstructionScores
from pixelgen.metrics.verification import Verification

Result = TypeVar("Result")


@dataclass(frozen=True)
class BitsPerDim:
    """A negative log-likelihood."""

    bits_per_dim: float
    """In bits over C·H·W, the mean over images."""
    standard_error: float | None
    """Of that mean; None for a single image."""

    @staticmethod
    def of(bits: Tensor) -> BitsPerDim:
        """The mean of [N] images."""
        error = float(bits.std()) / math.sqrt(len(bits)) if len(bits) > 1 else None
        return BitsPerDim(float(bits.mean()), error)


@dataclass(frozen=True)
class SameClassScores:
    """How a classifier of the 1000 ILSVRC classes rates reconstructions against their originals."""

    top1: float
    """Share whose likeliest class is that of the original."""
    top5: float
    """Share with the original's likeliest class among their five likeliest."""
    kid: Kid | None
    """Kernel distance to the originals as a set; None for fewer than four."""


@dataclass(frozen=True)
class DecoderScores(ReconstructionScores):
    """How close the output of a decoder comes to the originals: means over all images."""

    sharpness: float
    """Gradient energy (mean squared difference of neighbours) over that of the originals."""
    judged: SameClassScores | None
    """None unless `quality` was asked for."""


@dataclass(frozen=True)
class BottleneckScores:
    """An auto-encoder of one bottleneck: its likelihoods and its two decoders."""

    bottleneck: int
    """Latent dimensions."""
    given: BitsPerDim | None
    """Each image given its own latent h; None if not asked for."""
    shuffled: BitsPerDim | None
    """Given the h of another image: a decoder that ignores h loses nothing. None for one image."""
    without: BitsPerDim | None
    """The same network without h; None where it was not trained for that."""
    mean: DecoderScores
    """The deconvolutional decoder."""
    samples: DecoderScores
    """The PixelCNN decoder, one sample per image."""


@dataclass(frozen=True)
class SamplingSettings:
    """How reconstructions were sampled."""

    temperature: float
    top_p: float
    guidance: float
    seed: int
    guidance_schedule: str | None = None
    """Where guidance applies (`SamplingOptions`); None: everywhere."""


@dataclass(frozen=True)
class AutoencoderScores:
    """All auto-encoders of one checkpoint."""

    pictures: int
    """Images that were reconstructed."""
    sampling: SamplingSettings
    judge_size: int | None
    """Side to which the judge enlarges images; None without a judge."""
    bottlenecks: tuple[BottleneckScores, ...]
    """In order of the bottleneck, the smallest first."""


@dataclass(frozen=True)
class LatentBound:
    """Upper bounds of -log2 p(x) by a PixelVAE, none of which is exact, and what its latent is
    worth: `given` and `shuffled` of `BottleneckScores` are given an h drawn from q(h | x)."""

    importance_weighted: BitsPerDim
    """The importance-weighted bound (Burda et al. 2015): at most the ELBO on average."""
    samples: int
    """Latents drawn for it."""
    elbo: BitsPerDim
    """The ELBO: `given`, and the divergence of h."""
    kl: BitsPerDim
    """The divergence of q(h | x) from the prior."""
    prior: BitsPerDim
    """Given an h drawn from the prior."""


@dataclass(frozen=True)
class QualityScores:
    """How the judge rates a set of images."""

    pictures: int
    """Size of the set."""
    top1: float
    """Share classified as their own class, among the classes that the weights know."""
    top5: float
    """Share with their own class among the five likeliest."""
    kid: Kid | None
    """Kernel distance to the real images; None for the real images, and for too few images."""
    diversity: float | None
    """Mean distance between features of images of a class over that of real images: 1 is as
    diverse. None where no class has two images."""


@dataclass(frozen=True)
class ClassSamplingSettings:
    """How samples of classes were drawn."""

    samples_per_class: int
    temperature: float
    top_p: float
    guidance: float
    seed: int
    vector_temperature: float | None = None
    """None for weights without class priors."""
    candidates: int | None = None
    """Pictures drawn for each sample; None: one."""
    guidance_schedule: str | None = None
    """Where guidance applies (`SamplingOptions`); None: everywhere."""


@dataclass(frozen=True)
class Quality:
    """Real images, reconstructions and samples of the same classes, side by side."""

    part: Part
    """Which of the classes that the weights know."""
    classes: int
    """Number of these classes."""
    judge_size: int
    """Side to which the judge enlarges images, calibrated on the real ones."""
    real: QualityScores
    reconstructed: QualityScores | None
    """None for weights that model pixels."""
    samples: QualityScores | None
    """None for a tokenizer."""
    sampling: ClassSamplingSettings | None
    """None for a tokenizer."""
    code_steps: int | None = None
    """Gradient steps that improved the codes of reconstructions; None: they are the encoder's."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary, without `candidates` where one picture is drawn for each."""
        values = asdict(self)
        if self.sampling is not None and self.sampling.candidates is None:
            del values["sampling"]["candidates"]
        return values


@dataclass(frozen=True)
class IdentityScores:
    """How images of some people compare to photos that they were not made from."""

    pictures: int
    """Number of images, equally many per person."""
    independent: IdentityMatch
    """By the judge that no training sees."""
    embedder: IdentityMatch
    """By the weights' own face embedder."""
    diversity: Estimate | None
    """As `IdentityMatch.diversity`, of the pixels themselves."""
    kid: Kid | None
    """Kernel distance to real photos in features of EfficientNet-lite2; None for few images. That
    of a perfect model is slightly negative: its images meet photos of the same people more often
    than images, or photos, of one person meet each other."""
    copies: Estimate
    """Share that copies the source photo: nearest to it among all photos, and nearer than is usual
    for two photos of one person."""
    lightness: LightnessMatch | None = None
    """How light the faces are beside other photos of the same people; None for fewer than five
    people, and in older reports."""


@dataclass(frozen=True, kw_only=True)
class PortraitSamplingSettings:
    """How portraits were sampled."""

    people: int
    """Number of people portrayed."""
    portraits: int
    """Per person."""
    candidates: int = 1
    """Samples per portrait, of which the one most similar to the source photo was kept."""
    temperature: float
    top_p: float
    guidance: float
    seed: int
    """Of the portraits, and of the choice of the source photos."""
    guidance_schedule: str | None = None
    """Where guidance applies (`SamplingOptions`); None: everywhere."""


@dataclass(frozen=True)
class Identity:
    """Source photos, their reconstructions and portraits of the same people, side by side."""

    part: Part
    """Which of the people in the split."""
    judge: str
    """Name of the independent judge."""
    photos: int
    """Photos in the split."""
    gallery: int
    """Photos that images are compared to: all but the source photos."""
    gallery_people: int
    """People in the gallery: a guess is right once in so many."""
    copy_distance: float
    """Threshold below which an image counts as a copy: 1 % of the distances between two photos of
    one person are smaller."""
    false_copies: Estimate
    """Share of the other real photos of these people that count as copies: what a perfect model
    would get."""
    sources: IdentityScores
    """The source photos in place of portraits: what a model that copies them would get."""
    reconstructed: IdentityScores | None
    """The source photos through the tokenizer: the limit set by its decoder. None for weights that
    model pixels."""
    portraits: IdentityScores
    sampling: PortraitSamplingSettings
    code_steps: int | None = None
    """Gradient steps that improved the codes of reconstructions; None: they are the encoder's."""


@dataclass(frozen=True)
class Evaluation:
    """What the weights reach on a split."""

    images: int
    """Number of images."""
    conditional: BitsPerDim | None = None
    """Each image (its codes, where the model draws codes) given its class, or given another photo
    of the same person (people with one photo are left out); None for weights without conditions,
    or if not asked for."""
    unconditional: BitsPerDim | None = None
    """Without a condition; None for weights that draw nothing, or never without a class."""
    reconstruction: ReconstructionScores | None = None
    """Of the tokenizer; None for weights that model pixels."""
    code_steps: int | None = None
    """Gradient steps that improved the codes of reconstructions; None: they are the encoder's."""
    verification: Verification | None = None
    """How well the face embedder tells people apart; None for other weights."""
    autoencoders: AutoencoderScores | None = None
    """None for other weights."""
    given_vectors: BitsPerDim | None = None
    """Each image given its class and the condition vector of its own classifier features; None for
    weights without such vectors, and where the classifier is not installed."""
    bound: LatentBound | None = None
    """Of a PixelVAE, whose likelihood has only bounds; None for other weights."""

    @property
    def main(self) -> BitsPerDim | None:
        """The likelihood that these weights are for."""
        return self.conditional or self.unconditional


@dataclass(frozen=True)
class EvaluationReport:
    """An evaluation and what it was made with."""

    data: str
    split: str
    result: Evaluation
    weights: str = ""
    """Bundled name, folder or Hub id."""
    revision: str = ""
    """The Hub's commit, or a hash of the tensor files (`sha256:…`)."""
    limit: int | None = None
    """Images of the split at most, evenly spread; None: all."""
    quality: Quality | None = None
    identity: Identity | None = None
    classification: ClassificationScores | None = None
    seconds: float | None = None
    """Duration of the evaluation."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary: the fields of `result` and those of its main likelihood stand
        beside the others."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        main = self.result.main
        return {
            **{name: values[name] for name in ("weights", "revision", "data", "split", "limit")},
            **asdict(self.result),
            **({} if main is None else asdict(main)),
            "quality": None if self.quality is None else self.quality.to_dict(),
            "identity": None if self.identity is None else asdict(self.identity),
            "classification": None if self.classification is None else asdict(self.classification),
            "seconds": self.seconds,
        }

    @staticmethod
    def from_dict(values: object) -> EvaluationReport:
        """Inverse of `to_dict`, and of what earlier versions wrote. Raises ValueError that says
        which key is missing, unknown or of a wrong type."""
        if not isinstance(values, Mapping):
            raise ValueError(f"an evaluation must be an object, not {values!r}")
        repeated = {f.name for f in fields(BitsPerDim)}  # the main likelihood
        names = {f.name for f in fields(Evaluation)}
        result = {name: value for name, value in values.items() if name in names}
        rest = {k: v for k, v in values.items() if k not in names | repeated}
        return result_from_dict(EvaluationReport, {**rest, "result": result})


def result_from_dict(cls: type[Result], values: object, where: str = "") -> Result:
    """The dataclass `cls` from a JSON object at the key `where`. Raises ValueError that says which
    key is missing, unknown or of a wrong type."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where or 'an evaluation'} must be an object, not {values!r}")
    hints = get_type_hints(cls)
    found: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]
        key = f"{where}.{field.name}".removeprefix(".").removeprefix("result.")
        if field.name in values:
            found[field.name] = _value(hints[field.name], values[field.name], key)
        elif field.default is MISSING:
            raise ValueError(f"{key} is missing")
    unknown = values.keys() - found.keys()
    if unknown:
        raise ValueError(f"unknown key {f'{where}.{min(unknown)}'.removeprefix('.')}")
    return cls(**found)


def _value(expected: Any, value: object, key: str) -> Any:
    """`value` as a field of the type `expected`. Raises ValueError that names `key`."""
    if isinstance(expected, UnionType):  # X | None
        if value is None:
            return None
        (expected,) = (choice for choice in get_args(expected) if choice is not NoneType)
    if get_origin(expected) is Literal:
        if value in get_args(expected):
            return value
    elif get_origin(expected) is tuple:
        items = get_args(expected)  # of one type: as many as these, or, with `...`, any number
        if isinstance(value, list | tuple) and (items[-1] is ... or len(value) == len(items)):
            return tuple(_value(items[0], each, f"{key}[{i}]") for i, each in enumerate(value))
    elif is_dataclass(expected):
        return result_from_dict(expected, value, key)  # type: ignore[arg-type]
    elif expected is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, expected) and not (expected is int and isinstance(value, bool)):
        return value
    raise ValueError(f"{key} must be {_name(expected)}, not {value!r}")


def _name(expected: Any) -> str:
    if get_origin(expected) is Literal:
        return "one of " + ", ".join(map(str, get_args(expected)))
    return "a list" if get_origin(expected) is tuple else f"of type {expected.__name__}"
