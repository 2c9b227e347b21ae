"""Turn codes back into pictures."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint, Source, read_config
from pixelgen.errors import InputError, PixelgenError, UsageError, counted
from pixelgen.files import expanded, sweep
from pixelgen.imaging import PICTURES, Resample, make_grid, square_columns
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import Job, check_range, option
from pixelgen.jobs.output import OutputFiles
from pixelgen.jobs.photos import photo_name
from pixelgen.jobs.report import Report, json_field
from pixelgen.jobs.text_chunks import drawn_files, fingerprint, text_chunks
from pixelgen.jobs.view import View
from pixelgen.pipelines import CodecPipeline, CodesFile
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

_LARGEST_STREAM = 2**30
_TEMPORARY = re.compile(r"pixelgen-codes-\w{8}")
_STALE = 86400.0  # the stream may be slow


@dataclass(frozen=True, kw_only=True)
class DecodeReport(Report):
    """Pictures of codes."""

    files: list[str]
    """Where they are; empty for the output stream."""
    pictures: Sequence[str]
    """The names of the pictures that were encoded."""
    weights: str
    revision: str
    codes_revision: str | None
    """Of the weights that made the codes."""
    device: str
    seconds: float = json_field(digits=3)
    count: int = json_field(hidden=True)
    """Pictures."""

    def written(self) -> Sequence[str]:
        """The files."""
        return self.files

    def summary(self) -> str:
        """A line with number and time."""
        return f"{counted(self.count, 'picture')} in {self.seconds:.1f} s"


@dataclass(frozen=True, kw_only=True)
class DecodeJob(Job):
    """Turn codes into pictures."""

    codes: str
    """A file that an `EncodeJob` wrote; - is the input stream."""
    weights: str | None = None
    """None: those that the file names."""
    pick: int | None = None
    """Number, from 1, of the only picture to decode of those in the file; None: all."""
    device: str = "auto"
    output: str | None = option(None, endings=PICTURES)
    """A .png, .jpg, .webp or .tif file, a folder, or - for the output stream; None: the current
    folder."""
    grid: bool = option(True, opposite="separate")
    """One sheet of all pictures, rather than a file each."""
    scale: int = 1
    """How many times they are enlarged, 1 … 64."""
    resample: Resample = "nearest"
    """How they are enlarged; see `View`."""
    force: bool = False
    """Whether existing files are replaced."""

    def __post_init__(self) -> None:
        check_range("pick", self.pick, 1)
        self._view().check()

    def run(self, context: JobContext | None = None) -> DecodeReport:
        """Decode and write them; see `Job.run`."""
        context = context or JobContext()
        started = time.perf_counter()
        check_device_name(self.device)
        if self.output == "-":
            context.check_output("a picture")
        stored, name = _read(self.codes, context), photo_name(self.codes)
        count, view = len(stored.codes), self._view()
        if self.weights is not None:
            source = context.fetch(self.weights)
        else:
            source = _named(stored, name, context)
        shape = read_config(source.path, source.name).image_shape
        check_amount(count if self.pick is None else 1, shape, self.scale)
        check_amount(count, shape)
        parameters = {"codes": _digest(stored), "grid": self.grid, "scale": self.scale}
        parameters |= {} if self.resample == "nearest" else view.parameters()
        picks, stem, about = [*range(1, count + 1)], Path(name).stem, {}
        if self.pick is not None:
            stored = _one_of(stored, name, self.pick)
            picks, count = [self.pick], 1
            stem, about = f"{stem}-pick{self.pick}", {"pick": str(self.pick)}
        files = 1 if self.grid else count
        target = OutputFiles.plan(self.output, stem, files, self.force)
        texts = text_chunks(source, parameters, drawn_files(picks), about)
        target.refuse_to_overwrite(texts)

        pipe = CodecPipeline.from_pretrained(source, self.device)
        with context.meter("decoding") as meter:
            images = pipe.decode(stored, meter)
        _compare(stored, name, pipe.checkpoint, context)

        def sheet(images: Sequence[Image.Image], view: View) -> Image.Image:
            return make_grid(view.enlarge(images), square_columns(count), gap=view.gap)

        written = target.write(view.lay_out(images, sheet), texts, context)
        return DecodeReport(
            files=[str(file) for file in written],
            pictures=stored.files,
            weights=pipe.checkpoint.name,
            revision=pipe.checkpoint.revision,
            codes_revision=stored.revision or None,
            device=str(pipe.device),
            seconds=time.perf_counter() - started,
            count=count,
        )

    def _view(self) -> View:
        return View(grid=self.grid, scale=self.scale, resample=self.resample)


def _read(codes: str, context: JobContext) -> CodesFile:
    """The codes in a file, or in the input stream; these are put into a file first, which is all
    that can be read in part. Raises InputError for anything else."""
    if codes != "-":
        return CodesFile.load(expanded(codes), name=codes)
    stream = context.open_input("codes")
    sweep(gettempdir(), lambda name: _TEMPORARY.fullmatch(name) is not None, _STALE)
    with TemporaryDirectory(prefix="pixelgen-codes-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "codes.safetensors"
        left = _LARGEST_STREAM
        with path.open("wb") as file:
            while left > 0 and (block := stream.read(min(2**20, left))):
                left -= file.write(block)
        if left <= 0 and stream.read(1):
            raise InputError(f"cannot read stdin: more than {_LARGEST_STREAM >> 20} MiB")
        return CodesFile.load(path, name="stdin")


def _named(stored: CodesFile, path: str, context: JobContext) -> Source:
    """The weights that the file names."""
    if not stored.weights:
        raise UsageError(
            f"{path} does not say of which weights it is", "give weights", code="weights-of-codes"
        )
    try:
        return context.fetch(stored.weights)
    except PixelgenError as error:
        raise type(error)(
            f"{path} names its weights, but {error.message}",
            "give weights",
            code="weights-of-codes",
        ) from error


def _one_of(stored: CodesFile, path: str, pick: int) -> CodesFile:
    """The codes of one picture, by its number from 1. Raises UsageError where there is none."""
    if pick > len(stored.codes):
        raise UsageError(f"there is no picture {pick} in {path}: it holds {len(stored.codes)}")
    one = slice(pick - 1, pick)
    return replace(stored, codes=stored.codes[one], files=stored.files[one])


def _digest(stored: CodesFile) -> str:
    """A short digest of the codes."""
    return fingerprint([stored.codes.contiguous().numpy().tobytes()])


def _compare(stored: CodesFile, path: str, used: LoadedCheckpoint, context: JobContext) -> None:
    """Note where other weights made the codes."""
    if stored.revision not in ("", used.revision):
        context.note(
            f"{path} was made by {stored.weights or 'weights'} of revision {stored.revision}, "
            f"decoded by {used.name} of {used.revision}"
        )
