"""What all jobs that draw pictures share: their options, their files, and what they report."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from PIL import Image

from pixelgen.checkpoints import CheckpointConfig, LoadedCheckpoint, Source, read_config
from pixelgen.errors import WeightsError, counted
from pixelgen.imaging import PICTURES
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import Job, Sampling, option
from pixelgen.jobs.output import OutputFiles
from pixelgen.jobs.partial_results import Choose, LayOut, save_finished_on_interrupt
from pixelgen.jobs.preview import Preview, PreviewFiles
from pixelgen.jobs.report import Report, json_field
from pixelgen.jobs.text_chunks import FileNumber, text_chunks
from pixelgen.jobs.view import Sheet, View
from pixelgen.pipelines import DrawingParameters
from pixelgen.pipelines.devices import check_device_name

if TYPE_CHECKING:
    import torch

    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]


class Drawn(Protocol):
    """What every pipeline that draws returns."""

    @property
    def images(self) -> list[Image.Image]: ...
    @property
    def bits_per_dim(self) -> list[float]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def picks(self) -> list[int]: ...
    @property
    def parameters(self) -> dict[str, Any]: ...


class Pipeline(Protocol):
    """A pipeline that was loaded."""

    checkpoint: LoadedCheckpoint
    device: torch.device | str


R = TypeVar("R", bound=Drawn)


@dataclass(frozen=True, kw_only=True)
class PictureReport(Report):
    """Pictures that were made."""

    files: list[str]
    """Where they are; empty for a stream."""
    watch: str | None
    """The preview file that was rewritten."""
    animation: str | None
    """The animation of the drawing."""
    seed: int | None
    """Gives the same pictures again; None where nothing was drawn."""
    weights: str
    revision: str
    """What the weights are exactly."""
    device: str
    seconds: float = json_field(digits=3)
    parameters: dict[str, Any]
    """What, beside weights, seed, pick and device, determined the pictures."""

    def written(self) -> Sequence[str]:
        """The files, and the animation; nothing where a picture went to a stream."""
        return [*self.files, self.animation] if self.files and self.animation else self.files


@dataclass(frozen=True, kw_only=True)
class DrawnReport(PictureReport):
    """Pictures that a model drew."""

    bits_per_dim: list[float] = json_field(digits=4)
    """Of every picture, per value that the model draws."""
    picks: list[int]
    """Number, from 1, of each picture: the same job with this seed and `pick` draws it alone."""
    unit: str = json_field(hidden=True)
    """Of `bits_per_dim`."""

    def summary(self) -> str:
        """A line with number, time, seed and mean bits per value."""
        count = len(self.bits_per_dim)
        mean = sum(self.bits_per_dim) / count
        return (
            f"{counted(count, 'picture')} in {self.seconds:.1f} s, "
            f"{seed_words(self.seed, self.picks)}, {mean:.2f} {self.unit}"
        )


def seed_words(seed: int | None, picks: Sequence[int]) -> str:
    """The seed and the numbers of the pictures, for people."""
    if len(picks) > 1:
        return f"seed {seed}, picks {picks[0]} to {picks[-1]}"
    return f"seed {seed}, pick {picks[0]}" if [*picks] != [1] else f"seed {seed}"


def seed_slug(drawing: DrawingParameters) -> str:
    """The seed, and the picture that was picked, for the name of a file."""
    return f"s{drawing.seed}" if drawing.pick is None else f"s{drawing.seed}-pick{drawing.pick}"


def seed_text(drawing: DrawingParameters) -> dict[str, str]:
    """The same as text chunks."""
    pick = {} if drawing.pick is None else {"pick": str(drawing.pick)}
    return {"seed": str(drawing.seed)} | pick


@dataclass(frozen=True)
class Placement:
    """Where the pictures of a job go, and what their files say."""

    target: OutputFiles
    preview: PreviewFiles
    texts: list[dict[str, str]]
    """The text chunks of every file."""
    inputs: Mapping[str, Any]
    """What the pictures are made from, beside weights: JSON-ready."""

    def facts(self, result: Any, pipe: Pipeline, files: Sequence[Path]) -> dict[str, Any]:
        """The fields of a `PictureReport` about a `result` of a pipeline."""
        watch, animation = self.preview.watch, self.preview.animation
        return {
            "files": [str(file) for file in files],
            "watch": None if watch is None else str(watch),
            "animation": None if animation is None else str(animation),
            "seed": result.seed,
            "weights": pipe.checkpoint.name,
            "revision": pipe.checkpoint.revision,
            "device": str(pipe.device),
            "seconds": result.seconds,
            "parameters": {**result.parameters, **self.inputs},
        }

    def drawn_facts(self, result: Drawn, pipe: Pipeline, files: Sequence[Path]) -> dict[str, Any]:
        """The fields of a `DrawnReport` about a `result` of a pipeline."""
        unit = pipe.checkpoint.config.likelihood_unit
        own = {"bits_per_dim": result.bits_per_dim, "picks": result.picks, "unit": unit}
        return self.facts(result, pipe, files) | own


@dataclass(frozen=True, kw_only=True)
class DrawingJob(Job):
    """A job that draws pictures."""

    sampling: Sampling = field(default_factory=Sampling)
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    batch_size: int = 32
    """Pictures drawn side by side; they do not depend on it."""
    output: str | None = option(None, endings=PICTURES)
    """A .png, .jpg, .webp or .tif file, a folder, or - for the output stream; None: the current
    folder."""
    view: View = field(default_factory=View)
    preview: Preview = field(default_factory=Preview)
    force: bool = False
    """Whether existing files are replaced."""

    @abstractmethod
    def run(self, context: JobContext | None = None) -> PictureReport: ...

    def start(
        self, weights: str, context: JobContext
    ) -> tuple[PreviewFiles, Source, CheckpointConfig]:
        """The files of the preview, the weights, and their configuration. Raises PixelgenError for
        a device that does not exist, bad places, and weights that are not available."""
        check_device_name(self.device)
        if self.output == "-":
            context.check_output("a picture")
        preview = PreviewFiles(self.preview, self.force)
        source = context.fetch(weights)
        return preview, source, read_config(source.path, source.name)

    def drawing_options(self) -> dict[str, Any]:
        """How pictures are drawn, as the requests of the pipelines take it."""
        return {**self.sampling.keywords(), "batch_size": self.batch_size}

    def place(
        self,
        target: OutputFiles,
        preview: PreviewFiles,
        source: Source,
        parameters: Mapping[str, Any],
        about: Mapping[str, str],
        files: Sequence[FileNumber],
        preview_about: Mapping[str, str] | None = None,
        inputs: Mapping[str, Any] = MappingProxyType({}),
    ) -> Placement:
        """Where the pictures go, and the text chunks that say how they were made: `parameters`,
        `inputs` among them, and `about`. `files` says what each shows, unless one holds all. Raises
        UsageError for files that would be overwritten."""
        texts = text_chunks(source, parameters, files, about)
        target.refuse_to_overwrite(texts)
        more = about if preview_about is None else preview_about
        preview.refuse_to_overwrite(target, source, parameters, more)
        return Placement(target, preview, texts, inputs)

    def draw(
        self,
        pipe: Pipeline,
        run: Callable[[OnStep | None], R],
        count: int,
        sheet: Sheet,
        placement: Placement,
        context: JobContext,
        *,
        keep_partial: bool = True,
        choose: Choose | None = None,
        lay_out: LayOut | None = None,
        write: Callable[[R], list[Path]] | None = None,
    ) -> tuple[R, list[Path]]:
        """Draw `count` pictures by `run`, with `pipe`, show them on the way, and write the files,
        as `lay_out` makes them (by default the view), unless `write` does it otherwise. After an
        interruption finished pictures are written, if `keep_partial` (see
        `save_finished_on_interrupt`). Raises WeightsError where the weights are not those that the
        texts of the files name: they were replaced after these were made."""
        target, preview, texts = placement.target, placement.preview, placement.texts
        if any(text["revision"] != pipe.checkpoint.revision for text in texts):
            raise WeightsError(
                f"the weights {pipe.checkpoint.name} were replaced while they were read",
                "try again",
            )
        partial = lay_out or (lambda images: self.view.lay_out(images, sheet))
        with (
            save_finished_on_interrupt(target, texts, count, partial, context, choose)
            if keep_partial
            else nullcontext() as finished,
            preview.follow(
                lambda images: sheet(images, self.view.preview()), context, finished
            ) as on_step,
        ):
            result = run(on_step)
        whole = cache(lambda: sheet(result.images, self.view))  # a learned one takes seconds
        lay_out = lay_out or (lambda images: self.view.lay_out(images, lambda *_: whole()))
        try:
            if write is None:
                files = target.write(lay_out(result.images), texts, context)
            else:
                files = write(result)
        finally:
            preview.finish(whole)
        context.show(whole, self.view.scale)
        return result, files
