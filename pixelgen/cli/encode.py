"""`pixelgen encode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_WEIGHTS
from pixelgen.cli import options
from pixelgen.cli.option_groups import PrintingGroup, with_option_groups
from pixelgen.cli.run import run_and_print
from pixelgen.jobs.encode import EncodeJob


@with_option_groups
def encode(
    *,
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
    code_steps: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Improve the codes of each picture in this many gradient steps; 6 take half a "
            "second. 0: those of the encoder.",
        ),
    ] = 0,
    device: options.Device = "auto",
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Turn pictures into grids of codes.

    \b
    Examples:
      pixelgen encode cat.jpg dog.png -o pets.safetensors
      pixelgen encode - -o - --weights imagenet64 < cat.jpg > cat.safetensors
    """
    job = EncodeJob(
        images=images,
        output=str(output),
        weights=weights,
        fit=fit,
        code_steps=code_steps,
        device=device,
        force=force,
    )
    run_and_print(job, printing)
