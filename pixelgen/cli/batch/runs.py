"""Jobs, one after the other, with weights that are loaded once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pixelgen.checkpoints import cache_weights, resolve_weights
from pixelgen.checkpoints.source import resolve_local
from pixelgen.cli.batch.jobs import BrokenJobs, Job, make_jobs, read_jobs
from pixelgen.cli.batch.results_log import JobResult, ResultsLog
from pixelgen.cli.batch.share import Share
from pixelgen.cli.batch.staging import Staging, listed
from pixelgen.cli.batch.words import begin, command_named
from pixelgen.cli.errors import explain
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded, open_input, read_up_to

KEPT = 3
"""Weights that are in memory at once."""
LARGEST_JOBS = 2**28
"""Bytes; more are not read."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NOTE = "note: "

OnResult = Callable[[JobResult], None]


@dataclass(frozen=True)
class Plan:
    """What there is to do in a folder."""

    jobs: list[Job]
    """Those of this process."""
    finished: dict[str, JobResult]
    """What became of those that are done, by id."""
    total: int
    """Jobs of all processes."""

    @property
    def left(self) -> list[Job]:
        """The jobs that are to be run."""
        return [job for job in self.jobs if job.id not in self.finished]

    @classmethod
    def make(cls, jobs: Sequence[Job], results_log: ResultsLog, share: Share, force: bool) -> Plan:
        """With `force` nothing counts as done. Raises BrokenJobs for a job that is done under the
        id of another."""
        mine = share.of(jobs)
        if force:
            return cls(mine, {}, len(jobs))
        problems = []
        for job in jobs:
            last = results_log.last(job.id)
            if last is not None and last.status == "done" and last.content != job.content:
                problems.append(
                    f"{job.where}: {job.id} is done in {results_log.folder} with other parameters; "
                    "give another id, or --force"
                )
        if problems:
            raise BrokenJobs(problems)
        done = ((job.id, results_log.done(job)) for job in mine)
        return cls(mine, {name: result for name, result in done if result is not None}, len(jobs))


def run_jobs(
    jobs: str | Path | Iterable[Mapping[str, Any]],
    folder: str | Path,
    *,
    device: str = "auto",
    keep: int = KEPT,
    force: bool = False,
    fail_fast: bool = False,
    on_result: OnResult = lambda result: None,
) -> list[JobResult]:
    """Do what `pixelgen batch JOBS -o FOLDER` does: what became of every job, in their order.

    `jobs` is a file with an object of JSON on every line, or such objects: the name of a command in
    "command", its options by their long names and its arguments by theirs, and if you like "id" and
    "out". `folder`, made if there is none, takes the files and `results.jsonl`; jobs that are done
    in it already are not run again, unless `force` is given. `keep` weights stay in memory.
    `on_result` is told of every job that was run. Where several processes run, each gets its share.

    A job that fails is a result with an `error`. Raises PixelgenError for jobs that are none
    (BrokenJobs: nothing was run then), for a folder that cannot be written, and with `fail_fast`
    for the first job that fails. Other output to sys.stdout and sys.stderr is caught while a job
    runs.

    Example: `run_jobs([{"command": "sample", "class": 207, "seed": 1}], "out")[0].files`.
    """
    if isinstance(jobs, str | Path):
        asked = read_jobs(read_job_file(Path(jobs)), Path(jobs).name)
    else:
        asked = make_jobs(jobs)
    share = Share.of_this_process()
    results_log = ResultsLog(expanded(folder), share.rank)
    Plan.make(asked, results_log, share, force)  # told before the folder is made
    made: dict[str, JobResult] = {}

    def told(result: JobResult) -> None:
        made[result.id] = result
        on_result(result)

    with at_work(asked, results_log, share, force) as (plan, staging):
        made |= plan.finished
        run = Run(staging, share.device(device), force, fail_fast)
        run.through(plan.left, told, keep)
    return [made[job.id] for job in plan.jobs]


def read_job_file(path: Path) -> bytes:
    """Raises PixelgenError (exit code 3) for a file of jobs that cannot be read."""
    try:
        with open_input(expanded(path)) as file:
            return read_up_to(file, LARGEST_JOBS)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {why}") from error


@contextlib.contextmanager
def at_work(
    jobs: Sequence[Job], results_log: ResultsLog, share: Share, force: bool
) -> Iterator[tuple[Plan, Staging]]:
    """A context in which jobs can be run: the plan, and where to run it. What was cut off when an
    earlier run was killed is brought to an end first."""
    staging = Staging(results_log)
    with results_log.open(), staging.open():
        staging.finish(share.of(jobs))
        yield Plan.make(jobs, results_log, share, force), staging


@dataclass
class Run:
    """How jobs are run."""

    staging: Staging
    device: str
    """For jobs that name none."""
    force: bool
    """Whether files of others may be replaced."""
    fail_fast: bool
    """Whether the first failure ends it."""
    pull: Callable[[str], object] = resolve_weights
    """Fetches weights that are not on this computer, before the output of a job is caught."""
    parent: Any = None
    """The context of the command line."""
    trouble: Exception | None = None
    """Why the last of the jobs that failed did."""

    def through(self, jobs: Sequence[Job], on_result: OnResult, keep: int = KEPT) -> None:
        """Run all jobs; `on_result` is told of each. Raises PixelgenError where results cannot be
        written, and with `fail_fast` for a job that fails."""
        with cache_weights(keep):
            for job in jobs:
                result = self._run(job)
                on_result(result)
                if self.fail_fast and result.error is not None:
                    raise PixelgenError(f"{job.where}: {result.error}") from self.trouble

    def _run(self, job: Job) -> JobResult:
        started = time.perf_counter()
        said: dict[str, Any] | None = None
        names: list[str] = []
        wrong: str | None = None
        error: Exception | None = None
        code = 0
        caught = _Caught()
        with self.staging.place(job) as place:
            try:
                self._invoke(job, place, caught)
                said = caught.facts()
                names = _in_order(said, place)
                if (name := self.staging.taken(job, self.force)) is not None:
                    target = self.staging.results_log.folder / name
                    raise UsageError(f"{target} exists", "--force replaces it")
            except Exception as trouble:
                self.trouble = error = trouble
                said, names = None, []
                wrong, code = explain(trouble)

            def public(text: str) -> str:
                return text.replace(
                    f"{place}{os.sep}", f"{self.staging.results_log.folder}{os.sep}"
                )

            result = JobResult(
                id=job.id,
                line=job.line,
                command=job.command,
                status="done" if error is None else "failed",
                files=names,
                result=_changed(said, public),
                notes=[public(text) for text in caught.notes()],
                error=None if wrong is None else public(wrong),
                exit_code=code,
                seconds=round(time.perf_counter() - started, 3),
                time=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                content=job.content,
            )
            if error is None:
                self.staging.hand_over(job, result)
            else:
                self.staging.results_log.add(result)
        return result

    def _invoke(self, job: Job, place: Path, caught: _Caught) -> None:
        places = {option: place / name for option, name in job.words.places.items()}
        for option, target in places.items():
            folder = job.command == "faces" and option == "--output"
            (target if folder else target.parent).mkdir(parents=True, exist_ok=True)
        words = job.words.line(places, self.device)
        with begin(job.command, words, self.parent) as context:
            weights = context.params.get("weights")
            if weights is not None and resolve_local(weights) is None:
                self.pull(weights)
            with caught:
                command_named(job.command).invoke(context)


class _Caught:
    """A context in which what goes to stdout and stderr is caught."""

    def __init__(self) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self._both = contextlib.ExitStack()

    def __enter__(self) -> _Caught:
        self._both.enter_context(contextlib.redirect_stdout(self._out))
        self._both.enter_context(contextlib.redirect_stderr(self._err))
        return self

    def __exit__(self, *_: object) -> None:
        self._both.close()

    def facts(self) -> dict[str, Any]:
        """What a command said with `--json`."""
        said = json.loads(self._out.getvalue())
        if not isinstance(said, dict):
            raise TypeError("a command said no object")
        return said

    def notes(self) -> list[str]:
        """What it remarked, without what stands before it."""
        lines = _COLOURS.sub("", self._err.getvalue()).splitlines()
        return [line.removeprefix(_NOTE) for line in lines if line.strip()]


def _in_order(said: Any, place: Path) -> list[str]:
    """The files in `place`, as a command says them, then the others; relative to it."""
    every = listed(place)
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    _changed(said, note)
    start = f"{place}{os.sep}"
    told = [Path(text[len(start) :]).as_posix() for text in texts if text.startswith(start)]
    return [*dict.fromkeys(name for name in [*told, *every] if name in every)]


def _changed(said: Any, change: Callable[[str], str]) -> Any:
    """What was said, with every text changed."""
    if isinstance(said, str):
        return change(said)
    if isinstance(said, list):
        return [_changed(one, change) for one in said]
    if isinstance(said, dict):
        return {key: _changed(one, change) for key, one in said.items()}
    return said
