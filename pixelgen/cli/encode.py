"""`pixelgen encode`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_WEIGHTS, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.output import check_folder, check_name, check_stdout
from pixelgen.cli.photos import check_photos, photo_name, read_photo
from pixelgen.cli.progress import ProgressLine
from pixelgen.cli.results import tell
from pixelgen.cli.terminal import check_takes_bytes
from pixelgen.errors import UsageError
from pixelgen.files import expanded
from pixelgen.imaging import square
from pixelgen.pipelines import CodecPipeline
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name


def encode(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMG", help="Pictures; - is stdin.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|-",
            help="The .safetensors file to write, or - for stdout.",
            show_default=False,
        ),
    ],
    weights: options.Weights = DEFAULT_WEIGHTS,
    fit: options.Fit = "crop",
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Turn pictures into grids of codes.

    \b
    Examples:
      pixelgen encode cat.jpg dog.png -o pets.safetensors
      pixelgen encode - -o - --weights imagenet64 < cat.jpg > cat.safetensors
    """
    started = time.perf_counter()
    check_device_name(device)
    output = expanded(output)
    piped = str(output) == "-"
    if piped:
        check_stdout("-", as_json, "codes")
        check_takes_bytes("codes")
    else:
        _check_output(output, force)
    check_photos(images)
    source = obtain(weights, quiet)
    size = read_config(source.path, source.name).image_shape[1]
    check_amount(len(images), size)
    # One at a time: a photo may be a thousand times as large as what is kept of it.
    with ProgressLine("reading", quiet or as_json) as meter:
        squares = [square(read_photo(image), size, fit) for image in meter.track(images)]

    pipe = CodecPipeline.from_pretrained(source, device)
    names = [Path(photo_name(image)).name for image in images]
    with ProgressLine("encoding", quiet or as_json) as meter:
        made = pipe.encode_file(squares, weights=weights, files=names, progress=meter)
    if piped:
        sys.stdout.buffer.write(made.to_bytes())
        sys.stdout.buffer.flush()
    else:
        made.save(output, replace=force)
    seconds = time.perf_counter() - started
    facts = {
        "file": None if piped else str(output),
        "pictures": made.files,
        "shape": list(made.codes.shape),
        "levels": made.levels,
        "weights": pipe.checkpoint.name,
        "revision": made.revision,
        "device": str(pipe.device),
        "seconds": round(seconds, 3),
    }
    count, *shape = made.codes.shape
    line = (
        f"{count} picture{'s' * (count > 1)} as {'×'.join(map(str, shape))} codes of "
        f"{made.levels} levels in {seconds:.1f} s"
    )
    tell([] if piped else [output], facts, line, as_json, quiet)


def _check_output(path: Path, force: bool) -> None:
    """Raises PixelgenError (exit code 2) where the codes cannot go."""
    if path.suffix != ".safetensors":
        raise UsageError(f"{path} is not a .safetensors file")
    check_folder(path.parent)
    check_name(path)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder")
    if os.path.lexists(path) and not force:
        raise UsageError(f"{path} exists", "--force replaces it")
