"""`pixelgen complete`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_COMPLETION_WEIGHTS
from pixelgen.cli import options
from pixelgen.cli.option_groups import (
    PreviewGroup,
    PrintingGroup,
    SamplingGroup,
    ViewGroup,
    with_option_groups,
)
from pixelgen.cli.run import run_and_print
from pixelgen.imaging import Fit
from pixelgen.jobs.complete import CompletionJob


@with_option_groups
def complete(
    *,
    image: Annotated[
        str, typer.Argument(metavar="IMG", help="A picture; - is stdin.", show_default=False)
    ],
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="A picture of the size of IMG. Its white areas are filled; or, if it is a copy of "
            "IMG, the erased areas; or, if it is a transparent layer, the areas painted white.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="SIDE:PERCENT",
            help="Fill all but this part of IMG, or of its square with --raw. SIDE is top, bottom, "
            "left or right: top:50%.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="X,Y,W,H", help="Fill this box, in pixels of IMG."),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            help="Draw this many candidates of every completion and choose one by how well the "
            "known pixels below and after the hole follow from it. At --temperature 1 --top-p 1 "
            "--guidance 1 this is exact in the limit of many; with other values, candidates from "
            "the sharpened distribution are chosen by the model's own likelihood."
        ),
    ] = 1,
    classes: options.Classes = None,
    n: Annotated[int, typer.Option("-n", help="Draw this many completions of every class.")] = 4,
    sampling: SamplingGroup,
    weights: options.Weights = DEFAULT_COMPLETION_WEIGHTS,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Write the small pictures that the weights draw, beside the original, instead of "
            "IMG at its own size. IMG is made square as a whole; what lies outside is not filled.",
        ),
    ] = False,
    fit: Annotated[
        Fit,
        typer.Option(
            help="crop: show the weights a square around the hole; stretch: a box in the shape of "
            "the hole, stretched. With --raw: the middle square of IMG, or all of it, stretched."
        ),
    ] = "crop",
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    output: options.Output = None,
    view: ViewGroup,
    preview: PreviewGroup,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Fill a part of a picture.

    Each completion is IMG at its own size, in a file of its own. A square
    around the hole, with at least half of the hole's side on every side where
    IMG goes on, is averaged down to the size of the weights; what they draw
    is enlarged and fades in along the border of the hole. Pixels outside of
    the hole stay as they are. Large holes come out blurred: imagenet64 draws
    64×64 pixels in its square. Several holes get one square around all. For
    faces choose --weights faces64.

    Pixels are drawn in raster order (by imagenet32 in blocks of 2×2, by
    weights with a tokenizer code by code, of 4×4 pixels in imagenet64), each
    given all before it, above and to the left, known or just drawn. Pixels
    below the hole, or after it in its last row, do NOT influence what is
    drawn, except with --refine. (Of a model of two scales the known pixels of
    its sub-sampled picture do.) Hidden pixels influence nothing.

    A pixel of the weights is filled if at least half of what it covers is
    hidden. Weights with a tokenizer redraw every code whose cell the hole
    touches.

    With --raw, one picture shows the original, what is known of it, and the
    completions, in a row for each class, as small as the weights see them;
    --live, --watch and --animate show the same while the hole is filled.
    --scale, --resample and --separate are about these small pictures.

    \b
    Examples:
      pixelgen complete cat.jpg --box 80,80,96,64 --class tabby
      pixelgen complete cat.jpg --mask mask.png -n 1 -o filled.png
      pixelgen complete cat.jpg --keep top:50% -n 6 --raw --scale 4
      pixelgen complete cat.jpg --keep top:50% --animate cat.gif
    """
    job = CompletionJob(
        image=image,
        mask=mask,
        keep=keep,
        box=box,
        refine=refine,
        classes=classes or (),
        n=n,
        sampling=sampling,
        weights=weights,
        raw=raw,
        fit=fit,
        device=device,
        batch_size=batch_size,
        output=output,
        view=view,
        preview=preview.files(),
        force=force,
    )
    run_and_print(job, printing, preview.live)
