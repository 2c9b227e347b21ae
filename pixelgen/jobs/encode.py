"""Turn pictures into grids of codes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelgen.checkpoints import DEFAULT_WEIGHTS, read_config
from pixelgen.errors import UsageError, counted
from pixelgen.files import IfExists, expanded, write_file
from pixelgen.imaging import Fit, square
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import Job, check_range, option
from pixelgen.jobs.output import check_folder, check_name, check_written, file_exists
from pixelgen.jobs.photos import check_photos, photo_name, read_photo
from pixelgen.jobs.report import Report, json_field
from pixelgen.pipelines import CodecPipeline
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name


@dataclass(frozen=True, kw_only=True)
class EncodeReport(Report):
    """Codes of pictures."""

    file: str | None
    """Where they are; None for the output stream."""
    pictures: Sequence[str]
    """The names of the pictures."""
    shape: list[int]
    """Of the codes: pictures, channels, rows, columns."""
    levels: int | None
    """Values that a code can have."""
    weights: str
    revision: str
    device: str
    seconds: float = json_field(digits=3)

    def written(self) -> Sequence[str]:
        """The file, if there is one."""
        return () if self.file is None else (self.file,)

    def summary(self) -> str:
        """A line with number, shape and time."""
        count, *shape = self.shape
        return (
            f"{counted(count, 'picture')} as {'×'.join(map(str, shape))} codes of "
            f"{self.levels} levels in {self.seconds:.1f} s"
        )


@dataclass(frozen=True, kw_only=True)
class EncodeJob(Job):
    """Turn pictures into codes."""

    images: Sequence[str]
    """Paths; - is the input stream."""
    output: str = option(endings=(".safetensors",))
    """A .safetensors file, or - for the output stream."""
    weights: str = DEFAULT_WEIGHTS
    fit: Fit = "crop"
    """How pictures are made square."""
    code_steps: int = 0
    """Gradient steps that improve the codes of each picture."""
    device: str = "auto"
    force: bool = False
    """Whether an existing file is replaced."""

    def __post_init__(self) -> None:
        check_range("code_steps", self.code_steps, 0)

    def run(self, context: JobContext | None = None) -> EncodeReport:
        """Encode and write them; see `Job.run`."""
        context = context or JobContext()
        started = time.perf_counter()
        check_device_name(self.device)
        path = None if self.output == "-" else expanded(self.output)
        if path is None:
            context.check_output("codes")
        else:
            _check_output(path, self.force)
        check_photos(self.images)
        source = context.fetch(self.weights)
        size = read_config(source.path, source.name).image_shape[1]
        check_amount(len(self.images), (size, size))
        # One at a time: a photo may be a thousand times as large as what is kept of it.
        with context.meter("reading") as meter:
            squares = [
                square(read_photo(image, context), size, self.fit)
                for image in meter.track(self.images)
            ]

        pipe = CodecPipeline.from_pretrained(source, self.device)
        names = [Path(photo_name(image)).name for image in self.images]
        with context.meter("encoding") as meter:
            codes = pipe.encode_file(
                squares,
                weights=self.weights,
                files=names,
                progress=meter,
                code_steps=self.code_steps,
            )
        if not codes.stored_weights:
            context.note(
                "the codes do not record their weights, whose folder is not inside the "
                "current one: name the weights when you decode"
            )
        if path is None:
            context.write_output(codes.to_bytes())
        else:
            mode: IfExists = "replace" if self.force else "number"
            check_written([path], [write_file(path, codes.to_bytes(), mode)], context)
        return EncodeReport(
            file=None if path is None else str(path),
            pictures=codes.files,
            shape=list(codes.codes.shape),
            levels=codes.levels,
            weights=pipe.checkpoint.name,
            revision=codes.revision,
            device=str(pipe.device),
            seconds=time.perf_counter() - started,
        )


def _check_output(path: Path, force: bool) -> None:
    """Raise UsageError where the codes cannot go."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{path} is not a .safetensors file")
    check_folder(path.parent)
    check_name(path)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder")
    if os.path.lexists(path) and not force:
        raise file_exists(path)
