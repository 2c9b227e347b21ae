"""The results of jobs: a line of JSON each in the folder of results."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import folded, open_file
from pixelgen.jobs.batch_jobs import BatchJob
from pixelgen.jobs.inputs import InputKeys
from pixelgen.json_text import finite, parse_json

_FILE = re.compile(r"results(-\d+)?\.jsonl")
# Without waiting for a reader, where it is a pipe.
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
_FIRST_BYTES = b'{"id": "'
"""Of every line."""


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
    order: int = 0
    """Greater than that of all results that were there before, whatever the clock says; 0 in those
    of earlier versions."""
    inputs: dict[str, str] | None = None
    """Keys of the files that the job read: see `InputKeys`; None in results of earlier versions."""

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
        self.input_keys = InputKeys()
        self._owners: dict[str, str] = {}
        self._read: dict[Path, int] = {}
        self.order = 0
        """The greatest `JobResult.order` so far."""
        self.update()

    def update(self) -> None:
        """Read what was added since the last time, by other processes. Raises PixelgenError where
        it cannot be read."""
        found: list[tuple[int, str, JobResult]] = []
        try:
            for path in self._files():
                latest = ""
                for result in self._new_results(path):
                    latest = max(latest, result.time)  # clocks are set back; lines keep their order
                    found.append((result.order, latest, result))
        except OSError as error:
            raise PixelgenError(f"cannot read {self.folder}: {error.strerror or error}") from error
        for _, _, result in sorted(found, key=lambda one: one[:2]):
            self._remember(result)

    def _files(self) -> list[Path]:
        """The files to read."""
        if not self.folder.is_dir():
            return []
        named = sorted(path for path in self.folder.iterdir() if _FILE.fullmatch(path.name))
        # A folder may be called so, and what this process writes it knows.
        mine = None if self._file is None else self.path
        return [path for path in named if path != mine and not path.is_dir()]

    def _new_results(self, path: Path) -> Iterator[JobResult]:
        """The results that were added to a file; other lines, such as half of one, are skipped."""
        with open_file(path) as file:
            start = file.seek(self._read.get(path, 0))
            data = file.read()
        self._read[path] = start + data.rfind(b"\n") + 1
        for line in data.split(b"\n"):
            try:
                yield read_result(line)
            except ValueError:
                continue

    def _remember(self, result: JobResult) -> None:
        self._known.setdefault(result.id, []).append(result)
        self._owners |= {folded(file): result.id for file in result.files}
        self.order = max(self.order, result.order)

    def last(self, name: str) -> JobResult | None:
        """The last result of the job with this id."""
        return next(reversed(self._known.get(name, ())), None)

    def done(self, job: BatchJob) -> JobResult | None:
        """The result of a job that is done, if its files all exist and those that it read are the
        same, else None."""
        last = self.last(job.id)
        if last is None or (last.status, last.content) != ("done", job.content):
            return None
        if not all((self.folder / file).exists() for file in last.files):
            return None
        return last if self.input_keys.unchanged(job.stated, last.inputs) else None

    def files(self, name: str) -> set[str]:
        """All files that were ever written for this id."""
        return {file for one in self._known.get(name, ()) for file in one.files}

    def owner(self, file: str) -> str | None:
        """The id of the job that wrote a file last; None if no job did."""
        return self._owners.get(folded(file))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """A context in which results can be added. Raises UsageError where they cannot be written,
        or another process is adding some."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, _APPENDING, 0o666)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror or error}") from error
        try:
            self._lock(file)
            self.update()  # another batch may just have ended
            self._file = file
            self._complete_last_line(file)
            yield
        finally:
            os.close(file)
            self._file = None

    def add(self, result: JobResult) -> None:
        """Add the result of a job. Raises PixelgenError where it cannot be written."""
        self._write(result.line_of_json().encode() + b"\n")
        self._remember(result)

    def _complete_last_line(self, file: int) -> None:
        """Remove half a line, which a process left that was killed while it wrote. A line of
        something else, or that only lacks its end, is ended."""
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        line = data[end:]
        if not line:
            return
        with contextlib.suppress(ValueError):
            parse_json(line)
            self._write(b"\n")
            return
        if line[: len(_FIRST_BYTES)] == _FIRST_BYTES[: len(line)]:
            with contextlib.suppress(OSError):  # such as of a file that can only be appended to
                os.ftruncate(file, end)
                return
        self._write(b"\n")

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise RuntimeError("the results log is not open")
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)  # half a line, where the disk is full
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


_KEYS = {one.name for one in fields(JobResult)}
_REQUIRED = {one.name for one in fields(JobResult) if one.default is MISSING}


def read_result(line: bytes) -> JobResult:
    """What `line_of_json` wrote; raises ValueError for anything else."""
    said = parse_json(line)
    if not isinstance(said, dict) or _REQUIRED - said.keys():
        raise ValueError("no result")
    texts = [said[name] for name in ("id", "status", "time", "content")]
    files, order = said["files"], said.get("order", 0)
    if not isinstance(said.get("inputs"), dict | None):
        raise ValueError("no result")
    if not isinstance(order, int) or not isinstance(files, list):
        raise ValueError("no result")
    if not all(isinstance(one, str) for one in [*texts, *files]):
        raise ValueError("no result")
    return JobResult(**{name: said[name] for name in _KEYS & said.keys()})
