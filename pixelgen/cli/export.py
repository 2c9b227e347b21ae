"""`pixelgen export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelgen.cli import options, terminal


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folder of the run; for auto-encoders one run for each bottleneck.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write to.", show_default=False)
    ],
    evaluation: Annotated[
        Path | None,
        typer.Option(help="Add this output of `pixelgen evaluate --json` to the model card."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Add this PNG of samples to the model card.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Replace the tokenizer by these weights: a better decoder for the same encoder."
        ),
    ] = None,
    as_json: options.Json = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Export the averaged weights of a training run as a checkpoint folder.

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
    if as_json:
        terminal.json({"folder": str(folder)})
    else:
        terminal.path(folder)
