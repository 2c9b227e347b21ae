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
    int, typer.Option(help="Pictures in a batch; fewer than 8 save neither time nor memory.")
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
    FitName,
    typer.Option(help="Make pictures square: crop to the centre, or stretch the whole picture."),
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
        "--align/--no-align",
        help="Find and align the face; --no-align: the photo is an aligned face already.",
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
    bool, typer.Option("--grid/--separate", help="Write one sheet, or a file for each picture.")
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
        help="Access token for the Hub. Default: HF_TOKEN, or that of `hf auth login`.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON about the result.")]
Quiet = Annotated[
    bool,
    typer.Option(
        "-q",
        "--quiet",
        help="Hide progress, notes and summaries; results, warnings and errors stay.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]


def weights(default: str) -> Any:
    """`--weights` where what is used without it depends on other things."""
    return typer.Option(
        help=f"{_WEIGHTS} Default: {default}.",
        autocompletion=completions.weights,
        show_default=False,
    )
