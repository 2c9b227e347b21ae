"""Fill a part of a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixelgen.checkpoints import DEFAULT_COMPLETION_WEIGHTS
from pixelgen.errors import UsageError, counted
from pixelgen.imaging import (
    COMPOSITE,
    MASK_CONVENTIONS,
    SOURCE_TYPE,
    Fit,
    Hole,
    cut_around_hole,
    cut_hole,
    make_grid,
    parse_box,
    parse_keep,
)
from pixelgen.imaging.hole import Box, Keep
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import DrawingJob, DrawnReport, seed_slug, seed_text, seed_words
from pixelgen.jobs.job import option
from pixelgen.jobs.output import OutputFiles, photo_slug
from pixelgen.jobs.photos import check_photos, file_name, read_mask_of, read_photo
from pixelgen.jobs.report import json_field
from pixelgen.jobs.text_chunks import drawn_files, fingerprint
from pixelgen.jobs.view import View, first_of_each
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
    """Share of the photo that was filled, 0 … 1; with `raw` of the small picture."""
    square: tuple[int, int, int, int]
    """The part of the photo that the weights saw: left, top, right, bottom."""
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
            f"{counted(count, 'completion')} of {self.drawn:.0%} of the picture in "
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
    """Fill all but this part of the photo, with `raw` of the square: "top:50%", also bottom, left,
    right."""
    box: str | None = None
    """Fill this box: "x,y,width,height", in pixels of `image`."""
    refine: int = 1
    """Candidates of every completion, of which one is chosen."""
    classes: Sequence[int | str] = option((), key="class")
    """Numbers, ranges, WordNet ids or names."""
    n: int = 4
    """Completions of every class."""
    weights: str = DEFAULT_COMPLETION_WEIGHTS
    raw: bool = False
    """Write the small pictures that the weights draw, of the photo made square, rather than the
    photo at its own size with the hole filled, in a file for each completion."""
    fit: Fit = "crop"
    """What of the picture the weights see: a square, or a box stretched to one."""

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
        picks, count = sample.picks, len(sample.picks)
        size, one_sheet = config.image_shape[1], self.raw and view.grid
        if self.raw:  # otherwise photos of their own size are written, one after the other
            # A row of a sheet begins with the picture and with what is known of it.
            shown = count + 2 * (-(-count // n)) if view.grid else count
            check_amount(shown, config.image_shape, view.scale)
        check_amount(request.candidate_count, config.image_shape)
        stem = f"{photo_slug(self.image)}-completed-{seed_slug(sample.drawing)}"
        if self.output == "-" and count > 1 and not self.raw:
            raise UsageError("stdout takes one picture", "n=1, or raw=True", code="one-photo")
        target = OutputFiles.plan(self.output, stem, 1 if one_sheet else count, self.force)
        hole = self._cut(size, context, box, keep)
        inputs: dict[str, Any] = {
            "content": fingerprint(_pixels(hole)),
            "image": file_name(self.image),
        }
        inputs |= {"fit": self.fit} | ({} if self.raw else {"raw": False})
        named = {"mask": self.mask and file_name(self.mask), "keep": self.keep, "box": self.box}
        inputs |= {name: part for name, part in named.items() if part is not None}
        parameters = inputs | request.parameters() | view.parameters() | {"grid": one_sheet}
        about = seed_text(sample.drawing) | {SOURCE_TYPE: COMPOSITE}
        files = drawn_files(picks)
        placement = self.place(target, preview, source, parameters, about, files, inputs=inputs)
        if hole.convention not in (None, "white"):
            context.note(MASK_CONVENTIONS[hole.convention])
        for remark in (hole.extreme, hole.coarse):
            if remark is not None:
                context.note(remark)

        pipe = CompletePipeline.from_pretrained(source, self.device)
        beside = pipe.beside(hole)

        def sheet(images: Sequence[Image.Image], view: View) -> Image.Image:
            images, columns = first_of_each(images, count), min(n, count)
            rows = [images[first : first + columns] for first in range(0, len(images), columns)]
            shown = [one for row in rows for one in (*beside, *row)]
            return make_grid(view.enlarge(shown), columns + 2, gap=view.gap)

        def at_full_size(images: Sequence[Image.Image]) -> Iterator[Image.Image]:
            assert hole.full is not None
            for image in images:  # each covers the same pixels, which saves a copy of a large photo
                yield hole.full.fill(image, in_place=True)

        result, written = self.draw(
            pipe,
            lambda on_step: pipe.run(request, hole, on_step),
            count,
            sheet,
            placement,
            context,
            keep_partial=self.refine == 1,  # a batch of candidates is no batch of pictures
            lay_out=None if self.raw else at_full_size,
        )
        return CompletionReport(
            **placement.drawn_facts(result, pipe, written),
            classes=result.classes,
            mask=result.mask,
            drawn=result.drawn,
            square=result.square,
            effective_candidates=result.effective,
            refine=self.refine,
        )

    def _cut(self, size: int, context: JobContext, box: Box | None, keep: Keep | None) -> Hole:
        """The hole, read with as little kept as is needed: masks may be as large as photos."""
        photo = read_photo(self.image, context, keep_alpha=not self.raw)
        mask = None if self.mask is None else read_mask_of(self.mask, context)
        cut = cut_hole if self.raw else cut_around_hole
        return cut(photo, size, self.fit, mask=mask, box=box, keep=keep)


def _pixels(hole: Hole) -> Iterator[bytes]:
    """All that completions depend on, and where they are put."""
    yield from (hole.photo.tobytes(), hole.around.tobytes(), hole.hidden.tobytes())
    if hole.full is not None:
        yield from hole.full.rows()
