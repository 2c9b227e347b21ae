"""`pixelgen export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", show_default=False)],
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
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
) -> None:
    """Write a run's averaged weights as a checkpoint folder. Its path is printed."""
    from pixelgen.training.export import export as export_run

    folder = export_run(
        run, output, evaluation=evaluation, sheet=sheet, tokenizer=tokenizer, overwrite=force
    )
    typer.echo(folder)
