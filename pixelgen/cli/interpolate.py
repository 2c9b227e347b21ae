"""`pixelgen interpolate`."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_FACE_WEIGHTS, DEFAULT_WEIGHTS
from pixelgen.cli import completions, options
from pixelgen.cli.option_groups import (
    ClassSamplingGroup,
    PreviewGroup,
    PrintingGroup,
    ViewGroup,
    with_option_groups,
)
from pixelgen.cli.run import run_and_print
from pixelgen.jobs.interpolate import FPS, InterpolationJob


@with_option_groups
def interpolate(
    *,
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHOTO", help="Two or more; - is stdin.", show_default=False),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="CLASS",
            help="Instead of photos, two or more times: number, range, WordNet id or name.",
            autocompletion=completions.classes,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Draw this many frames, both ends included.")] = 9,
    slerp: Annotated[
        bool,
        typer.Option(
            "--slerp", help="Interpolate along the sphere of face embeddings, not linearly."
        ),
    ] = False,
    bottleneck: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With auto-encoders: latent dimensions. Default: the largest.",
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of faces: draw this many paths, and keep the one most similar to its "
            "embeddings. Default: the weights' own.",
            show_default=False,
        ),
    ] = None,
    sampling: ClassSamplingGroup,
    weights: Annotated[
        str | None, options.weights(f"{DEFAULT_FACE_WEIGHTS}, of classes {DEFAULT_WEIGHTS}")
    ] = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    face: options.Face = None,
    align: options.Align = True,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|DIR|-",
            help="A .png, .jpg or .tif file, a .gif or .webp animation, a folder, or - for stdout.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=50, help=f"Frames a second of an animation. Default: {FPS:g}."),
    ] = None,
    ping_pong: Annotated[
        bool, typer.Option("--ping-pong", help="Run an animation there and back.")
    ] = False,
    view: ViewGroup,
    preview: PreviewGroup,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Interpolate between faces, between classes, or between pictures.

    All frames are drawn with the same random numbers. One picture shows all of them, with the faces
    in the photos at both ends.

    With --weights that hold auto-encoders the photos may be of anything: the frames lead from the
    latent vector of one to that of the other. The ends show the centre of each photo as the network
    sees it.

    \b
    Examples:
      pixelgen interpolate --class lion --class cougar -o cats.png
      pixelgen interpolate a.jpg b.jpg -o morph.gif
      pixelgen interpolate cat.jpg dog.png --weights autoencoder32
    """
    job = InterpolationJob(
        photos=photos or (),
        classes=classes or (),
        steps=steps,
        slerp=slerp,
        bottleneck=bottleneck,
        candidates=candidates,
        sampling=sampling,
        weights=weights,
        device=device,
        batch_size=batch_size,
        face=face,
        align=align,
        output=output,
        fps=fps,
        ping_pong=ping_pong,
        view=view,
        preview=preview.files(),
        force=force,
    )
    run_and_print(job, printing, preview.live)
