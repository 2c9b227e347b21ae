"""Fill a part of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from pixelgen.checkpoints import DEFAULT_PIXEL_WEIGHTS
from pixelgen.errors import UsageError
from pixelgen.imaging import (
    COMPOSITE,
    MASK_CONVENTIONS,
    SOURCE_TYPE,
    Fit,
    cut_hole,
    make_grid,
    parse_box,
    parse_keep,
)
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import DrawingJob, DrawnReport, seed_slug, seed_text, seed_words
from pixelgen.jobs.job import option
from pixelgen.jobs.output import OutputFiles, photo_slug
from pixelgen.jobs.photos import check_photos, file_name, read_mask_of, read_photo
from pixelgen.jobs.report import json_field
from pixelgen.jobs.text_chunks import drawn_files, fingerprint
from pixelgen.jobs.view import first_of_each
from pixelgen.pipelines import CompletePipeline, CompletionRequest
from pixelgen.pipelines.codes_file import check_amount


@dataclass(frozen=True, kw_only=True)
class CompletionReport(DrawnReport):
    """A picture that was completed."""

    classes: list[int | None]
    """Number of the class of every completion."""
    mask: str | None
    """How the mask was read: a `MaskConvention`; None without a mask."""
    drawn: float = json_field(digits=4)
    """Share of the picture that was drawn, 0 … 1."""
    effective_candidates: list[float] = json_field(digits=2)
    """Among how many candidates each was effectively chosen."""
    refine: int = json_field(hidden=True)
    """Candidates of each."""

    def summary(self) -> str:
        """A line with number, share, time and seed."""
        count = len(self.bits_per_dim)
        chosen = ""
        if self.refine > 1:
            effective = sum(self.effective_candidates) / count
            chosen = f", each of {self.refine} candidates, effectively {effective:.1f}"
        return (
            f"{count} completion{'s' * (count > 1)} of {self.drawn:.0%} of the picture in "
            f"{self.seconds:.1f} s, {seed_words(self.seed, self.picks)}{chosen}"
        )


@dataclass(frozen=True, kw_only=True)
class CompletionJob(DrawingJob):
    """Fill a part of a picture `n` times for every class, or without a class."""

    image: str
    """A path; - is the input stream."""
    mask: str | None = None
    """A picture as large as `image`: fill what is white in it, or erased from a copy of `image`, or
    painted white on a transparent layer."""
    keep: str | None = None
    """Fill all but this part of the square picture: "top:50%", also bottom, left, right."""
    box: str | None = None
    """Fill this box: "x,y,width,height", in pixels of `image`."""
    refine: int = 1
    """Candidates of every completion, of which one is chosen."""
    classes: Sequence[int | str] = option((), key="class")
    """Numbers, ranges, WordNet ids or names."""
    n: int = 4
    """Completions of every class."""
    weights: str = DEFAULT_PIXEL_WEIGHTS
    fit: Fit = "crop"
    """How the picture is made square."""

    def run(self, context: JobContext | None = None) -> CompletionReport:
        """Fill and write it; see `Job.run`."""
        context = context or JobContext()
        view, n = self.view, self.n
        if sum(part is not None for part in (self.mask, self.keep, self.box)) != 1:
            raise UsageError(
                "exactly one part must be named", "mask, keep or box", code="part-to-fill"
            )
        check_photos([self.image] if self.mask is None else [self.image, self.mask])
        box = None if self.box is None else parse_box(self.box)
        keep = None if self.keep is None else parse_keep(self.keep)
        preview, source, config = self.start(self.weights, context)
        request = CompletionRequest.from_options(
            config,
            source.name,
            classes=self.classes,
            n=n,
            refine=self.refine,
            **self.drawing_options(),
        )
        sample = request.sample
        count, size = sample.count, config.image_shape[1]
        check_amount(count, size * view.scale)
        if view.grid:  # a row begins with the picture and with what is known of it
            check_amount(count + 2 * (count // n), size * view.scale)
        check_amount(request.candidate_count, size)
        picks, count = sample.picks, len(sample.picks)
        stem = f"{photo_slug(self.image)}-completed-{seed_slug(sample.drawing)}"
        target = OutputFiles.plan(self.output, stem, 1 if view.grid else count, self.force)
        photo = read_photo(self.image, context)
        mask = None if self.mask is None else read_mask_of(self.mask, context)
        hole = cut_hole(photo, size, self.fit, mask=mask, box=box, keep=keep)
        pixels = (hole.photo.tobytes(), hole.around.tobytes(), hole.hidden.tobytes())
        inputs = {"content": fingerprint(pixels), "image": file_name(self.image), "fit": self.fit}
        named = {"mask": self.mask and file_name(self.mask), "keep": self.keep, "box": self.box}
        inputs |= {name: part for name, part in named.items() if part is not None}
        parameters = inputs | request.parameters() | view.parameters()
        about = seed_text(sample.drawing) | {SOURCE_TYPE: COMPOSITE}
        files = drawn_files(picks)
        placement = self.place(target, preview, source, parameters, about, files, inputs=inputs)
        if hole.convention not in (None, "white"):
            context.note(MASK_CONVENTIONS[hole.convention])
        if hole.extreme is not None:
            context.note(hole.extreme)

        pipe = CompletePipeline.from_pretrained(source, self.device)
        beside = pipe.beside(hole)

        def sheet(images: Sequence[Image.Image]) -> Image.Image:
            images, columns = first_of_each(images, count), min(n, count)
            rows = [images[first : first + columns] for first in range(0, len(images), columns)]
            shown = [one for row in rows for one in (*beside, *row)]
            return make_grid(view.enlarge(shown), columns + 2, gap=view.gap)

        result, written = self.draw(
            lambda on_step: pipe.run(request, hole, on_step),
            count,
            sheet,
            placement,
            context,
            keep_partial=self.refine == 1,  # a batch of candidates is no batch of pictures
        )
        return CompletionReport(
            **placement.drawn_facts(result, pipe, written),
            classes=result.classes,
            mask=result.mask,
            drawn=result.drawn,
            effective_candidates=result.effective,
            refine=self.refine,
        )
