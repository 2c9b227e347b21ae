"""`pixelgen again`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.cli import completions, options
from pixelgen.cli.option_groups import (
    ClassSamplingGroup,
    PreviewGroup,
    PrintingGroup,
    with_option_groups,
)
from pixelgen.cli.run import run_and_print
from pixelgen.imaging import Resample
from pixelgen.jobs.again import AgainJob


@with_option_groups
def again(
    *,
    picture: Annotated[
        str,
        typer.Argument(metavar="PICTURE", help="A picture from pixelgen.", show_default=False),
    ],
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            help="Draw this many new pictures of the same kind, with a new seed unless --seed is "
            "given.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Frames of an interpolation.", show_default=False),
    ] = None,
    photos: Annotated[
        list[str] | None,
        typer.Option(
            "--photo",
            metavar="PHOTO",
            help="A photo that it was made from; may be repeated, in order. Default: files of "
            "their names beside the picture, or in the current folder.",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="MASK",
            help="The mask of a completion. Default: a file of its name, found as photos are.",
            show_default=False,
        ),
    ] = None,
    sampling: ClassSamplingGroup,
    candidates: Annotated[
        int | None,
        typer.Option(min=1, help="Draw this many for each picture.", show_default=False),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights that draw it. Default: those that it names.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    output: options.Output = None,
    grid: Annotated[
        bool | None,
        typer.Option(
            "--grid/--separate",
            help="Write one sheet, or a file for each picture.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Enlarge for viewing.", show_default=False),
    ] = None,
    resample: Annotated[
        Resample | None,
        typer.Option(help="How to enlarge; learned: by a small network.", show_default=False),
    ] = None,
    preview: PreviewGroup,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Draw a picture again, with the options that its file records, or vary it.

    The options that you give override the picture's. All others, the seed too,
    come from the picture, not from the defaults below. With -n new pictures are
    drawn with a new seed.

    \b
    Examples:
      pixelgen again pixelgen-lion-s1.png
      pixelgen again pixelgen-lion-s1.png --guidance 3
      pixelgen again pixelgen-lion-s1.png -n 8 -o more.png
      pixelgen again portrait.png --photo me.jpg -n 4
    """
    job = AgainJob(
        picture=picture,
        n=n,
        steps=steps,
        photos=photos or (),
        mask=mask,
        sampling=sampling,
        candidates=candidates,
        weights=weights,
        device=device,
        batch_size=batch_size,
        output=output,
        grid=grid,
        scale=scale,
        resample=resample,
        preview=preview.files(),
        force=force,
    )
    run_and_print(job, printing, preview.live)
