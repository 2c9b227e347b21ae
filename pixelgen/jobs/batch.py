"""Run many jobs, one after the other, with weights that are loaded once."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pixelgen.checkpoints import cache_weights
from pixelgen.errors import InputError, PixelgenError, UsageError, WeightsError
from pixelgen.files import expanded, open_input, read_up_to
from pixelgen.jobs.batch_jobs import BatchJob, BrokenJobs, jobs_from_mappings, read_jobs
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.process_share import ProcessShare
from pixelgen.jobs.results_log import JobResult, ResultsLog
from pixelgen.jobs.staging import Staging, listed

WEIGHTS_IN_MEMORY = 3
"""Weights that are in memory at once."""
LARGEST_JOBS = 2**28
"""Bytes of a file of jobs."""

OnResult = Callable[[JobResult], None]
Explain = Callable[[Exception], tuple[str, int]]
"""From an error to a line about it, and the exit code of a command that ends with it."""


def explain_error(error: Exception) -> tuple[str, int]:
    """An error in one line, in terms of Python, and the exit code of a command that ends with
    it."""
    kinds = ((UsageError, 2), (InputError, 3), (WeightsError, 4))
    code = next((code for kind, code in kinds if isinstance(error, kind)), 1)
    if not isinstance(error, PixelgenError):
        return " ".join(f"unexpected {type(error).__name__}: {error}".split()), code
    return f"{error.message} ({error.hint})" if error.hint else error.message, code


@dataclass(frozen=True)
class Plan:
    """What is left to do in a folder."""

    jobs: list[BatchJob]
    """Those of this process."""
    finished: dict[str, JobResult]
    """The results of those that are done, by id."""
    total: int
    """Jobs of all processes."""

    @property
    def left(self) -> list[BatchJob]:
        """The jobs that are to be run."""
        return [job for job in self.jobs if job.id not in self.finished]

    @classmethod
    def from_jobs(
        cls, jobs: Sequence[BatchJob], results_log: ResultsLog, share: ProcessShare, force: bool
    ) -> Plan:
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
                    "give another id, or use force"
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
    keep: int = WEIGHTS_IN_MEMORY,
    force: bool = False,
    fail_fast: bool = False,
    on_result: OnResult = lambda result: None,
) -> list[JobResult]:
    """Run many jobs, as `pixelgen batch JOBS -o FOLDER` does; the result of every job, in order.

    `jobs` is a file with a JSON object on every line, or such mappings: "command" is the name of a
    command, its options have their long names, its arguments theirs, and "id" and "out" may say
    what the job and its files are called. `folder`, created if it does not exist, takes the files
    and `results.jsonl`; jobs that are done in it already are not run again, unless `force` is true.
    `keep` weights stay in memory. `on_result` is called after every job that was run. Where several
    processes run, each gets its share.

    A job that fails has a result with an `error`. Raises BrokenJobs for what is no job (nothing was
    run then), PixelgenError for a folder that cannot be written, and with `fail_fast` for the first
    job that fails.

    Example: `run_jobs([{"command": "sample", "class": 207, "seed": 1}], "out")[0].files`.
    """
    if isinstance(jobs, str | Path):
        asked = read_jobs(read_job_file(Path(jobs)), Path(jobs).name)
    else:
        asked = jobs_from_mappings(jobs)
    share = ProcessShare.of_this_process()
    results_log = ResultsLog(expanded(folder), share.rank)
    Plan.from_jobs(asked, results_log, share, force)  # raises before the folder is created
    results: dict[str, JobResult] = {}

    def add(result: JobResult) -> None:
        results[result.id] = result
        on_result(result)

    with open_plan(asked, results_log, share, force) as (plan, staging):
        results |= plan.finished
        BatchRun(staging, share.device(device), force, fail_fast).run(plan.left, add, keep)
    return [results[job.id] for job in plan.jobs]


def read_job_file(path: Path) -> bytes:
    """The content of a file of jobs. Raises InputError where it cannot be read."""
    try:
        with open_input(expanded(path)) as file:
            return read_up_to(file, LARGEST_JOBS)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {why}") from error


@contextlib.contextmanager
def open_plan(
    jobs: Sequence[BatchJob], results_log: ResultsLog, share: ProcessShare, force: bool
) -> Iterator[tuple[Plan, Staging]]:
    """A context in which jobs can be run: what to run, and where. What a killed run left unfinished
    is completed first."""
    staging = Staging(results_log, jobs)
    with results_log.open(), staging.open():
        staging.finish(share.of(jobs))
        yield Plan.from_jobs(jobs, results_log, share, force), staging


@dataclass
class BatchRun:
    """How jobs are run."""

    staging: Staging
    device: str
    """For jobs that name none."""
    force: bool
    """Whether files of others may be replaced."""
    fail_fast: bool
    """Whether the first failure ends it."""
    context: Callable[[], JobContext] = JobContext
    """Makes the context of every job; its `notes` are those of the result."""
    explain: Explain = explain_error
    trouble: Exception | None = None
    """Why the last of the jobs that failed did."""

    def run(
        self, jobs: Sequence[BatchJob], on_result: OnResult, keep: int = WEIGHTS_IN_MEMORY
    ) -> None:
        """Run all jobs; `on_result` is called after each. Raises PixelgenError where results cannot
        be written, and with `fail_fast` for a job that fails."""
        with cache_weights(keep):
            for job in jobs:
                result = self._run(job)
                on_result(result)
                if self.fail_fast and result.error is not None:
                    raise PixelgenError(f"{job.where}: {result.error}") from self.trouble

    def _run(self, job: BatchJob) -> JobResult:
        started = time.perf_counter()
        facts: dict[str, Any] | None = None
        files: list[str] = []
        failure: str | None = None
        code = 0
        context = self.context()
        inputs = self.staging.results_log.input_keys.of(job.stated)  # before they are read
        folder = self.staging.results_log.folder
        with self.staging.place(job) as place:

            def public(text: str) -> str:
                return text.replace(f"{place}{os.sep}", f"{folder}{os.sep}")

            try:
                for parent in job.folders(place):
                    parent.mkdir(parents=True, exist_ok=True)
                report = job.build(place, self.device).run(context)
                report.check()
                facts = report.to_dict()
                files = _in_order(facts, place)
                self.staging.check_places(job, self.force)
            except Exception as error:
                self.trouble, facts, files = error, None, []
                failure, code = self.explain(error)
            result = JobResult(
                id=job.id,
                line=job.line,
                command=job.command,
                status="done" if failure is None else "failed",
                files=files,
                result=_changed(facts, public),
                notes=[public(text) for text in context.notes],
                error=None if failure is None else public(failure),
                exit_code=code,
                seconds=round(time.perf_counter() - started, 3),
                time=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                content=job.content,
                order=self.staging.results_log.order + 1,
                inputs=inputs,
            )
            if failure is None:
                try:
                    self.staging.hand_over(job, result, self.force)
                    return result
                except UsageError as error:  # another process has taken a place
                    self.trouble = error
                    failure, code = self.explain(error)
                    result = replace(
                        result,
                        status="failed",
                        files=[],
                        result=None,
                        error=failure,
                        exit_code=code,
                    )
            self.staging.results_log.add(result)
        return result


def _in_order(facts: Any, place: Path) -> list[str]:
    """The files in `place`, in the order in which `facts` name them, then the others; relative to
    it."""
    every = listed(place)
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    _changed(facts, note)
    start = f"{place}{os.sep}"
    named = [Path(text[len(start) :]).as_posix() for text in texts if text.startswith(start)]
    return [*dict.fromkeys(name for name in [*named, *every] if name in every)]


def _changed(said: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text in it changed."""
    if isinstance(said, str):
        return change(said)
    if isinstance(said, list):
        return [_changed(one, change) for one in said]
    if isinstance(said, dict):
        return {key: _changed(one, change) for key, one in said.items()}
    return said
