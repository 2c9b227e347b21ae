"""`pixelgen decode`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pixelgen.checkpoints import LoadedCheckpoint, Source, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.output import Output, check_stdout
from pixelgen.cli.progress import Meter
from pixelgen.cli.results import describe, fingerprint, tell
from pixelgen.errors import PixelgenError
from pixelgen.imaging import enlarge, make_grid, square_columns
from pixelgen.pipelines import CodecPipeline, CodesFile
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

_USAGE = 2


def decode(
    codes: Annotated[Path, typer.Argument(help="A file of `pixelgen encode`.", show_default=False)],
    weights: Annotated[str | None, options.weights("those that the file names")] = None,
    device: options.Device = "auto",
    output: options.Output = None,
    grid: options.Grid = True,
    scale: options.Scale = 1,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Turn codes back into pictures: `pixelgen decode cat.safetensors -o cat.png`."""
    started = time.perf_counter()
    check_device_name(device)
    check_stdout(output, as_json)
    stored = CodesFile.load(codes.expanduser())
    count = len(stored.codes)
    source = obtain(weights, quiet) if weights is not None else _named(stored, codes, quiet)
    check_amount(count, read_config(source.path, source.name).picture[1] * scale)
    target = Output.plan(output, codes.stem, 1 if grid else count, force)
    view = {"codes": _digest(stored), "grid": grid, "scale": scale}
    texts = describe(source, view, target.count)
    target.refuse_to_overwrite(texts)

    pipe = CodecPipeline.from_pretrained(source, device)
    with Meter("decoding", quiet or as_json) as meter:
        images = [enlarge(image, scale) for image in pipe.decode(stored, meter)]
    if not quiet:
        _compare(stored, codes, pipe.checkpoint)
    if grid:
        images = [make_grid(images, square_columns(count), gap=2 * scale)]
    files = target.write(images, texts)
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


def _named(stored: CodesFile, path: Path, quiet: bool) -> Source:
    """The weights that the file names."""
    if not stored.weights:
        raise PixelgenError(f"{path} does not say of which weights it is", "--weights NAME", _USAGE)
    try:
        return obtain(stored.weights, quiet)
    except PixelgenError as error:
        raise PixelgenError(
            f"{path} names its weights, but {error.message}", "--weights NAME", error.exit_code
        ) from error


def _digest(stored: CodesFile) -> str:
    """What the codes are exactly, in short."""
    return fingerprint([stored.codes.contiguous().numpy().tobytes()])


def _compare(stored: CodesFile, path: Path, used: LoadedCheckpoint) -> None:
    """A note on stderr where other weights made the codes."""
    if stored.revision not in ("", used.revision):
        typer.echo(
            f"note: {path} was made by {stored.weights or 'weights'} of revision "
            f"{stored.revision}, decoded by {used.name} of {used.revision}",
            err=True,
        )
