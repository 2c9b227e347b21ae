"""Options that several commands share: `seed: options.Seed = None`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixelgen.cli import completions
from pixelgen.imaging import Fit as FitName
from pixelgen.imaging import Resample

_WEIGHTS = "Bundled name, folder, or Hub id owner/name, owner/name@revision."

Photos = Annotated[
    list[str],
    typer.Argument(metavar="PHOTO", help="Pictures; - is stdin.", show_default=False),
]
Weights = Annotated[str, typer.Option(help=_WEIGHTS, autocompletion=completions.weights)]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, cuda:N or mps.", autocompletion=completions.devices),
]

BatchSize = Annotated[
    int, typer.Option(help="Work on this many pictures side by side; fewer than 8 are no faster.")
]

Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        "-c",
        metavar="CLASS",
        help="Number, range (207-210), WordNet id or name; may be repeated. Without it: no class.",
        autocompletion=completions.classes,
    ),
]
Fit = Annotated[
    FitName, typer.Option(help="Make pictures square: cut out the middle, or stretch all.")
]
Face = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Face N of every photo, as `pixelgen faces` counts. Default: 1, the largest.",
    ),
]
Align = Annotated[
    bool,
    typer.Option(
        "--align/--no-align", help="Detect the face, or take all of the photo as an aligned one."
    ),
]

Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="A .png, .jpg, .webp or .tif file, a folder, or - for stdout.",
    ),
]
Grid = Annotated[
    bool, typer.Option("--grid/--separate", help="Write one picture of all, or a file each.")
]
Scale = Annotated[int, typer.Option(min=1, max=64, help="Enlarge for viewing.")]
ImportanceSamples = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="With a PixelVAE: latents to draw for each picture's bound. Default: 8.",
        show_default=False,
    ),
]
Resampling = Annotated[
    Resample,
    typer.Option(help="How to enlarge: repeat pixels, interpolate, or by a small network."),
]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A bundled name, a folder, or a Hub id owner/name, owner/name@revision.",
        autocompletion=completions.weights,
        show_default=False,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        help="Of the Hub. Default: HF_TOKEN, or that of `hf auth login`.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON about the result.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]


def weights(default: str) -> Any:
    """`--weights` where what is used without it depends on other things."""
    return typer.Option(
        help=f"{_WEIGHTS} Default: {default}.",
        autocompletion=completions.weights,
        show_default=False,
    )
