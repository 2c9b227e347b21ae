"""The jobs of a batch: a JSON object each, all of them checked before the first is run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelgen.errors import UsageError
from pixelgen.files import folded
from pixelgen.jobs.job import Job
from pixelgen.jobs.json_options import JobOptions, build, check_text, options_of, read_options
from pixelgen.jobs.registry import job_type

_ID = re.compile(r"\w[\w .,+=@-]*")
# With a number and an ending it must still be a file name everywhere, and with what a file that is
# being written has around its name.
_LONGEST_ID = 150


Defaults = Mapping[str, Mapping[str, Any]]
"""By command: what fields are where a job says nothing."""


@dataclass(frozen=True)
class BatchJob:
    """One job of a batch."""

    id: str
    """Given, or derived from what the job says. Its files are called so too."""
    line: int
    """Where it stands, from 1."""
    where: str
    """The same for messages."""
    command: str
    options: JobOptions
    """What it says and, beside that, settings."""
    stated: Mapping[str, Any]
    """What it says itself, by field: changed settings do not change it."""
    content: str
    """A digest of what it says, without its id: recognises the same job."""

    def build(self, folder: Path, device: str) -> Job:
        """The job, with its files in `folder`, and on `device` unless it names another."""
        kind = job_type(self.command)
        options = options_of(kind)
        values = dict(self.options.values)
        if "device" in options and values.get("device", "auto") == "auto":
            values["device"] = device
        values |= {name: str(folder / place) for name, place in self.options.places.items()}
        job: Job = build(kind, values)
        return job

    def folders(self, folder: Path) -> list[Path]:
        """The folders that must exist in `folder` for its files."""
        paths = {name: folder / place for name, place in self.options.places.items()}
        return [path if self.is_folder(name) else path.parent for name, path in paths.items()]

    def is_folder(self, name: str) -> bool:
        """Whether the field `name` says in which folder files go, not in which file."""
        return options_of(job_type(self.command))[name].endings == ()


class BrokenJobs(UsageError):
    """Jobs that cannot be run, so that none is run: what is wrong with each is in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = list(problems)


def read_jobs(text: bytes, name: str, defaults: Defaults | None = None) -> list[BatchJob]:
    """The jobs of a file, one on each line that is not empty. Messages call the file `name`. Raises
    BrokenJobs."""
    lines = enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
    asked = [
        (number, f"{name}, line {number}", _parser(line)) for number, line in lines if line.strip()
    ]
    return _make(asked, defaults or {})


def jobs_from_mappings(said: Iterable[Mapping[str, Any]]) -> list[BatchJob]:
    """The jobs that mappings describe as the lines of a file do. Raises BrokenJobs."""
    return _make([(n, f"job {n}", _reader(one)) for n, one in enumerate(said, start=1)], {})


def _parser(line: bytes) -> Callable[[], Any]:
    return lambda: _parsed(line)


def _reader(said: Mapping[str, Any]) -> Callable[[], Any]:
    # By way of JSON, so that tuples and paths are what they would be in a file.
    return lambda: _parsed(json.dumps(dict(said), default=os.fspath).encode())


def _parsed(line: bytes) -> Any:
    """What a line says. Raises ValueError for anything but an object of JSON."""
    try:
        said = json.loads(line.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("not a job: its JSON is nested too deeply") from None
    if not isinstance(said, dict):
        raise ValueError('not a job: {"command": …} is needed')
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # The command line has dashes where Python has underscores.
    said = {key.replace("_", "-"): value for key, value in pairs}
    if len(said) < len(pairs):
        raise ValueError("a duplicate key")
    return said


def _refuse(constant: str) -> Any:
    raise ValueError(f"not JSON: {constant}")


def _make(
    asked: Sequence[tuple[int, str, Callable[[], Any]]], defaults: Defaults
) -> list[BatchJob]:
    jobs: list[BatchJob] = []
    problems: list[str] = []
    ids: dict[str, str] = {}
    copies: dict[str, int] = {}
    places: dict[str, str] = {}
    for line, where, read in asked:
        try:
            job = _job(read(), line, where, ids, copies, defaults)
            _claim(job, ids, places)
        except (ValueError, TypeError, UsageError) as error:
            problems.append(f"{where}: {error}")
        else:
            jobs.append(job)
    if problems:
        raise BrokenJobs(problems)
    return jobs


def _job(
    said: dict[str, Any],
    line: int,
    where: str,
    ids: Mapping[str, str],
    copies: dict[str, int],
    defaults: Defaults,
) -> BatchJob:
    """A job, while those of earlier lines have `ids`, and `copies` counts lines of one content.
    Raises ValueError or UsageError for what is no job."""
    name, command = said.pop("id", None), said.pop("command", None)
    kind = job_type(command)
    text = json.dumps({"command": command, **said}, sort_keys=True)
    content = hashlib.sha256(text.encode()).hexdigest()[:16]
    if name is None:
        stem = name = f"{command}-{content[:10]}"
        while folded(name) in ids:  # the same line again is meant again
            copies[stem] = copies.get(stem, 1) + 1
            name = f"{stem}-{copies[stem]}"
    name = _checked(name)
    options = read_options(command, kind, said, name)
    stated = options.values
    if more := defaults.get(command):
        known = {option.name for option in options_of(kind).values() if option.endings is None}
        known.discard("device")  # the batch has one, and only what a job itself says overrides it
        chosen = {key: value for key, value in more.items() if key in known}
        options = JobOptions(chosen | stated, options.places)
    build(kind, options.values | options.places)  # raises UsageError for values out of range
    return BatchJob(name, line, where, command, options, stated, content)


def _checked(name: object) -> str:
    """An id that can be the name of a file; raises ValueError for others."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str):
        raise ValueError(f'"id" must be a string, not {name!r}')
    check_text("id", name)
    if not _ID.fullmatch(name):
        raise ValueError(f'"id" is used as a file name: {name!r} cannot be one')
    if len(name.encode()) > _LONGEST_ID:
        raise ValueError(f'"id" is longer than {_LONGEST_ID} bytes')
    return name


def _claim(job: BatchJob, ids: dict[str, str], places: dict[str, str]) -> None:
    """Raises ValueError where another job has the same id or writes the same file."""
    if (other := ids.get(folded(job.id))) is not None:
        raise ValueError(f"id {job.id} is already used by {other}")
    ids[folded(job.id)] = job.where
    for name, place in job.options.places.items():
        if job.is_folder(name):
            continue  # a folder, which has room for the files of several
        if (other := places.get(folded(place))) is not None:
            raise ValueError(f"{place} is written by {other} too")
        places[folded(place)] = job.where
