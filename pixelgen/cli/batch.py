"""`pixelgen batch`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelgen.checkpoints import Source
from pixelgen.checkpoints.source import resolve_local
from pixelgen.cli import options, terminal
from pixelgen.cli.downloads import obtain
from pixelgen.cli.errors import explain
from pixelgen.cli.global_options import largest_picture
from pixelgen.cli.progress import ProgressLine, SamplingDisplay
from pixelgen.cli.terminal import open_stdin
from pixelgen.errors import InputError, PixelgenError, UsageError, counted
from pixelgen.files import expanded, read_up_to
from pixelgen.jobs.batch import (
    LARGEST_JOBS,
    WEIGHTS_IN_MEMORY,
    BatchRun,
    Plan,
    open_plan,
    read_job_file,
)
from pixelgen.jobs.batch_jobs import BatchJob, BrokenJobs, Defaults, read_jobs
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.process_share import ProcessShare
from pixelgen.jobs.results_log import JobResult, ResultsLog
from pixelgen.pipelines.devices import check_device_name, pick_device

if TYPE_CHECKING:
    from pixelgen.jobs.context import OnStep

_PROBLEMS_SHOWN = 20


def batch(
    context: typer.Context,
    jobs: Annotated[
        str,
        typer.Argument(
            metavar="JOBS", help="A file with a job on every line; - is stdin.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Write files and results.jsonl to this folder, which is created if needed.",
            show_default=False,
        ),
    ],
    device: options.Device = "auto",
    keep: Annotated[
        int,
        typer.Option(
            "--keep",
            metavar="N",
            min=1,
            help="Keep the weights of this many models in memory.",
        ),
    ] = WEIGHTS_IN_MEMORY,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first job that fails.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all jobs, say what is left, and run none.")
    ] = False,
    quiet: options.Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Run finished jobs again, and replace existing files.")
    ] = False,
) -> None:
    """Run many commands, with weights that are loaded once.

    A job is a line of JSON, such as

    {"command": "sample", "class": [207, "lion"], "n": 4, "seed": 1}

    The keys are a command that draws, scores, encodes, decodes or finds
    faces, its options by their long names, its arguments ("photos", "images",
    "image", "codes"), and optionally "id", after which its files are named,
    and "out", a path inside DIR. Other paths are relative to the current
    folder.

    The result of each job is a line of JSON on stdout and in
    DIR/results.jsonl. When the command is run again, after Ctrl-C, a crash or
    a failure, or with more lines, jobs that are done are skipped. With
    `accelerate launch -m pixelgen batch jobs.jsonl -o out` every process runs
    its share of the jobs.

    \b
    Examples:
      pixelgen batch jobs.jsonl -o out
      pixelgen batch jobs.jsonl -o out --dry-run
      pixelgen batch - -o out --keep 1 < jobs.jsonl
    """
    check_device_name(device)
    share = ProcessShare.of_this_process()
    if jobs == "-" and share.count > 1:
        raise UsageError("several processes cannot read stdin", "give a file")
    folder = expanded(output)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{output} is not a folder")
    results_log = ResultsLog(folder, share.rank)
    settings = context.parent.default_map if context.parent is not None else None
    try:
        asked = _read(jobs, settings or {})
        plan = Plan.from_jobs(asked, results_log, share, force)
    except BrokenJobs as broken:
        raise _shown(broken) from broken
    if dry_run:
        _dry_run(plan, share, quiet)
        return
    if plan.left and device not in ("auto", "cpu"):
        pick_device(device)  # fails once, not in every job
    with open_plan(asked, results_log, share, force) as (plan, staging):
        _print_start(plan, share, quiet)
        progress = _Progress(plan, quiet, share)
        run = BatchRun(
            staging,
            share.device(device),
            force,
            fail_fast,
            context=lambda: BatchContext(progress.meter, quiet),
            explain=explain,
        )
        progress.run(run, keep)
    share.wait()
    if progress.failed:
        raise PixelgenError(
            f"{progress.failed} of {progress.count} jobs failed",
            f"{results_log.path} says why; the same command tries them again",
        ) from run.trouble


class BatchContext(JobContext):
    """Shows how far a job is as a part of the line about all jobs."""

    def __init__(self, meter: ProgressLine, quiet: bool) -> None:
        super().__init__()
        self._meter, self._quiet = meter, quiet

    @property
    def max_pixels(self) -> int:
        return largest_picture()

    def fetch(self, weights: str) -> Source:
        if resolve_local(weights) is None:
            self._meter.hide()  # a download has a line of its own
        return obtain(weights, self._quiet)

    def meter(self, task: str) -> ProgressLine:
        return ProgressLine(task, quiet=True)

    @contextmanager
    def drawing(self) -> Iterator[OnStep | None]:
        with SamplingDisplay(live=False, quiet=True) as meter:
            yield meter.see if meter.active else None


class _Progress:
    """Shows how many jobs are done, and the result of each."""

    def __init__(self, plan: Plan, quiet: bool, share: ProcessShare) -> None:
        self._jobs = plan.left
        self.count, self.done, self.failed = len(self._jobs), 0, 0
        self._quiet = quiet or share.rank > 0
        self.meter = ProgressLine("jobs", self._quiet)

    def run(self, run: BatchRun, keep: int) -> None:
        """Run the jobs."""
        try:
            with self.meter as meter, meter.around():
                meter(0, self.count)
                run.run(self._jobs, self._print, keep)
        except KeyboardInterrupt:
            if not self._quiet:
                left = counted(self.count - self.done, "job")
                terminal.status(f"{left} left; the same command continues")
            raise

    def _print(self, result: JobResult) -> None:
        self.done += 1
        self.failed += result.status == "failed"
        self.meter.hide()
        terminal.json(asdict(result), quiet=self._quiet)
        if not self._quiet:
            for remark in result.notes:
                terminal.note(f"{result.id}: {remark}")
        if result.error is not None:
            terminal.error(f"{result.id}, line {result.line}: {result.error}", label="failed:")
        self.meter(self.done, self.count)


def _read(jobs: str, defaults: Defaults) -> list[BatchJob]:
    """The jobs of a file or of stdin."""
    if jobs != "-":
        return read_jobs(read_job_file(Path(jobs)), Path(jobs).name, defaults)
    try:
        return read_jobs(read_up_to(open_stdin(), LARGEST_JOBS), "stdin", defaults)
    except OSError as error:
        raise InputError(f"cannot read stdin: {error.strerror or error}") from error


def _shown(broken: BrokenJobs) -> PixelgenError:
    """The error for jobs that cannot be run; where there are several, each has a line on stderr."""
    if len(broken.problems) == 1:
        return UsageError(broken.message, "no job was run")
    for problem in broken.problems[:_PROBLEMS_SHOWN]:
        terminal.error(problem)
    return UsageError(f"{len(broken.problems)} jobs are wrong", "no job was run")


def _dry_run(plan: Plan, share: ProcessShare, quiet: bool) -> None:
    """A line on stdout for every job."""
    for job in plan.jobs:
        state = "done" if job.id in plan.finished else "left"
        facts = {"id": job.id, "line": job.line, "command": job.command, "status": state}
        terminal.json(facts)
    _print_start(plan, share, quiet)


def _print_start(plan: Plan, share: ProcessShare, quiet: bool) -> None:
    """What there is to do, on stderr."""
    if quiet:
        return
    process = f"process {share.rank + 1} of {share.count}: " if share.count > 1 else ""
    done = f", {len(plan.finished)} already done" if plan.finished else ""
    terminal.status(f"{process}{counted(len(plan.jobs), 'job')}{done}, {len(plan.left)} to run")
