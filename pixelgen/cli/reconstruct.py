"""`pixelgen reconstruct`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_RECONSTRUCTION_WEIGHTS
from pixelgen.cli import options
from pixelgen.cli.option_groups import (
    PreviewGroup,
    PrintingGroup,
    SamplingGroup,
    ViewGroup,
    with_option_groups,
)
from pixelgen.cli.run import run_and_print
from pixelgen.jobs.reconstruct import ReconstructionJob
from pixelgen.pipelines.reconstruct_pipeline import LONGEST
from pixelgen.pipelines.reconstruct_request import CODE_STEPS


@with_option_groups
def reconstruct(
    *,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMG", help="Pictures or folders; - is stdin.", show_default=False),
    ],
    bottleneck: Annotated[
        list[int] | None,
        typer.Option(help="Latent dimensions; may be repeated. Default: all of the weights."),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("-n", help="Draw this many samples per bottleneck. Default: 3."),
    ] = None,
    sampling: SamplingGroup,
    weights: options.Weights = DEFAULT_RECONSTRUCTION_WEIGHTS,
    center_crop: Annotated[
        bool, typer.Option("--center-crop", help="Take the middle square of a photo: the default.")
    ] = False,
    resize: Annotated[
        bool, typer.Option("--resize", help="Stretch the whole photo to a square.")
    ] = False,
    patches: Annotated[
        bool, typer.Option("--patches", help="Reconstruct the whole photo in patches.")
    ] = False,
    max_side: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"With --patches: shrink longer photos to this many pixels first ({LONGEST}).",
        ),
    ] = None,
    code_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="With a tokenizer: improve the codes of each picture in this many gradient steps. "
            f"Default: {CODE_STEPS} with ImageNet's classes, which take half a second, else 0.",
        ),
    ] = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    output: options.Output = None,
    view: ViewGroup,
    preview: PreviewGroup,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Reconstruct pictures from a few numbers each.

    A row shows the original and, for each bottleneck, the mean of the pictures that have this
    latent vector (from a decoder trained on squared errors) and samples of them (from a PixelCNN).
    With weights that hold a tokenizer it shows the original and its reconstruction. --live, --watch
    and --animate show the samples while they are drawn.

    \b
    Examples:
      pixelgen reconstruct cat.jpg dog.png -o sheet.png
      pixelgen reconstruct cat.jpg --patches
      pixelgen reconstruct photos/ --bottleneck 100 -n 5
      pixelgen reconstruct cat.jpg --weights imagenet64
    """
    job = ReconstructionJob(
        images=images,
        bottlenecks=bottleneck,
        n=n,
        sampling=sampling,
        weights=weights,
        center_crop=center_crop,
        resize=resize,
        patches=patches,
        max_side=max_side,
        code_steps=code_steps,
        device=device,
        batch_size=batch_size,
        output=output,
        view=view,
        preview=preview.files(),
        force=force,
    )
    run_and_print(job, printing, preview.live)
