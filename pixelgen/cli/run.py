"""Run a job for a command: what it shows goes to the terminal, its report is printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from pixelgen.checkpoints import Source
from pixelgen.checkpoints.storage import watch_loading
from pixelgen.cli import terminal
from pixelgen.cli.downloads import obtain
from pixelgen.cli.global_options import largest_picture
from pixelgen.cli.option_groups import PrintingGroup
from pixelgen.cli.progress import (
    ProgressLine,
    SamplingDisplay,
    can_show_pictures,
    loading_note,
    show_picture,
)
from pixelgen.cli.terminal import check_takes_bytes, note, on_terminal, stdin_bytes
from pixelgen.errors import UsageError
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import Job
from pixelgen.jobs.report import Report

if TYPE_CHECKING:
    from PIL import Image

    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]

R = TypeVar("R", bound=Report)


class TerminalContext(JobContext):
    """Shows what a job remarks and how far it is on stderr; `-` is stdin or stdout."""

    def __init__(self, printing: PrintingGroup, live: bool | None = False) -> None:
        """With `live` pictures are shown while they are drawn; None: if the terminal can. Raises
        UsageError where they are to be shown and cannot."""
        super().__init__()
        if live and printing.quiet:
            raise UsageError("--live cannot be combined with --quiet")
        able = live is not False and can_show_pictures()
        if live and not able:
            why = "it has no colours" if on_terminal() else "stderr is not one"
            raise UsageError(f"--live needs a terminal: {why}", "--watch FILE.png")
        self._as_json, self._quiet = printing.as_json, printing.quiet
        self._silent = printing.quiet or (printing.as_json and not live)
        self._live = able and not self._silent

    @property
    def max_pixels(self) -> int:
        return largest_picture()

    def note(self, text: str) -> None:
        note(text, self._quiet)

    def warn(self, text: str) -> None:
        terminal.warning(text)

    def fetch(self, weights: str) -> Source:
        return obtain(weights, self._quiet)

    def meter(self, task: str) -> ProgressLine:
        return ProgressLine(task, self._quiet or self._as_json)

    @contextmanager
    def drawing(self) -> Iterator[OnStep | None]:
        with SamplingDisplay(self._live, self._silent) as meter:
            yield meter.see if meter.active else None

    def show(self, picture: Callable[[], Image.Image], scale: int) -> None:
        if self._live:
            show_picture(picture(), scale)

    def on_partial(self, file: Path) -> None:
        if not self._as_json:
            terminal.path(file)

    def open_input(self, what: str) -> BinaryIO:
        return stdin_bytes(what)

    def check_output(self, what: str) -> None:
        if self._as_json:
            raise UsageError(f"stdout cannot take both {what} and --json", "-o FILE")
        check_takes_bytes(what)

    def write_output(self, data: bytes) -> None:
        terminal.write_bytes(data)


def run_and_print(job: Job, printing: PrintingGroup, live: bool | None = False) -> None:
    """Run a job and print its report: JSON, or the files on stdout and a summary on stderr."""
    started = time.perf_counter()
    with loading_shown(printing):
        report = job.run(TerminalContext(printing, live))
    print_report(report, printing, seconds=time.perf_counter() - started)


def loading_shown(printing: PrintingGroup) -> AbstractContextManager[None]:
    """A context in which weights that take long to load are named on a terminal."""
    if printing.quiet or printing.as_json:
        return nullcontext()
    return watch_loading(loading_note)


def print_report(
    report: Report,
    printing: PrintingGroup,
    rows: Iterable[str] = (),
    *,
    seconds: float | None = None,
) -> None:
    """Print a report as JSON; otherwise `rows` and the paths of files on stdout, and details and
    summary on stderr, with the `seconds` that all of it took."""
    if printing.as_json:
        terminal.json(report.to_dict(), quiet=printing.quiet)
        return
    for row in rows:
        terminal.line(row)
    for path in report.written():
        terminal.path(path)
    if seconds is not None and any(field.name == "seconds" for field in fields(report)):
        report = replace(report, seconds=seconds)  # type: ignore[call-arg]
    for text in filter(None, (*report.details(), report.summary())):
        terminal.status(text, printing.quiet)
