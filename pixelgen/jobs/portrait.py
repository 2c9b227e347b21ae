"""Draw new portraits of the person in photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pixelgen.checkpoints import DEFAULT_FACE_WEIGHTS
from pixelgen.imaging import portrait_sheet, square
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import DrawingJob, DrawnReport, seed_slug, seed_text
from pixelgen.jobs.job import check_range, option
from pixelgen.jobs.output import OutputFiles, slug
from pixelgen.jobs.photos import FaceChoice, check_photos, photo_name
from pixelgen.jobs.report import json_field
from pixelgen.jobs.text_chunks import drawn_files, synthetic
from pixelgen.jobs.view import View, first_of_each
from pixelgen.pipelines import PortraitPipeline, PortraitRequest
from pixelgen.pipelines.codes_file import check_amount


@dataclass(frozen=True, kw_only=True)
class PortraitReport(DrawnReport):
    """Portraits of a person."""

    photos: list[str]
    """The photos that they were drawn from."""
    similarity: list[float] = json_field(digits=4)
    """Of every portrait to the person: cosine of their embeddings, -1 … 1."""
    candidates: int = json_field(hidden=True)
    """Drawn for each portrait."""

    def summary(self) -> str:
        """As of `DrawnReport`, with the mean similarity."""
        mean = sum(self.similarity) / len(self.similarity)
        chosen = f", each the nearest of {self.candidates}" * (self.candidates > 1)
        return f"{super().summary()}, similarity {mean:.2f}{chosen}"


@dataclass(frozen=True, kw_only=True)
class PortraitJob(DrawingJob):
    """Draw `n` portraits of the person in photos."""

    photos: Sequence[str]
    """Paths; - is the input stream."""
    n: int = 8
    candidates: int | None = None
    """Pictures drawn for each portrait, of which the one most similar to the person is kept; None:
    the default of the weights."""
    weights: str = DEFAULT_FACE_WEIGHTS
    face: int | None = None
    """Number of the face in every photo, from 1, the largest first; None: the largest."""
    align: bool = option(True, opposite="no-align")
    """Whether faces are detected, rather than that all of a photo is an aligned one."""

    def __post_init__(self) -> None:
        check_range("candidates", self.candidates, 1)
        self.view.check()

    def run(self, context: JobContext | None = None) -> PortraitReport:
        """Draw and write them; see `Job.run`."""
        context = context or JobContext()
        photos, n, view = self.photos, self.n, self.view
        check_photos(photos)
        choice = FaceChoice(self.face, self.align)
        preview, source, config = self.start(self.weights, context)
        request = PortraitRequest.for_person(
            config,
            source.name,
            len(photos),
            n,
            candidates=self.candidates,
            **self.drawing_options(),
        )
        size, picks, n = config.image_shape[1], request.picks, len(request.picks)
        check_amount(n, config.image_shape, view.scale)
        if view.grid:  # a sheet shows the photos too
            check_amount(n + len(photos), config.image_shape, view.scale)
        check_amount(request.candidate_count, config.image_shape)
        candidates = request.drawing.options.candidates
        person = slug(Path(photo_name(photos[0])).stem)
        stem = "-".join(filter(None, ("pixelgen-portrait", person, seed_slug(request.drawing))))
        target = OutputFiles.plan(self.output, stem, 1 if view.grid else n, self.force)
        crops = choice.cut(photos, request.face_size, context)
        inputs = choice.parameters(photos, crops)
        parameters = request.parameters() | inputs | view.parameters()
        seeds, files = seed_text(request.drawing), drawn_files(picks)
        about, preview_about = (synthetic(beside) | seeds for beside in (view.grid, True))
        placement = self.place(
            target, preview, source, parameters, about, files, preview_about, inputs
        )

        def sheet(images: Sequence[Image.Image], view: View) -> Image.Image:
            sources = [square(crop, size) for crop in crops]
            drawn = first_of_each(images, n)
            return portrait_sheet(view.enlarge(sources), view.enlarge(drawn), gap=view.gap)

        def choose(images: Sequence[Image.Image]) -> list[Image.Image]:
            who = pipe.person(pipe.embed(crops))
            return [images[i] for i in pipe.choose(images, who, candidates)[0]]

        pipe = PortraitPipeline.from_pretrained(source, self.device)
        result, written = self.draw(
            pipe,
            lambda on_step: pipe.run(request, crops, on_step),
            n,
            sheet,
            placement,
            context,
            choose=choose,
        )
        return PortraitReport(
            **placement.drawn_facts(result, pipe, written),
            photos=[photo_name(photo) for photo in photos],
            similarity=result.similarity,
            candidates=candidates,
        )
