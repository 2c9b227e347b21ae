"""Measure how surprising pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixelgen.checkpoints import DEFAULT_PIXEL_WEIGHTS, read_config
from pixelgen.checkpoints.classification import ClassificationScores
from pixelgen.errors import UsageError, counted
from pixelgen.files import public_path
from pixelgen.imaging import PICTURES, Fit, check_rows, heat_sheet, square
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import Job, check_range, option
from pixelgen.jobs.output import OutputFiles
from pixelgen.jobs.photos import list_photos, read_photos
from pixelgen.jobs.report import JsonFields, Report, json_field
from pixelgen.jobs.text_chunks import fingerprint, text_chunks
from pixelgen.labels import ClassCatalogue
from pixelgen.pipelines import Score, ScorePipeline, ScoreRequest
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name


@dataclass(frozen=True, kw_only=True)
class ClassGuess(JsonFields):
    """A class, and how well it explains a picture."""

    index: int
    """Number of the class."""
    name: str
    probability: float
    """p(class | picture), if it is one of the classes of the weights."""
    bits_per_dim: float = json_field(digits=6)
    """Of the picture given the class."""


@dataclass(frozen=True, kw_only=True)
class ScoredPicture(JsonFields):
    """How surprising a picture is."""

    picture: str
    """Its name."""
    bits_per_dim: float = json_field(digits=6)
    """Per value."""
    bits: float = json_field(digits=3)
    """Of the whole picture."""
    classes: list[ClassGuess]
    """The classes that explain it best, the best first; empty unless they were asked for."""


@dataclass(frozen=True, kw_only=True)
class ScoreReport(Report):
    """How surprising pictures are."""

    weights: str
    revision: str
    device: str
    unit: str
    """Of `bits_per_dim`."""
    values: int
    """Of a picture."""
    importance_samples: int | None = json_field(omit_none=True)
    """Latents drawn for each picture: the figures are upper bounds then; None: they are exact."""
    label: int | None = json_field(key="class")
    """Number of the class that is given; None: no class."""
    class_name: str | None = json_field(hidden=True)
    """Its name."""
    fit: Fit
    map: str | None
    """The picture of the surprise."""
    classification: ClassificationScores | None
    """How often a ranking is right; None without one, and where it was not measured."""
    ranked: int = json_field(hidden=True)
    """Classes that were ranked, or 0."""
    seconds: float = json_field(digits=3)
    pictures: list[ScoredPicture]
    """The most surprising first."""

    def details(self) -> Sequence[str]:
        """A line that says what the ranking of classes is worth."""
        if not self.ranked:
            return ()
        among = f"ranked as if each picture were of one of the {self.ranked} classes"
        if (measured := self.classification) is None:
            return (
                f"{among}; how often that is right was not measured for these weights, and models "
                "of their kind are far too sure as a rule",
            )
        return (
            f"{among}; on {measured.pictures} pictures of these classes, the top class was "
            f"right for {measured.top1:.0%}, one of the top five for {measured.top5:.0%}",
        )

    def summary(self) -> str:
        """A line with number, time, weights and class."""
        given = "no class" if self.label is None else f"class {self.class_name}"
        where = "" if self.map is None else f", map in {self.map}"
        if self.importance_samples is not None:
            given = f"upper bounds by {counted(self.importance_samples, 'latent')} of each"
        return (
            f"{counted(len(self.pictures), 'picture')} in {self.seconds:.1f} s, {self.weights}, "
            f"{given}{where}"
        )


@dataclass(frozen=True, kw_only=True)
class ScoreJob(Job):
    """Measure -log2 p(picture), in all and per dimension."""

    images: Sequence[str]
    """Paths of pictures and folders; - is the input stream."""
    weights: str = DEFAULT_PIXEL_WEIGHTS
    label: str | int | None = option(None, key="class")
    """The class that is given: number, WordNet id or name; None: no class."""
    classify: bool = False
    """Whether the classes that explain each picture best are ranked."""
    map: str | None = option(None, endings=PICTURES)
    """A .png, .jpg, .webp or .tif file, or a folder, for a picture of the surprise at every
    place."""
    fit: Fit = "crop"
    """How pictures are made square."""
    device: str = "auto"
    batch_size: int = 32
    """Pictures, classes of one picture or latents of one picture, side by side."""
    importance_samples: int | None = None
    """Of a PixelVAE: latents drawn for the bound of each picture; None: 8."""
    force: bool = False
    """Whether an existing file is replaced."""

    def __post_init__(self) -> None:
        check_range("importance_samples", self.importance_samples, 1)

    def run(self, context: JobContext | None = None) -> ScoreReport:
        """Measure, and write the map; see `Job.run`."""
        context = context or JobContext()
        check_device_name(self.device)
        if self.map == "-":
            raise UsageError("stdout carries the figures", "give a file", code="map-on-stdout")
        source = context.fetch(self.weights)
        config = read_config(source.path, source.name)
        request = ScoreRequest.from_options(
            config,
            source.name,
            label=self.label,
            classify=self.classify,
            batch_size=self.batch_size,
            importance_samples=self.importance_samples,
        )
        size = config.image_shape[1]
        count = len(list_photos(self.images))
        check_amount(count, config.image_shape)
        target = None
        if self.map is not None:
            check_rows(count, size)
            target = OutputFiles.plan(self.map, "pixelgen-score", 1, self.force)
        names, squares = [], []
        for name, image in read_photos(self.images, context):
            names.append(name)
            squares.append(square(image, size, self.fit))
        about = {
            "pictures": [public_path(name) for name in names],
            "content": fingerprint(image.tobytes() for image in squares),
            "class": request.label,
            "fit": self.fit,
        }
        texts = text_chunks(source, about, source_type=None)
        if target is not None:
            target.refuse_to_overwrite(texts)

        pipe = ScorePipeline.from_pretrained(source, self.device)
        with context.meter("scoring") as meter:
            result = pipe.run(request, squares, progress=meter)
        pairs = zip(names, result.scores, strict=True)
        ranked = sorted(pairs, key=lambda pair: pair[1].bits, reverse=True)
        file = None
        if target is not None:
            place = "pixel" if config.tokenizer is None else "position of the codes"
            sheet = heat_sheet(
                [one.image for _, one in ranked],
                [one.surprise for _, one in ranked],
                [
                    f"{one.bits_per_dim:.3f} {result.unit}  {public_path(name)}"
                    for name, one in ranked
                ],
                f"bits per {place}{', given h' * (result.importance_samples is not None)}",
            )
            (file,) = target.write([sheet], texts, context)
        return ScoreReport(
            weights=pipe.checkpoint.name,
            revision=pipe.checkpoint.revision,
            device=str(pipe.device),
            unit=result.unit,
            values=result.values,
            importance_samples=result.importance_samples,
            label=result.label,
            class_name=None if result.label is None else config.classes.name(result.label),
            fit=self.fit,
            map=None if file is None else str(file),
            classification=result.classification,
            ranked=len(config.labels) if self.classify else 0,
            seconds=result.seconds,
            pictures=[_scored(name, one, config.classes) for name, one in ranked],
        )


def _scored(name: str, score: Score, catalogue: ClassCatalogue) -> ScoredPicture:
    return ScoredPicture(
        picture=name,
        bits_per_dim=score.bits_per_dim,
        bits=score.bits,
        classes=[
            ClassGuess(
                index=guess.index,
                name=catalogue.name(guess.index),
                probability=guess.probability,
                bits_per_dim=guess.bits_per_dim,
            )
            for guess in score.ranking
        ],
    )
