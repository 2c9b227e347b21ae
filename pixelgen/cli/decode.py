"""`pixelgen decode`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint, Source, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.output import Output, check_stdout
from pixelgen.cli.photos import photo_name
from pixelgen.cli.progress import ProgressLine
from pixelgen.cli.results import describe, fingerprint, tell
from pixelgen.cli.terminal import note, stdin_bytes
from pixelgen.cli.view import View
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import make_grid, square_columns
from pixelgen.pipelines import CodecPipeline, CodesFile
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

_LARGEST_STREAM = 2**30


def decode(
    codes: Annotated[
        str,
        typer.Argument(
            metavar="CODES", help="A file of `pixelgen encode`; - is stdin.", show_default=False
        ),
    ],
    weights: Annotated[str | None, options.weights("those that the file names")] = None,
    device: options.Device = "auto",
    output: options.Output = None,
    grid: options.Grid = True,
    scale: options.Scale = 1,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Turn codes back into pictures.

    \b
    Examples:
      pixelgen decode pets.safetensors -o pets.png
      pixelgen decode pets.safetensors -o pets.png --separate --scale 4
    """
    started = time.perf_counter()
    check_device_name(device)
    check_stdout(output, as_json)
    stored, name = _read(codes), photo_name(codes)
    count = len(stored.codes)
    source = obtain(weights, quiet) if weights is not None else _named(stored, name, quiet)
    check_amount(count, read_config(source.path, source.name).image_shape[1] * scale)
    target = Output.plan(output, Path(name).stem, 1 if grid else count, force)
    view = {"codes": _digest(stored), "grid": grid, "scale": scale}
    texts = describe(source, view, target.count)
    target.refuse_to_overwrite(texts)

    pipe = CodecPipeline.from_pretrained(source, device)
    with ProgressLine("decoding", quiet or as_json) as meter:
        images = pipe.decode(stored, meter)
    _compare(stored, name, pipe.checkpoint, quiet)
    shown = View(grid, scale)

    def sheet(images: Sequence[Image.Image]) -> Image.Image:
        return make_grid(shown.finish(images), square_columns(count), gap=shown.gap)

    files = target.write(shown.lay_out(images, sheet), texts)
    seconds = time.perf_counter() - started
    facts = {
        "files": [str(file) for file in files],
        "pictures": stored.files,
        "weights": pipe.checkpoint.name,
        "revision": pipe.checkpoint.revision,
        "codes_revision": stored.revision or None,
        "device": str(pipe.device),
        "seconds": round(seconds, 3),
    }
    line = f"{count} picture{'s' * (count > 1)} in {seconds:.1f} s"
    tell(files, facts, line, as_json, quiet)


def _read(given: str) -> CodesFile:
    """The codes in a file, or that come from stdin; these are put into a file first, which is all
    that can be read in part. Raises PixelgenError (exit code 3) for anything else."""
    if given != "-":
        return CodesFile.load(expanded(given), name=given)
    stream = stdin_bytes("codes")
    with TemporaryDirectory(prefix="pixelgen-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "codes.safetensors"
        left = _LARGEST_STREAM
        with path.open("wb") as file:
            while left > 0 and (block := stream.read(min(2**20, left))):
                left -= file.write(block)
        if left <= 0 and stream.read(1):
            why = f"more than {_LARGEST_STREAM >> 20} MiB"
            raise InputError(f"cannot read stdin: {why}")
        return CodesFile.load(path, name="stdin")


def _named(stored: CodesFile, path: str, quiet: bool) -> Source:
    """The weights that the file names."""
    if not stored.weights:
        raise UsageError(f"{path} does not say of which weights it is", "--weights NAME")
    try:
        return obtain(stored.weights, quiet)
    except PixelgenError as error:
        raise type(error)(
            f"{path} names its weights, but {error.message}", "--weights NAME"
        ) from error


def _digest(stored: CodesFile) -> str:
    """What the codes are exactly, in short."""
    return fingerprint([stored.codes.contiguous().numpy().tobytes()])


def _compare(stored: CodesFile, path: str, used: LoadedCheckpoint, quiet: bool) -> None:
    """A note on stderr where other weights made the codes."""
    if stored.revision not in ("", used.revision):
        note(
            f"{path} was made by {stored.weights or 'weights'} of revision {stored.revision}, "
            f"decoded by {used.name} of {used.revision}",
            quiet,
        )
