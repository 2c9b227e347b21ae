"""`pixelgen compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelgen.cli import options, terminal
from pixelgen.cli.errors import SIGNAL_OFFSET
from pixelgen.cli.global_options import largest_picture
from pixelgen.errors import UsageError
from pixelgen.files import expanded
from pixelgen.jobs.process_share import ProcessShare

if TYPE_CHECKING:
    from pixelgen.comparison.results import Comparison


def compare(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="Recipes of models of pixels: TOML files, or names such as pixelcnn, row_lstm, "
            "diagonal_bilstm, gated_pixelcnn, pixelcnn_pp, pixelvae, multiscale and patch_head.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="A folder, or a data set owner/name on the Hub, with a split `train`.",
            show_default=False,
        ),
    ],
    budget: Annotated[
        str,
        typer.Option(
            help="Computation for every model: minutes of training such as 30m or 2h, or "
            "floating-point operations such as 1e15flop.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Folder for runs, table and curves; an interrupted comparison in it is continued.",
            show_default=False,
        ),
    ],
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Measure on only this many pictures, spread evenly."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the pictures, to which larger ones are averaged down."),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Take every model in the size of its paper.")
    ] = False,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Compare the network in a checkout of anordertoreclaim/PixelCNN or "
            "pi-tau/pixelcnn too, whose code is run; may be repeated.",
        ),
    ] = None,
    published: Annotated[
        Literal["cifar10", "imagenet32", "imagenet64"] | None,
        typer.Option(help="Published figures to show. Default: by the name of the data."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Samples to draw, and to time, of every model.")
    ] = 8,
    slice_minutes: Annotated[
        float | None,
        typer.Option(
            "--slice",
            help="Minutes that a model is trained for before it is the turn of another. Default: "
            "an eighth of a budget in minutes, else 5.",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Stop training after this many minutes of this command.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a value of all recipes; may be repeated."
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train models side by side, and compare their bits per dimension.

    Every model gets the same computation. They are trained in turns, and
    measured on all pictures of the split. The table also has the published
    figures, and the uniform and Gaussian distributions as baselines.

    Ctrl-C, SIGTERM and SIGHUP save the state; the same command continues.

    \b
    Examples:
      pixelgen compare pixelcnn row_lstm --data cifar10 --budget 30m -o table1
      pixelgen compare gated_pixelcnn --data cifar10 --budget 1e15flop -o all
      pixelgen compare pixelcnn --data owner/name --size 32 --budget 1h -o mine
    """
    from pixelgen.cli.memory import keep_freed_memory
    from pixelgen.cli.train import ENDINGS, TrainingDisplay
    from pixelgen.comparison.compare import compare as run_comparison
    from pixelgen.data.row_reader import pictures_up_to

    if ProcessShare.of_this_process().count > 1:
        raise UsageError("compare runs in one process", "start it without a launcher")
    for flag, value in (("--slice", slice_minutes), ("--max-minutes", max_minutes)):
        if value is not None and not value > 0:
            raise UsageError(f"{flag} must be positive, not {value:g}", "leave it out")
    output = expanded(output)
    keep_freed_memory()
    with TrainingDisplay(quiet or as_json) as display, pictures_up_to(largest_picture()):
        outcome = run_comparison(
            recipes,
            data,
            budget,
            output,
            split=split,
            limit=limit,
            size=size,
            paper=paper,
            peers=_named(peer or []),
            overrides=overrides or [],
            published=published,
            samples=samples,
            slice_minutes=slice_minutes,
            max_minutes=max_minutes,
            watcher=display,
        )
    comparison = outcome.comparison
    if comparison is None:
        terminal.status(
            f"{ENDINGS.get(outcome.reason, outcome.reason)}: the same command continues", quiet
        )
    if as_json:
        finished: dict[str, Any] = {} if comparison is None else comparison.to_dict()
        terminal.json({"folder": str(output), "reason": outcome.reason, **finished})
    elif comparison is not None:
        _print(comparison, output)
    if outcome.signal is not None:
        raise typer.Exit(SIGNAL_OFFSET + outcome.signal)


def _named(peers: list[str]) -> dict[str, Path]:
    """The checkouts by name. Raises UsageError for a text without a name, and for equal names."""
    found: dict[str, Path] = {}
    for text in peers:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UsageError(f"--peer {text!r} is not NAME=PATH", "for example their=../PixelCNN")
        if name in found:
            raise UsageError(f"two peers are called {name!r}")
        found[name] = expanded(path)
    return found


def _print(comparison: Comparison, output: Path) -> None:
    from pixelgen.comparison.results import COLUMNS, cells, notes

    rows = [[cell or None for cell in cells(row)] for row in comparison.rows]
    terminal.table(COLUMNS, rows, "<" + ">" * (len(COLUMNS) - 1))
    for note in notes(comparison):
        terminal.line(note)
    terminal.path(output / "table.md")
