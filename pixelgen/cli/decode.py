"""`pixelgen decode`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.cli import options
from pixelgen.cli.option_groups import PrintingGroup, with_option_groups
from pixelgen.cli.run import run_and_print
from pixelgen.jobs.decode import DecodeJob


@with_option_groups
def decode(
    *,
    codes: Annotated[
        str,
        typer.Argument(
            metavar="CODES", help="A file of `pixelgen encode`; - is stdin.", show_default=False
        ),
    ],
    weights: Annotated[str | None, options.weights("those that the file names")] = None,
    pick: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Decode only number N, from 1, of the pictures in the file.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    output: options.Output = None,
    grid: options.Grid = True,
    scale: options.Scale = 1,
    resample: options.Resampling = "nearest",
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Turn codes back into pictures.

    \b
    Examples:
      pixelgen decode pets.safetensors -o pets.png
      pixelgen decode pets.safetensors -o pets.png --separate --scale 4
    """
    job = DecodeJob(
        codes=codes,
        weights=weights,
        pick=pick,
        device=device,
        output=output,
        grid=grid,
        scale=scale,
        resample=resample,
        force=force,
    )
    run_and_print(job, printing)
