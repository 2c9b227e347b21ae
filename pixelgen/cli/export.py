"""`pixelgen export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pixelgen.cli import options


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folder of the run; of auto-encoders one run for each bottleneck.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write.", show_default=False)
    ],
    evaluation: Annotated[
        Path | None,
        typer.Option(help="Output of `pixelgen evaluate --json`, for the model card."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="A PNG of samples, for the model card.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Weights whose decoder is better than that of the tokenizer which the model was "
            "trained with, and whose encoder is the same."
        ),
    ] = None,
    as_json: options.Json = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
) -> None:
    """Write a run's averaged weights as a checkpoint folder. Its path is printed.

    \b
    Examples:
      pixelgen export runs/mine -o my-weights
      pixelgen export runs/auto10 runs/auto100 -o my-autoencoder --sheet sheet.png
    """
    from pixelgen.publishing.export import export as export_run

    run, *others = runs
    folder = export_run(
        run,
        output,
        others=others,
        evaluation=evaluation,
        sheet=sheet,
        tokenizer=tokenizer,
        overwrite=force,
    )
    typer.echo(json.dumps({"folder": str(folder)}) if as_json else folder)
