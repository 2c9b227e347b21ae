"""`pixelgen score`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from pixelgen.checkpoints import DEFAULT_PIXEL_WEIGHTS
from pixelgen.cli import completions, options
from pixelgen.cli.option_groups import PrintingGroup, with_option_groups
from pixelgen.cli.run import TerminalContext, loading_shown, print_report
from pixelgen.errors import harmless
from pixelgen.jobs.score import ScoreJob, ScoreReport


@with_option_groups
def score(
    *,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMG", help="Pictures or folders; - is stdin.", show_default=False),
    ],
    weights: options.Weights = DEFAULT_PIXEL_WEIGHTS,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            "-c",
            metavar="CLASS",
            help="Condition on this class: number, WordNet id or name. Without it: no class.",
            autocompletion=completions.classes,
        ),
    ] = None,
    classify: Annotated[
        bool,
        typer.Option(
            "--classify",
            help="Also rank the 5 classes that explain each picture best, by p(class | picture) "
            "with equal priors. Takes a pass of the network for each class.",
        ),
    ] = False,
    heat: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Write each picture beside its surprise, pixel by pixel (for weights with a "
            "tokenizer code by code), to this .png, .jpg, .webp or .tif file, or to a folder.",
        ),
    ] = None,
    importance_samples: options.ImportanceSamples = None,
    fit: options.Fit = "crop",
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Measure how surprising pictures are, the most surprising first.

    The figures are exact: -log2 p(picture) in bits, in all and per dimension
    (pixel and channel), of the picture averaged down to the size of the
    weights. Of weights with a tokenizer they are those of its codes, per
    code. Of a PixelVAE they are upper bounds, and marked as such.

    \b
    Examples:
      pixelgen score photos/ cat.jpg
      pixelgen score cat.jpg --map heat.png
      pixelgen score cat.jpg --classify --json
    """
    job = ScoreJob(
        images=images,
        weights=weights,
        label=label,
        classify=classify,
        map=heat,
        fit=fit,
        device=device,
        batch_size=batch_size,
        importance_samples=importance_samples,
        force=force,
    )
    started = time.perf_counter()
    with loading_shown(printing):
        report = job.run(TerminalContext(printing))
    seconds = time.perf_counter() - started
    print_report(report, printing, _table(report), seconds=seconds)


def _table(report: ScoreReport) -> Iterator[str]:
    """A line for each picture, those of its classes below it."""
    width = max(9, len(report.unit))
    yield f"{report.unit:>{width}}  {'bits':>9}  picture"
    for one in report.pictures:
        yield f"{one.bits_per_dim:>{width}.4f}  {one.bits:>9.1f}  {harmless(one.picture)}"
        for guess in one.classes:
            yield f"{'':22}{guess.probability:>6.1%}  {guess.index} {guess.name}"
