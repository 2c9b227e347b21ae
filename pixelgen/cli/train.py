"""`pixelgen train`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.cli import options
from pixelgen.cli.console import shows_progress, stderr_console

if TYPE_CHECKING:
    from pixelgen.training.logs import RunProgress

PLAIN_SECONDS = 30.0


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe: a TOML file.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the run.", show_default=False)
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder.")
    ] = False,
    init: Annotated[
        str | None,
        typer.Option(
            help="Start from these weights, or from that part of them that the recipe makes: a "
            "name, a folder, or a Hub owner/name."
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Save and stop after so many minutes.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model as a recipe says. Ctrl-C and SIGTERM save before they stop.

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
    speaks = os.environ.get("RANK", "0") == "0"  # of several processes one
    with Display(quiet or as_json or not speaks) as display:
        outcome = run_training(
            parsed, output, resume=resume, init=init, max_minutes=max_minutes, watcher=display
        )
        counters = outcome.counters
        display.note(
            f"{outcome.reason}: {counters.step} steps, {counters.images} pictures, "
            f"{counters.seconds / 60:.1f} minutes; state saved in {output}"
        )
    if as_json and speaks:
        facts = {
            "folder": str(output),
            "reason": outcome.reason,
            "steps": counters.step,
            "images": counters.images,
            "minutes": round(counters.seconds / 60, 2),
        }
        typer.echo(json.dumps(facts))
    if outcome.reason == "interrupted":
        raise typer.Exit(130)


class Display:
    """A progress line on a terminal, a plain line now and then elsewhere; all on stderr, unless
    `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = stderr_console()
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0

    def __enter__(self) -> Display:
        if shows_progress() and not self._quiet:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(20), TextColumn("{task.percentage:5.1f}% {task.description}"))
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("starting", total=1.0)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, progress: RunProgress) -> None:
        """Shows where the run stands."""
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.share, description=describe(progress))
        elif time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.note(f"{100 * progress.share:.1f}% {describe(progress)}")

    def note(self, text: str) -> None:
        """Prints a line above the progress line."""
        if not self._quiet:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def describe(progress: RunProgress) -> str:
    """One line: how far, how fast, how long still, how good."""
    minutes = round(progress.seconds_left / 60)
    left = f"{minutes // 60}:{minutes % 60:02d}"
    skipped = f" · {progress.skipped} skipped" if progress.skipped else ""
    return (
        f"step {progress.step} · {progress.images} pictures · "
        f"{progress.images_per_second:.1f}/s · {progress.gflops:.0f} GFLOP/s · {left} left · "
        f"{progress.loss:.3f} {progress.unit} · lr {progress.lr:.1e}{skipped}"
    )
