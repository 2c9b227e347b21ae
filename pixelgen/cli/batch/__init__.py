"""`pixelgen batch`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pixelgen.cli import options
from pixelgen.cli.batch.jobs import BrokenJobs, Job, read_jobs
from pixelgen.cli.batch.results_log import JobResult, ResultsLog
from pixelgen.cli.batch.runs import KEPT, LARGEST_JOBS, Plan, Run, at_work, read_job_file
from pixelgen.cli.batch.share import Share
from pixelgen.cli.downloads import obtain
from pixelgen.cli.progress import ProgressLine
from pixelgen.cli.terminal import error, note, open_stdin
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded, read_up_to
from pixelgen.pipelines.devices import check_device_name, pick_device

_TOLD = 20


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
            help="The folder for what is made, and for results.jsonl; made if there is none.",
            show_default=False,
        ),
    ],
    device: options.Device = "auto",
    keep: Annotated[
        int,
        typer.Option("--keep", metavar="N", min=1, help="Weights that are in memory at once."),
    ] = KEPT,
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

    A command that draws, scores, encodes, decodes or looks for faces, its
    options by their long names, its arguments by theirs ("photos", "images",
    "image", "codes"), and, if you like, "id", which its files are called by,
    and "out", a place inside of DIR. Other paths are relative to the folder
    one is in, as on the command line.

    A line of JSON says what became of each job, on stdout and in
    DIR/results.jsonl. Jobs that are done are passed over when the same is run
    again, after Ctrl-C, a crash or a failure, or with more lines. With
    `accelerate launch -m pixelgen batch jobs.jsonl -o out` every process gets
    its share.

    \b
    Examples:
      pixelgen batch jobs.jsonl -o out
      pixelgen batch jobs.jsonl -o out --dry-run
      pixelgen batch - -o out --keep 1 < jobs.jsonl
    """
    check_device_name(device)
    share = Share.of_this_process()
    if jobs == "-" and share.count > 1:
        raise UsageError("several processes cannot read stdin", "give a file")
    folder = expanded(output)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{output} is not a folder")
    results_log = ResultsLog(folder, share.rank)
    try:
        asked = _read(jobs, context.parent)
        plan = Plan.make(asked, results_log, share, force)
    except BrokenJobs as broken:
        raise _told(broken) from broken
    if dry_run:
        _dry_run(plan, share, quiet)
        return
    if plan.left and device not in ("auto", "cpu"):
        pick_device(device)  # told once, not by every job
    with at_work(asked, results_log, share, force) as (plan, staging):
        _note_start(plan, share, quiet)
        work = _Work(plan, quiet or share.rank > 0)
        run = Run(staging, share.device(device), force, fail_fast, parent=context.parent)
        run.pull = lambda weights: work.pull(weights, quiet)
        work.go(run, keep)
    share.wait()
    if work.failed:
        raise PixelgenError(
            f"{work.failed} of {work.count} jobs failed",
            f"{results_log.path} says why; the same command tries them again",
        ) from run.trouble


def _read(given: str, parent: Any) -> list[Job]:
    """The jobs of a file or of stdin."""
    if given != "-":
        return read_jobs(read_job_file(Path(given)), Path(given).name, parent)
    try:
        return read_jobs(read_up_to(open_stdin(), LARGEST_JOBS), "stdin", parent)
    except OSError as error:
        raise InputError(f"cannot read stdin: {error.strerror or error}") from error


def _told(broken: BrokenJobs) -> PixelgenError:
    """The error for jobs that are none; where there are several, a line on stderr for each."""
    if len(broken.problems) == 1:
        return UsageError(broken.message, "no job was run")
    for problem in broken.problems[:_TOLD]:
        error(problem)
    return UsageError(f"{len(broken.problems)} jobs are wrong", "no job was run")


def _dry_run(plan: Plan, share: Share, quiet: bool) -> None:
    """A line on stdout for every job."""
    for job in plan.jobs:
        state = "done" if job.id in plan.finished else "left"
        facts = {"id": job.id, "line": job.line, "command": job.command, "status": state}
        typer.echo(json.dumps(facts))
    _note_start(plan, share, quiet)


def _note_start(plan: Plan, share: Share, quiet: bool) -> None:
    """What there is to do, on stderr."""
    if quiet:
        return
    who = f"process {share.rank + 1} of {share.count}: " if share.count > 1 else ""
    done = f", {len(plan.finished)} done before" if plan.finished else ""
    typer.echo(f"{who}{_jobs(len(plan.jobs))}{done}, {len(plan.left)} to run", err=True)


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"


class _Work:
    """Jobs at work, and what is told of them."""

    def __init__(self, plan: Plan, quiet: bool) -> None:
        self._jobs = plan.left
        self.count, self.done, self.failed = len(self._jobs), 0, 0
        self._quiet = quiet
        self.meter = _JobMeter("jobs", quiet)

    def go(self, run: Run, keep: int) -> None:
        """Run the jobs and tell of each."""
        try:
            with self.meter as meter, meter.around():
                meter(0, self.count)
                run.through(self._jobs, self._tell, keep)
        except KeyboardInterrupt:
            if not self._quiet:
                left = _jobs(self.count - self.done)
                typer.echo(f"{left} left; the same command goes on", err=True)
            raise

    def pull(self, weights: str, quiet: bool) -> None:
        """Fetch weights, with a line about that in the place of the other."""
        self.meter.hide()
        obtain(weights, quiet)

    def _tell(self, result: JobResult) -> None:
        self.done += 1
        self.failed += result.status == "failed"
        self.meter.hide()
        typer.echo(result.line_of_json())
        if not self._quiet:
            for remark in result.notes:
                note(f"{result.id}: {remark}")
        if result.error is not None:
            error(f"{result.id}, line {result.line}: {result.error}", label="failed:")
        self.meter(self.done, self.count)


class _JobMeter(ProgressLine):
    """A line about jobs, on what stderr is now, although what a job says there is caught."""

    def __init__(self, what: str, quiet: bool) -> None:
        from rich.console import Console

        super().__init__(what, quiet)
        self._console = Console(file=sys.stderr)
