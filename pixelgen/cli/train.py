"""`pixelgen train`."""

from __future__ import annotations

import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.cli import options, terminal
from pixelgen.cli.errors import SIGNAL_OFFSET
from pixelgen.cli.global_options import largest_picture
from pixelgen.errors import counted
from pixelgen.files import expanded
from pixelgen.imaging import DataFit
from pixelgen.jobs.process_share import ProcessShare

if TYPE_CHECKING:
    from pixelgen.training.logs import RunProgress

_OWN = "Own pictures"
ENDINGS = {"max-minutes": "stopped after --max-minutes"}
"""What a message calls the reasons for which a run ended, if not by their names."""
PLAIN_SECONDS = 30.0
"""Between two lines of progress where stderr is not a terminal."""


def train(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PICTURES|RECIPE",
            help="A folder of pictures, a CSV, JSONL or parquet file that lists them, or a data "
            "set on the Hub owner/name; or a recipe, a TOML file or a name of `pixelgen recipes`.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the state and the logs of the run.",
            show_default=False,
        ),
    ],
    size: Annotated[
        int | None,
        typer.Option(
            help="Side of the pictures that the model draws, 32 or 64. Default: 64.",
            rich_help_panel=_OWN,
        ),
    ] = None,
    fit: Annotated[
        DataFit | None,
        typer.Option(
            help="Make pictures square: crop to the centre, stretch, or pad the shorter side "
            "with the colour of the edges. Default: crop.",
            rich_help_panel=_OWN,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Length of the run. Default: 20.", rich_help_panel=_OWN),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            "--init",
            help="Start from these weights: a bundled name, a folder, or a Hub id owner/name. For "
            "pictures by default imagenet64 or imagenet32; none: from scratch.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Size of a network that starts from scratch: tiny, small or base. Default: auto, "
            "by pictures and minutes.",
            rich_help_panel=_OWN,
        ),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="The column of pictures.", rich_help_panel=_OWN)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="The column of classes.", rich_help_panel=_OWN)
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            help="Licence of the weights, such as cc0-1.0, for their model card.",
            rich_help_panel=_OWN,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in the folder.")] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Save and stop this many minutes after the command starts."),
    ] = None,
    tracker: Annotated[
        str | None,
        typer.Option(help="Log to this tracker too, such as wandb or trackio.", show_default=False),
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
    """Train a model on your own pictures, or by a recipe.

    Sub-folders of pictures are classes. Ctrl-C, SIGTERM and SIGHUP save the state of the run before
    it stops; --resume continues it.

    \b
    Examples:
      pixelgen train photos -o runs/mine
      pixelgen train photos -o runs/mine --resume
      pixelgen train imagenet32 -o runs/other --set data.path=pictures
    """
    began = time.perf_counter()  # the imports below take seconds
    main_process = ProcessShare.of_this_process().rank == 0
    output = expanded(output)
    with TrainingDisplay(quiet or as_json or not main_process) as display, ExitStack() as limits:
        from pixelgen.cli.memory import keep_freed_memory
        from pixelgen.data.row_reader import pictures_up_to
        from pixelgen.training.loop import train as run_training
        from pixelgen.training.plan import plan_training

        limits.enter_context(pictures_up_to(largest_picture()))
        keep_freed_memory()
        display.note(f"opening {source}")
        plan = plan_training(
            source,
            output,
            resume=resume,
            overrides=overrides or [],
            size=size,
            fit=fit,
            minutes=minutes,
            start=start,
            preset=preset,
            image_column=image_column,
            label_column=label_column,
            license=license,
        )
        for line in plan.lines:
            display.note(line)
        outcome = run_training(
            plan.recipe,
            output,
            resume=resume,
            init=plan.start,
            max_minutes=max_minutes,
            began=began,
            dataset=plan.dataset,
            tracker=tracker,
            watcher=display,
        )
        counters = outcome.counters
        display.note(
            f"{ENDINGS.get(outcome.reason, outcome.reason)}: {counted(counters.step, 'step')}, "
            f"{counted(counters.images, 'picture')}, "
            f"{counted(counters.seconds / 60, 'minute', 1)}; state saved in {output}"
        )
        display.note(_next_step(outcome.reason, output))
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


def _next_step(reason: str, output: Path) -> str:
    """What to do after a run that ended for `reason`."""
    export = f"`pixelgen export {shlex.quote(str(output))} -o FOLDER` exports its weights"
    return export if reason == "finished" else f"the same command with --resume continues; {export}"


def describe(progress: RunProgress) -> str:
    """One line: steps, speed, time left and loss."""
    hours, minutes = divmod(round(progress.seconds_left / 60), 60)
    left = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    skipped = f" · {progress.skipped} skipped" if progress.skipped else ""
    return (
        f"step {progress.step} · {progress.images} pictures · "
        f"{progress.images_per_second:.1f}/s · {progress.gflops:.0f} GFLOP/s · {left} left · "
        f"{progress.loss:.3f} {progress.unit} · lr {progress.lr:.1e}{skipped}"
    )
