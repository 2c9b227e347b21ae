"""Draw pictures of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from pixelgen.checkpoints import DEFAULT_WEIGHTS
from pixelgen.imaging import make_grid, square_columns
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import DrawingJob, DrawnReport, seed_slug, seed_text
from pixelgen.jobs.job import ClassSampling, check_range, option
from pixelgen.jobs.output import OutputFiles, slug
from pixelgen.jobs.report import json_field
from pixelgen.jobs.text_chunks import drawn_files
from pixelgen.jobs.view import View, first_of_each
from pixelgen.labels import ClassCatalogue
from pixelgen.pipelines import ClassPipeline, SampleRequest
from pixelgen.pipelines.codes_file import check_amount

_NAMED = 12
"""Kinds of a group that are named to people."""


@dataclass(frozen=True, kw_only=True)
class SampleReport(DrawnReport):
    """Pictures of classes."""

    classes: list[int | None]
    """Number of the class of every picture."""
    kinds: list[str] = json_field(hidden=True)
    """Names of the classes that were drawn from groups and are shown; empty without groups."""

    def summary(self) -> str:
        """As of `DrawnReport`, with the kinds that were drawn from groups."""
        more = f" and {len(self.kinds) - _NAMED} more" if len(self.kinds) > _NAMED else ""
        kinds = f": {', '.join(self.kinds[:_NAMED])}{more}" if self.kinds else ""
        return f"{super().summary()}{kinds}"


@dataclass(frozen=True, kw_only=True)
class SampleJob(DrawingJob):
    """Draw `n` pictures of every class, or of no class."""

    classes: Sequence[int | str] = option((), key="class")
    """Numbers, ranges ("207-210"), WordNet ids or names, or names of groups ("dog") for `n` of
    their classes that the weights know."""
    n: int = 1
    """Pictures of every class."""
    candidates: int | None = None
    """Pictures drawn for each, of which the one that says most clearly which class it is of is
    kept; None: the default of the weights."""
    sampling: ClassSampling = field(default_factory=ClassSampling)
    weights: str = DEFAULT_WEIGHTS

    def __post_init__(self) -> None:
        check_range("candidates", self.candidates, 1)
        self.view.check()

    def run(self, context: JobContext | None = None) -> SampleReport:
        """Draw and write them; see `Job.run`."""
        context = context or JobContext()
        preview, source, config = self.start(self.weights, context)
        request = SampleRequest.from_options(
            config,
            source.name,
            classes=self.classes,
            n=self.n,
            candidates=self.candidates,
            **self.drawing_options(),
        )
        view, picks, count = self.view, request.picks, len(request.picks)
        check_amount(count, config.image_shape, view.scale)
        check_amount(request.candidate_count, config.image_shape)
        subject = _subject(request, config.classes, len(self.classes))
        stem = f"pixelgen-{subject}-{seed_slug(request.drawing)}"
        files = 1 if view.grid else count
        target = OutputFiles.plan(self.output, stem, files, self.force)
        parameters = request.parameters() | view.parameters()
        about = seed_text(request.drawing)
        placement = self.place(target, preview, source, parameters, about, drawn_files(picks))
        several = len(request.classes) > 1 < request.n and count > 1
        columns = request.n if several else square_columns(count)

        def sheet(images: Sequence[Image.Image], view: View) -> Image.Image:
            drawn = first_of_each(images, count)
            return make_grid(view.enlarge(drawn), columns, gap=view.gap)

        pipe = ClassPipeline.from_pretrained(source, self.device)
        result, written = self.draw(
            pipe,
            lambda on_step: pipe.run(request, on_step),
            count,
            sheet,
            placement,
            context,
            choose=lambda images: pipe.finished(request, images),
        )
        shown = dict.fromkeys(label for label in result.classes if label is not None)
        return SampleReport(
            **placement.drawn_facts(result, pipe, written),
            classes=result.classes,
            kinds=[config.classes.name(label) for label in shown] if request.groups else [],
        )


def _subject(request: SampleRequest, catalogue: ClassCatalogue, specs: int) -> str:
    """What the pictures show, for a file name, where so many `specs` said it."""
    if not request.classes:
        return "unconditional"
    if specs == len(request.groups) == 1 and (name := slug(request.groups[0])):
        return name
    if len(request.classes) > 1:
        return f"{len(request.classes)}-classes"
    return slug(catalogue.name(request.classes[0])) or f"class-{request.classes[0]}"
