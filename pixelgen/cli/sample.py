"""`pixelgen sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_WEIGHTS
from pixelgen.cli import completions, options
from pixelgen.cli.option_groups import (
    ClassSamplingGroup,
    PreviewGroup,
    PrintingGroup,
    ViewGroup,
    with_option_groups,
)
from pixelgen.cli.run import run_and_print
from pixelgen.jobs.sample import SampleJob


@with_option_groups
def sample(
    *,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="CLASS",
            help="Number, range (207-210), WordNet id or name, or a group such as dog, from "
            "whose classes -n are drawn; may be repeated. Without it: no class.",
            autocompletion=completions.classes,
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Draw this many pictures of every class.")] = 1,
    sampling: ClassSamplingGroup,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw this many for each picture, and keep the one most clearly of its class: "
            "takes that many times as long. Default: the weights' own, or fewer, so that no "
            "more than 64 are drawn in all if possible.",
            show_default=False,
        ),
    ] = None,
    weights: options.Weights = DEFAULT_WEIGHTS,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    output: options.Output = None,
    view: ViewGroup,
    preview: PreviewGroup,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Draw pictures of a class.

    Without --output they go to the current folder, named after class and seed. --live, --watch and
    --animate show them while they are drawn.

    \b
    Examples:
      pixelgen sample --class 'golden retriever' -n 16
      pixelgen sample -c lion -c pizza -n 8 --scale 4 -o sheet.png
      pixelgen sample -c dog -n 9 -o dogs.jpg
      pixelgen sample -c lion -n 4 --animate lions.gif
      pixelgen sample -c 207 --seed 1 -o - > dog.png
    """
    job = SampleJob(
        classes=classes or (),
        n=n,
        sampling=sampling,
        candidates=candidates,
        weights=weights,
        device=device,
        batch_size=batch_size,
        output=output,
        view=view,
        preview=preview.files(),
        force=force,
    )
    run_and_print(job, printing, preview.live)
