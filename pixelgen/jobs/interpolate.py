"""Interpolate between faces, between classes, or between pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pixelgen.checkpoints import DEFAULT_FACE_WEIGHTS, DEFAULT_WEIGHTS
from pixelgen.errors import UsageError
from pixelgen.imaging import COMPOSITE, PICTURES, SOURCE_TYPE, path_sheet, square
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import DrawingJob, DrawnReport, seed_slug, seed_text
from pixelgen.jobs.job import ClassSampling, check_range, option
from pixelgen.jobs.output import OutputFiles, slug
from pixelgen.jobs.photos import FaceChoice, check_photos, file_name, photo_name, read_photo
from pixelgen.jobs.report import json_field
from pixelgen.jobs.text_chunks import drawn_files, fingerprint, synthetic
from pixelgen.jobs.view import View, first_of_each
from pixelgen.pipelines import (
    InterpolatePipeline,
    InterpolationRequest,
    PortraitRequest,
    PortraitResult,
    SampleRequest,
    path_request,
)
from pixelgen.pipelines.codes_file import check_amount

FPS = 10.0
"""Frames a second of an animation, unless another number is given."""


@dataclass(frozen=True, kw_only=True)
class InterpolationReport(DrawnReport):
    """Frames on the path from one source to another."""

    classes: Sequence[int] | None = json_field(omit_none=True)
    """Numbers of the classes on the path; None for photos."""
    photos: list[str] | None = json_field(omit_none=True)
    """The photos on it; None for classes."""
    similarity: list[float] | None = json_field(digits=4, omit_none=True)
    """Of every frame to its place between faces, -1 … 1; None for anything but faces."""
    candidates: int = json_field(hidden=True)
    """Paths drawn, of which one was kept."""

    def summary(self) -> str:
        """As of `DrawnReport`."""
        chosen = f", the most similar of {self.candidates} paths" * (self.candidates > 1)
        return f"{super().summary()}{chosen}"


@dataclass(frozen=True, kw_only=True)
class InterpolationJob(DrawingJob):
    """Draw frames on the path through photos, or through classes."""

    photos: Sequence[str] = ()
    """Two or more paths; - is the input stream."""
    classes: Sequence[int | str] = option((), key="class")
    """Instead of photos, two or more: numbers, ranges, WordNet ids or names."""
    steps: int = 9
    """Frames from the first to the last."""
    slerp: bool = False
    """Whether the path between faces follows the sphere of embeddings, not straight lines."""
    bottleneck: int | None = None
    """Of auto-encoders; None: the largest."""
    candidates: int | None = None
    """Paths between faces that are drawn, of which the most similar one is kept; None: the default
    of the weights."""
    sampling: ClassSampling = field(default_factory=ClassSampling)
    weights: str | None = None
    """None: the default for faces, or for classes."""
    face: int | None = None
    """Number of the face in every photo, from 1, the largest first; None: the largest."""
    align: bool = option(True, opposite="no-align")
    """Whether faces are detected, rather than that all of a photo is an aligned one."""
    output: str | None = option(None, endings=(*PICTURES, ".gif"))
    """A .png, .jpg or .tif file, a .gif or .webp animation, a folder, or - for the output stream;
    None: the current folder."""
    fps: float | None = None
    """Frames a second of an animation; None: 10."""
    ping_pong: bool = False
    """Whether an animation runs there and back."""

    def __post_init__(self) -> None:
        check_range("bottleneck", self.bottleneck, 1)
        check_range("candidates", self.candidates, 1)
        check_range("fps", self.fps, 0.1, 50)
        self.view.check()

    def run(self, context: JobContext | None = None) -> InterpolationReport:
        """Draw and write them; see `Job.run`."""
        context = context or JobContext()
        photos, steps, view = self.photos, self.steps, self.view
        if not photos and not self.classes:
            raise UsageError(
                "photos or classes must be given", "two or more", code="photos-or-classes"
            )
        check_photos(photos)
        choice = FaceChoice(self.face, self.align)
        default = DEFAULT_WEIGHTS if self.classes else DEFAULT_FACE_WEIGHTS
        preview, source, config = self.start(self.weights or default, context)
        request = path_request(
            config,
            source.name,
            photos=len(photos),
            classes=self.classes,
            steps=steps,
            slerp=self.slerp,
            bottleneck=self.bottleneck,
            candidates=self.candidates,
            face_options=self._face_options(),
            **self.drawing_options(),
        )
        if isinstance(request, SampleRequest):
            names = [config.classes.name(index) for index in request.classes]
        else:
            names = [Path(photo_name(photo)).stem for photo in photos]
        size, picks = config.image_shape[1], request.drawing.picks(steps)
        check_amount(len(picks), config.image_shape, view.scale)
        candidates = (
            request.drawing.options.candidates if isinstance(request, PortraitRequest) else 1
        )
        check_amount(steps * candidates, config.image_shape)
        parts = ("pixelgen", slug(names[0]), "to", slug(names[-1]), seed_slug(request.drawing))
        stem = "-".join(filter(None, parts))
        target = OutputFiles.plan(
            self.output, stem, 1 if view.grid else len(picks), self.force, moving=True
        )
        shown = view.parameters() | self._motion(target)
        crops: list[Image.Image] = []
        inputs: dict[str, Any] = {}
        about = seed_text(request.drawing)
        path_shown = request.drawing.pick is None  # and its sources with it, on a sheet
        beside = view.grid and not target.animated and path_shown
        if isinstance(request, PortraitRequest):
            crops = choice.cut(photos, request.face_size, context)
            inputs = choice.parameters(photos, crops)
            about = synthetic(beside) | about
        elif isinstance(request, InterpolationRequest):
            # One at a time: a photo may be a thousand times as large as what is kept of it.
            crops = [square(read_photo(photo, context), size) for photo in photos]
            inputs["photos"] = [file_name(photo) for photo in photos]
            inputs["crops"] = [fingerprint([crop.tobytes()]) for crop in crops]
            about |= {SOURCE_TYPE: COMPOSITE} if beside else {}
        preview_about = dict(about)
        if photos and path_shown:  # previews are sheets
            faces = isinstance(request, PortraitRequest)
            preview_about |= synthetic(True) if faces else {SOURCE_TYPE: COMPOSITE}
        parameters = request.parameters() | shown | inputs
        files = drawn_files(picks)
        placement = self.place(
            target, preview, source, parameters, about, files, preview_about, inputs
        )

        def sheet(images: Sequence[Image.Image], view: View) -> Image.Image:
            images = first_of_each(images, steps)
            if len(images) == steps > len(picks):  # all are drawn, one is kept
                images = [images[pick - 1] for pick in picks]
            # The frames of an interrupted path are shown alone: it does not reach its last source.
            sources = [square(crop, size) for crop in crops] if len(images) == steps else []
            return path_sheet(view.enlarge(sources), view.enlarge(images), gap=view.gap)

        def write_animation(result: Any) -> list[Path]:
            images = view.enlarge(result.images)
            frames = [*images, *images[-2:0:-1]] if self.ping_pong else images
            return target.write_animation(frames, placement.texts[0], shown["fps"], context)

        pipe = InterpolatePipeline.from_pretrained(source, self.device)
        result, written = self.draw(
            pipe,
            lambda on_step: pipe.run(request, crops, on_step),
            len(picks),
            sheet,
            placement,
            context,
            keep_partial=candidates == 1,  # which way is kept is not known before the end
            write=write_animation if target.animated else None,
        )
        classes = isinstance(request, SampleRequest)
        return InterpolationReport(
            **placement.drawn_facts(result, pipe, written),
            classes=request.classes if isinstance(request, SampleRequest) else None,
            photos=None if classes else [photo_name(photo) for photo in photos],
            similarity=result.similarity if isinstance(result, PortraitResult) else None,
            candidates=candidates,
        )

    def _face_options(self) -> list[str]:
        """The options that were given and make sense for faces alone."""
        given = {
            "slerp": self.slerp,
            "candidates": self.candidates is not None,
            "face": self.face is not None,
            "no-align": not self.align,
        }
        return [name for name, is_given in given.items() if is_given]

    def _motion(self, target: OutputFiles) -> dict[str, Any]:
        """How an animation moves; nothing for pictures. Raises UsageError where pictures are asked
        to move."""
        if target.animated:
            return {"fps": self.fps or FPS, "ping_pong": self.ping_pong}
        if self.fps is not None or self.ping_pong:
            name = "ping_pong" if self.fps is None else "fps"
            raise UsageError(
                f"{name} requires an animation",
                "write a .gif or .webp file",
                code="motion-of-picture",
            )
        return {}
