"""The results of jobs: a line of JSON each in the folder of results."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import open_file
from pixelgen.jobs.batch_jobs import BatchJob
from pixelgen.json_text import finite

_FILES = "results*.jsonl"
# Without waiting for a reader, where it is a pipe.
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class JobResult:
    """The result of a job of a batch."""

    id: str
    """Of the job."""
    line: int
    """Where it stood in the file of jobs, from 1."""
    command: str
    status: Literal["done", "failed"]
    files: list[str]
    """What it wrote, relative to the folder of results; none if it failed."""
    result: dict[str, Any] | None
    """The report of the job as a JSON object; None if it failed."""
    notes: list[str]
    """What else the job remarked."""
    error: str | None
    """Why it failed."""
    exit_code: int
    """Of the command on its own: 0 if it is done, else the kind of failure."""
    seconds: float
    time: str
    """When it ended, UTC."""
    content: str
    """A digest of what the job said."""

    def line_of_json(self) -> str:
        """The result as a line of JSON."""
        return json.dumps(finite(asdict(self)))


class ResultsLog:
    """The results in a folder, those of earlier runs and of other processes included."""

    def __init__(self, folder: Path, rank: int = 0) -> None:
        """Those of process `rank` are added. Raises PixelgenError where they cannot be read."""
        self.folder = folder
        # Several machines cannot append to one file.
        self.path = folder / (f"results-{rank}.jsonl" if rank else "results.jsonl")
        self._known: dict[str, list[JobResult]] = {}
        self._file: int | None = None
        try:
            found = [line for path in folder.glob(_FILES) for line in _lines(path)]
        except OSError as error:
            raise PixelgenError(f"cannot read {folder}: {error.strerror or error}") from error
        for result in sorted(found, key=lambda one: one.time):
            self._known.setdefault(result.id, []).append(result)

    def last(self, name: str) -> JobResult | None:
        """The last result of the job with this id."""
        return next(reversed(self._known.get(name, ())), None)

    def done(self, job: BatchJob) -> JobResult | None:
        """The result of a job that is done and whose files all exist, else None."""
        last = self.last(job.id)
        if last is None or (last.status, last.content) != ("done", job.content):
            return None
        return last if all((self.folder / file).exists() for file in last.files) else None

    def files(self, name: str) -> set[str]:
        """All files that were ever written for this id."""
        return {file for one in self._known.get(name, ()) for file in one.files}

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """A context in which results can be added. Raises UsageError where they cannot be written,
        or another process is adding some."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, _APPENDING, 0o666)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror or error}") from error
        try:
            self._lock(self._file)
            if not (self.path.read_bytes() or b"\n").endswith(b"\n"):
                self._write(b"\n")  # a process that was killed while writing left half a line
            yield
        finally:
            os.close(self._file)
            self._file = None

    def add(self, result: JobResult) -> None:
        """Add the result of a job. Raises PixelgenError where it cannot be written."""
        self._write(result.line_of_json().encode() + b"\n")
        self._known.setdefault(result.id, []).append(result)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise RuntimeError("the results log is not open")
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise PixelgenError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _lock(self, file: int) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another batch is at work in {self.folder}",
                "wait, or give another folder",
                code="batch-folder-in-use",
            ) from None
        except OSError:  # a file system without locks
            return


def _lines(path: Path) -> Iterator[JobResult]:
    """The results in a file; other lines, such as half of one, are skipped."""
    with open_file(path) as file:
        data = file.read()
    for line in data.split(b"\n"):
        try:
            yield read_result(line)
        except (ValueError, RecursionError):
            continue


def read_result(line: bytes) -> JobResult:
    """What `line_of_json` wrote; raises ValueError for anything else."""
    said = json.loads(line)
    names = {one.name for one in fields(JobResult)}
    if not isinstance(said, dict) or names - said.keys():
        raise ValueError("no result")
    texts = [said[name] for name in ("id", "status", "time", "content")]
    files = said["files"]
    if not isinstance(files, list) or not all(isinstance(one, str) for one in [*texts, *files]):
        raise ValueError("no result")
    return JobResult(**{name: said[name] for name in names})
