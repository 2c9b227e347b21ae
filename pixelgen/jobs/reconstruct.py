"""Reconstruct pictures from their codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from PIL import Image

from pixelgen.checkpoints import DEFAULT_RECONSTRUCTION_WEIGHTS
from pixelgen.errors import UsageError, counted
from pixelgen.imaging import COMPOSITE, SOURCE_TYPE, stack_rows, tile_count
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import (
    DrawingJob,
    PictureReport,
    seed_slug,
    seed_text,
    seed_words,
)
from pixelgen.jobs.job import check_range, option
from pixelgen.jobs.output import OutputFiles, distinct_slugs, padded_numbers, photo_slug
from pixelgen.jobs.photos import file_name, list_photos, read_photos
from pixelgen.jobs.report import JsonFields, json_field
from pixelgen.jobs.text_chunks import FileNumber, fingerprint
from pixelgen.jobs.view import View
from pixelgen.pipelines import ReconstructPipeline, ReconstructRequest, ReconstructResult
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.reconstruct_pipeline import LONGEST, Cut, fit_photo


@dataclass(frozen=True, kw_only=True)
class SampleCloseness(JsonFields):
    """How close a sample is to the original."""

    psnr: float = json_field(digits=3)
    """dB."""
    ssim: float = json_field(digits=4)
    """-1 … 1."""
    pick: int
    """Its number, from 1: the same job with this seed and `pick` draws it alone."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionRow(JsonFields):
    """A picture reconstructed through one bottleneck, or by a tokenizer."""

    bottleneck: int | None
    """Latent dimensions; None for a tokenizer."""
    bits_per_dim: float | None = json_field(digits=4)
    """Of the original given its code; None for a tokenizer."""
    psnr: float = json_field(digits=3)
    """Of the mean, or of what the tokenizer gives, in dB."""
    ssim: float = json_field(digits=4)
    """Of the same, -1 … 1."""
    samples: list[SampleCloseness]
    """Of what was drawn."""


@dataclass(frozen=True, kw_only=True)
class ReconstructedPicture(JsonFields):
    """A picture and its reconstructions."""

    picture: str
    """Its name."""
    width: int
    height: int
    """As the network saw it, in pixels."""
    reconstructions: list[ReconstructionRow]
    """For each bottleneck, the smallest first."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionReport(PictureReport):
    """Pictures that were reconstructed."""

    pictures: list[ReconstructedPicture]

    def details(self) -> Sequence[str]:
        """A line for each bottleneck."""
        lines = []
        for column in zip(*(one.reconstructions for one in self.pictures), strict=True):
            line = f"{_mean([row.psnr for row in column]):.2f} dB PSNR"
            if (bottleneck := column[0].bottleneck) is not None:
                drawn = [sample.psnr for row in column for sample in row.samples]
                bits = [row.bits_per_dim or 0.0 for row in column]
                line = (
                    f"{bottleneck} numbers: mean {line}, samples {_mean(drawn):.2f} dB, "
                    f"{_mean(bits):.2f} bits/dim"
                )
            lines.append(line)
        return lines

    def summary(self) -> str:
        """A line with number, time and seed."""
        count = len(self.pictures)
        picks = [
            sample.pick
            for one in self.pictures
            for row in one.reconstructions
            for sample in row.samples
        ]
        ending = "" if self.seed is None else f", {seed_words(self.seed, picks)}"
        return f"{counted(count, 'picture')} in {self.seconds:.1f} s{ending}"


@dataclass(frozen=True, kw_only=True)
class ReconstructionJob(DrawingJob):
    """Reconstruct pictures from the code that an auto-encoder or a tokenizer gives them."""

    images: Sequence[str]
    """Paths of pictures and folders; - is the input stream."""
    bottlenecks: Sequence[int] | None = option(None, key="bottleneck")
    """Latent dimensions; None: all that the weights have."""
    n: int | None = None
    """Samples of each bottleneck; None: 3."""
    weights: str = DEFAULT_RECONSTRUCTION_WEIGHTS
    center_crop: bool = False
    """Take the middle square of a photo: the default."""
    resize: bool = False
    """Stretch the whole photo to a square."""
    patches: bool = False
    """Reconstruct the photo in patches of the size of the network."""
    max_side: int | None = None
    """With `patches`: shrink longer photos to this many pixels first; None: 256."""
    code_steps: int | None = None
    """With a tokenizer: gradient steps that improve the codes of each picture; None: 6 for weights
    of ImageNet's classes, else 0."""

    def __post_init__(self) -> None:
        check_range("max_side", self.max_side, 1)
        check_range("code_steps", self.code_steps, 0)
        self.view.check()

    def run(self, context: JobContext | None = None) -> ReconstructionReport:
        """Draw and write them; see `Job.run`."""
        context = context or JobContext()
        cut, view = self._cut(), self.view
        if self.max_side is not None and cut != "patches":
            raise UsageError("max_side requires patches", code="max-side-of-square")
        preview, source, config = self.start(self.weights, context)
        request = ReconstructRequest.from_options(
            config,
            source.name,
            bottlenecks=self.bottlenecks,
            n=self.n,
            code_steps=self.code_steps,
            **self.drawing_options(),
        )
        preview.check_steps(request.drawing is not None, source.name)
        size = config.image_shape[1]
        if request.drawing is not None:  # before so many places are named
            check_amount(request.n * len(request.bottlenecks), (size, size), view.scale)
        self._plan(request, list_photos(self.images))  # checks places before photos are read
        columns = len(request.columns(request.selection(1, whole=True)))
        names, pictures = self._read(size, cut, columns, context)
        target = self._plan(request, names)
        content = (part for p in pictures for part in (str(p.size).encode(), p.tobytes()))
        files = [file.number for file in _files(request, len(names))]
        seed = {} if request.drawing is None else seed_text(request.drawing)
        whole = seed | {SOURCE_TYPE: COMPOSITE}  # a sheet shows the photos too
        # Of several files, those that are drawn say for themselves which pick they are.
        about = whole if view.grid else {k: v for k, v in seed.items() if k != "pick"}
        inputs: dict[str, Any] = {"content": fingerprint(content)}
        inputs |= {"images": [file_name(name) for name in names], "cut": cut}
        inputs |= {"max_side": self.max_side or LONGEST} if cut == "patches" else {}
        parameters = inputs | request.parameters() | view.parameters()
        placement = self.place(target, preview, source, parameters, about, files, whole, inputs)

        pipe = ReconstructPipeline.from_pretrained(source, self.device)

        def sheet(rows: Sequence[Sequence[Image.Image]], view: View) -> Image.Image:
            return stack_rows([view.enlarge(row) for row in rows], gap=view.gap)

        def unfinished(drawn: Sequence[Image.Image]) -> Image.Image:
            return sheet(pipe.unfinished(request, pictures, drawn), view.preview())

        if request.drawing is None:
            with context.meter("encoding") as meter:
                result = pipe.run(request, pictures, progress=meter)
        else:
            with preview.follow(unfinished, context) as on_step:
                result = pipe.run(request, pictures, on_step)
        rows = result.rows()
        every = [image for row in rows for image in row]
        all_rows = cache(lambda: sheet(rows, view))  # a learned one takes seconds
        laid_out = view.lay_out(every, lambda *_: all_rows())
        try:
            written = target.write(laid_out, placement.texts, context)
        finally:
            preview.finish(all_rows)
        context.show(all_rows, view.scale)
        shown_names = [names[i] for i in request.selection(len(names)).pictures]
        return ReconstructionReport(
            **placement.facts(result, pipe, written), pictures=_pictures(result, shown_names)
        )

    def _cut(self) -> Cut:
        """How photos are fitted to the network. Raises UsageError where several are chosen."""
        if self.center_crop + self.resize + self.patches > 1:
            raise UsageError(
                "center_crop, resize and patches exclude each other",
                "choose one of them",
                code="several-cuts",
            )
        return "patches" if self.patches else "stretch" if self.resize else "crop"

    def _plan(self, request: ReconstructRequest, names: Sequence[str]) -> OutputFiles:
        """Where pictures of these names go."""
        subject = f"{len(names)}-pictures" if len(names) != 1 else photo_slug(names[0])
        seed = "" if request.drawing is None else f"-{seed_slug(request.drawing)}"
        what = f"reconstructed{seed}"
        endings, stems = [], []
        if not self.view.grid:
            numbers = padded_numbers(len(names))
            slugs = distinct_slugs(names)
            for picture, column, _ in _files(request, len(names)):
                endings.append(column if len(names) == 1 else f"{numbers[picture]}-{column}")
                stems.append(f"{slugs[picture]}-{what}-{column}")
        return OutputFiles.plan(
            self.output,
            f"{subject}-{what}",
            1 if self.view.grid else len(endings),
            self.force,
            endings=endings,
            stems=stems,
        )

    def _read(
        self, size: int, cut: Cut, columns: int, context: JobContext
    ) -> tuple[list[str], list[Image.Image]]:
        """The names of pictures, and the pictures as the network takes them. Raises PixelgenError
        for unreadable ones, and for too many."""
        names: list[str] = []
        pictures: list[Image.Image] = []
        patches = 0
        for name, photo in read_photos(self.images, context):
            picture = fit_photo(photo, size, cut, self.max_side or LONGEST)
            patches += tile_count(*picture.size, size)
            check_amount(patches * columns, (size, size), self.view.scale)
            names.append(name)
            pictures.append(picture)
        return names, pictures


class _File(NamedTuple):
    """One of several files."""

    picture: int
    """The number, from 0, of the photo."""
    column: str
    """What of it: original, 2-mean, 2-sample-1, …"""
    number: FileNumber


def _files(request: ReconstructRequest, pictures: int) -> list[_File]:
    """Every file, if each of so many `pictures`, means and samples has one."""
    selection = request.selection(pictures)
    each = len(request.columns(request.selection(1, whole=True)))
    files = []
    for picture in selection.pictures:
        for column in request.columns(selection):
            pick = None if column.sample is None else request.pick(picture, *column.sample)
            photo = column.name == "original"
            number = FileNumber(picture * each + column.number, pick, photo)
            files.append(_File(picture, column.name, number))
    return files


def _pictures(result: ReconstructResult, names: Sequence[str]) -> list[ReconstructedPicture]:
    return [
        ReconstructedPicture(
            picture=name,
            width=picture.width,
            height=picture.height,
            reconstructions=[
                ReconstructionRow(
                    bottleneck=one.bottleneck,
                    bits_per_dim=one.bits_per_dim,
                    psnr=one.likeness.psnr,
                    ssim=one.likeness.ssim,
                    samples=[
                        SampleCloseness(psnr=metrics.psnr, ssim=metrics.ssim, pick=pick)
                        for metrics, pick in zip(one.samples_likeness, one.picks, strict=True)
                    ],
                )
                for one in row
            ],
        )
        for name, picture, row in zip(names, result.sources, result.by_source, strict=True)
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
