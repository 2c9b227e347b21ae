"""`pixelgen decode`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pixelgen._version import __version__
from pixelgen.checkpoints import Source, find, read_config
from pixelgen.cli.output import Output
from pixelgen.errors import PixelgenError
from pixelgen.imaging import enlarge, make_grid, square_columns
from pixelgen.pipelines import CodecPipeline, CodesFile
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

_USAGE, _UNREADABLE = 2, 3


def decode(
    codes: Annotated[Path, typer.Argument(help="A file of `pixelgen encode`.", show_default=False)],
    weights: Annotated[
        str | None,
        typer.Option(
            help="Bundled name, folder, or Hub id owner/name. Default: those that the file names."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE|DIR|-", help="A .png file, a folder, or - for stdout."
        ),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid/--separate", help="One picture of all, or a file each.")
    ] = True,
    scale: Annotated[int, typer.Option(min=1, max=64, help="Enlarge for viewing.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON about the result.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Nothing but errors.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Turn codes back into pictures: `pixelgen decode cat.safetensors -o cat.png`."""
    started = time.perf_counter()
    check_device_name(device)
    if output == "-" and as_json:
        raise PixelgenError("stdout cannot take both a picture and --json", "-o FILE", _USAGE)
    stored = CodesFile.load(codes.expanduser())
    count = len(stored.codes)
    source = find(weights) if weights is not None else _named(stored, codes)
    check_amount(count, read_config(source.path, source.name).picture[1] * scale)
    target = Output.plan(output, codes.stem, 1 if grid else count, force)
    texts = _texts(stored, source, target.count, grid, scale)
    target.refuse_to_overwrite(texts)

    pipe = CodecPipeline.from_pretrained(source, device)
    _compare(stored, codes, pipe, quiet)
    images = [enlarge(image, scale) for image in pipe.decode(stored.codes)]
    if grid:
        images = [make_grid(images, square_columns(count), gap=2 * scale)]
    files = target.write(images, texts)
    _tell(stored, pipe, files, time.perf_counter() - started, as_json, quiet)


def _named(stored: CodesFile, path: Path) -> Source:
    """The weights that the file names."""
    if not stored.weights:
        raise PixelgenError(f"{path} does not say of which weights it is", "--weights NAME", _USAGE)
    try:
        return find(stored.weights)
    except PixelgenError as error:
        raise PixelgenError(
            f"{path} names its weights, but {error.message}", "--weights NAME", error.exit_code
        ) from error


def _texts(
    stored: CodesFile, source: Source, files: int, grid: bool, scale: int
) -> list[dict[str, str]]:
    """The PNG text chunks of every file: what decides its pixels."""
    digest = hashlib.sha256(stored.codes.contiguous().numpy().tobytes()).hexdigest()
    view = {"codes": f"sha256:{digest[:16]}", "grid": grid, "scale": scale}
    common = {
        "Software": f"pixelgen {__version__}",
        "weights": source.name,
        "revision": source.revision(),
    }
    return [
        common | {"parameters": json.dumps(view | ({} if grid else {"picture": i}))}
        for i in range(files)
    ]


def _compare(stored: CodesFile, path: Path, pipe: CodecPipeline, quiet: bool) -> None:
    """A note on stderr where other weights made the codes; PixelgenError if their levels differ."""
    used = pipe.checkpoint
    if stored.levels not in (None, pipe.codec.config.levels):
        raise PixelgenError(
            f"codes of {stored.levels} levels do not fit {used.name}, "
            f"which has {pipe.codec.config.levels}",
            "",
            _UNREADABLE,
        )
    if stored.revision not in ("", used.revision) and not quiet:
        typer.echo(
            f"note: {path} was made by {stored.weights or 'weights'} of revision "
            f"{stored.revision}, decoded by {used.name} of {used.revision}",
            err=True,
        )


def _tell(
    stored: CodesFile,
    pipe: CodecPipeline,
    files: Sequence[Path],
    seconds: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Paths or JSON on stdout, a closing line on stderr."""
    if as_json:
        facts = {
            "files": [str(file) for file in files],
            "pictures": stored.files,
            "weights": pipe.checkpoint.name,
            "revision": pipe.checkpoint.revision,
            "codes_revision": stored.revision or None,
            "device": str(pipe.device),
            "seconds": round(seconds, 3),
        }
        typer.echo(json.dumps(facts))
        return
    for file in files:
        typer.echo(str(file))
    if not quiet:
        count = len(stored.codes)
        typer.echo(f"{count} picture{'s' * (count > 1)} in {seconds:.1f} s", err=True)
