"""`pixelgen portrait`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_FACE_WEIGHTS
from pixelgen.cli import options
from pixelgen.cli.option_groups import (
    PreviewGroup,
    PrintingGroup,
    SamplingGroup,
    ViewGroup,
    with_option_groups,
)
from pixelgen.cli.run import run_and_print
from pixelgen.jobs.portrait import PortraitJob


@with_option_groups
def portrait(
    *,
    photos: options.Photos,
    n: Annotated[int, typer.Option("-n", help="Draw this many portraits.")] = 8,
    sampling: SamplingGroup,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw this many for each portrait, and keep the one most similar to the person. "
            "Default: the weights' own.",
            show_default=False,
        ),
    ] = None,
    weights: options.Weights = DEFAULT_FACE_WEIGHTS,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    face: options.Face = None,
    align: options.Align = True,
    output: options.Output = None,
    view: ViewGroup,
    preview: PreviewGroup,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Draw new portraits of the person in a photo, or in several.

    One picture shows the face in the photo on the left and all portraits beside it. --live, --watch
    and --animate show them while they are drawn.

    \b
    Examples:
      pixelgen portrait me.jpg
      pixelgen portrait me.jpg me-too.jpg -n 16
      pixelgen portrait party.jpg --face 2 --separate
    """
    job = PortraitJob(
        photos=photos,
        n=n,
        sampling=sampling,
        candidates=candidates,
        weights=weights,
        device=device,
        batch_size=batch_size,
        face=face,
        align=align,
        output=output,
        view=view,
        preview=preview.files(),
        force=force,
    )
    run_and_print(job, printing, preview.live)
