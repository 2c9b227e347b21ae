"""`pixelgen export`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.checkpoints.source import bundled, resolve_local
from pixelgen.cli import options, terminal
from pixelgen.errors import UsageError, did_you_mean
from pixelgen.files import expanded


def export(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folder of the run; for auto-encoders one run for each bottleneck. Or weights, to "
            "replace their tokenizer or figures.",
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
    storage: Annotated[
        Literal["float16", "int8"] | None,
        typer.Option(
            help="Store the model in half precision, or in 8-bit whole numbers: half the space. "
            "Default: float16 for a run; for weights, as they are stored now."
        ),
    ] = None,
    tokenizer_storage: Annotated[
        Literal["float16", "int8"] | None,
        typer.Option(help="The same for the tokenizer of a model of codes."),
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option(
            metavar="0…1",
            help="Let the tokenizer smooth what it decodes by this share of a 3×3 filter: it takes "
            "the grain off single pixels.",
        ),
    ] = None,
    ensemble: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Let the face embedder be the mean of itself and that of these weights; may be "
            "repeated.",
        ),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="With --ensemble: the data set of faces to align embedders by."
        ),
    ] = None,
    as_json: options.Json = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Export the averaged weights of a run, or other weights, as a folder.

    \b
    Examples:
      pixelgen export runs/mine -o my-weights
      pixelgen export runs/auto10 runs/auto100 -o my-autoencoder --sheet sheet.png
      pixelgen export imagenet64 --tokenizer my-decoder -o imagenet64-sharper
      pixelgen export imagenet64 --storage int8 -o imagenet64-small
      pixelgen export faces64 --ensemble my-embedder --faces ../faces -o my-faces
    """
    from pixelgen.publishing.export import export as export_run
    from pixelgen.publishing.export import export_weights
    from pixelgen.training.state import state_path

    run, *others = runs
    output = expanded(output)
    shared: dict[str, Any] = {
        "evaluation": evaluation and expanded(evaluation),
        "sheet": sheet and expanded(sheet),
        "tokenizer": tokenizer,
        "storage": storage,
        "tokenizer_storage": tokenizer_storage,
        "smoothing": smoothing,
        "overwrite": force,
    }
    source = None if others else resolve_local(run)
    if source is None and not others and not os.path.lexists(expanded(run)):
        raise UsageError(
            f"no run {run}, and no weights of this name{did_you_mean(run, bundled())}",
            f"give the folder of a run or of weights, or a bundled name: {', '.join(bundled())}",
        )
    is_run = source is not None and state_path(source.path) is not None  # perhaps exported into
    if source is not None and (source.path / CONFIG_FILE).is_file() and not is_run:
        folder = export_weights(run, output, **shared, ensemble=ensemble or (), faces=faces)
    elif ensemble or faces is not None:
        raise UsageError(
            "--ensemble and --faces are for weights, not for runs",
            "export the run without them, then export what that writes",
        )
    else:
        folder = export_run(
            expanded(run), output, others=[expanded(other) for other in others], **shared
        )
    if as_json:
        terminal.json({"folder": str(folder)})
    else:
        terminal.path(folder)
