"""`pixelgen train`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.cli import options, terminal
from pixelgen.cli.errors import SIGNAL_OFFSET
from pixelgen.jobs.process_share import ProcessShare

if TYPE_CHECKING:
    from pixelgen.training.logs import RunProgress

PLAIN_SECONDS = 30.0
"""Between two lines of progress where stderr is not a terminal."""


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, a TOML file.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the state and the logs of the run.",
            show_default=False,
        ),
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in the folder.")] = False,
    init: Annotated[
        str | None,
        typer.Option(
            help="Start from these weights: a bundled name, a folder, or a Hub id owner/name."
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Save and stop after this many minutes.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a value of the recipe; may be repeated."
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model by a recipe.

    Ctrl-C, SIGTERM and SIGHUP save the state of the run before it stops.

    \b
    Examples:
      pixelgen train recipes/imagenet32.toml -o runs/mine --set data.path=pictures
      pixelgen train my-recipe.toml -o runs/mine --resume
    """
    from pixelgen.cli.memory import keep_freed_memory
    from pixelgen.training.loop import train as run_training
    from pixelgen.training.recipe import load_recipe

    keep_freed_memory()
    parsed = load_recipe(recipe, overrides or [])
    main_process = ProcessShare.of_this_process().rank == 0
    with TrainingDisplay(quiet or as_json or not main_process) as display:
        outcome = run_training(
            parsed, output, resume=resume, init=init, max_minutes=max_minutes, watcher=display
        )
        counters = outcome.counters
        display.note(
            f"{outcome.reason}: {counters.step} steps, {counters.images} pictures, "
            f"{counters.seconds / 60:.1f} minutes; state saved in {output}"
        )
    if as_json and main_process:
        result = {
            "folder": str(output),
            "reason": outcome.reason,
            "steps": counters.step,
            "images": counters.images,
            "minutes": round(counters.seconds / 60, 2),
        }
        terminal.json(result)
    if outcome.signal is not None:
        raise typer.Exit(SIGNAL_OFFSET + outcome.signal)


class TrainingDisplay:
    """A progress bar on a terminal, a plain line every 30 seconds elsewhere; all on stderr, unless
    `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = terminal.stderr_console()
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0

    def __enter__(self) -> TrainingDisplay:
        if terminal.shows_progress() and not self._quiet:
            from rich.progress import BarColumn, Progress, TextColumn

            text = "{task.percentage:5.1f}% {task.description}"
            columns = (BarColumn(20), TextColumn(text, markup=False))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("starting", total=1.0)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with terminal.stderr_may_be_gone():
                self._bar.stop()

    def progress(self, progress: RunProgress) -> None:
        """Show how far the run is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.share, description=describe(progress))
        elif time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.note(f"{100 * progress.share:.1f}% {describe(progress)}")

    def note(self, text: str) -> None:
        """Print a line above the progress bar."""
        terminal.status(text, self._quiet, self._console)


def describe(progress: RunProgress) -> str:
    """One line: steps, speed, time left and loss."""
    minutes = round(progress.seconds_left / 60)
    left = f"{minutes // 60}:{minutes % 60:02d}"
    skipped = f" · {progress.skipped} skipped" if progress.skipped else ""
    return (
        f"step {progress.step} · {progress.images} pictures · "
        f"{progress.images_per_second:.1f}/s · {progress.gflops:.0f} GFLOP/s · {left} left · "
        f"{progress.loss:.3f} {progress.unit} · lr {progress.lr:.1e}{skipped}"
    )
