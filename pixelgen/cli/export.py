"""`pixelgen export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
) -> None:
    """Write a run's averaged weights as a checkpoint folder. Its path is printed."""
    from pixelgen.training.export import export as export_run

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
    typer.echo(folder)
