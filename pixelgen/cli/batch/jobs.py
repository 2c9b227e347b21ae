"""The jobs of a batch: an object of JSON each, all of them checked before the first is run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixelgen.cli.batch.words import Words, check_command, check_text, kinds_of, words_of
from pixelgen.errors import UsageError
from pixelgen.files import folded

_ID = re.compile(r"\w[\w .,+=@-]*")
# With a number and an ending it must still be a file name everywhere, and with what a file that is
# being written has around its name.
_LONGEST_ID = 150


@dataclass(frozen=True)
class Job:
    """One command to run."""

    id: str
    """What it is called: as it says, else made from what it says. Its files are called so too."""
    line: int
    """Where it stands, from 1."""
    where: str
    """The same for messages."""
    command: str
    words: Words
    content: str
    """What it says, in short, without its id: another job is told by it."""


class BrokenJobs(UsageError):
    """Jobs that cannot be run, for which none is: what is wrong with each is in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = list(problems)


def read_jobs(text: bytes, name: str, parent: Any = None) -> list[Job]:
    """The jobs of a file, a line each; empty lines do not count. Messages call the file `name`,
    `parent` is the context of the command line. Raises BrokenJobs."""
    lines = enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
    asked = [
        (number, f"{name}, line {number}", _parser(line)) for number, line in lines if line.strip()
    ]
    return _make(asked, parent)


def make_jobs(said: Iterable[Mapping[str, Any]]) -> list[Job]:
    """The same of objects. Raises BrokenJobs."""
    return _make([(n, f"job {n}", _reader(one)) for n, one in enumerate(said, start=1)], None)


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
        raise ValueError("not a job: too many brackets") from None
    if not isinstance(said, dict):
        raise ValueError('not a job: {"command": …} is needed')
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # The command line has dashes where Python has underscores.
    said = {key.replace("_", "-"): value for key, value in pairs}
    if len(said) < len(pairs):
        raise ValueError("a key is there twice")
    return said


def _refuse(constant: str) -> Any:
    raise ValueError(f"not JSON: {constant}")


def _make(asked: Sequence[tuple[int, str, Callable[[], Any]]], parent: Any) -> list[Job]:
    jobs: list[Job] = []
    problems: list[str] = []
    ids: dict[str, str] = {}
    places: dict[str, str] = {}
    for line, where, read in asked:
        try:
            job = _job(read(), line, where, ids, parent)
            _claim(job, ids, places)
        except (ValueError, TypeError) as error:
            problems.append(f"{where}: {error}")
        else:
            jobs.append(job)
    if problems:
        raise BrokenJobs(problems)
    return jobs


def _job(said: dict[str, Any], line: int, where: str, ids: Mapping[str, str], parent: Any) -> Job:
    """Raises ValueError for what is no job."""
    name, command = said.pop("id", None), check_command(said.pop("command", None))
    text = json.dumps({"command": command, **said}, sort_keys=True)
    content = hashlib.sha256(text.encode()).hexdigest()[:16]
    if name is None:
        stem = name = f"{command}-{content[:10]}"
        again = 1
        while folded(name) in ids:  # the same line again is meant again
            again += 1
            name = f"{stem}-{again}"
    name = _checked(name)
    return Job(name, line, where, command, words_of(command, said, name, parent), content)


def _checked(name: object) -> str:
    """An id that can be the name of a file; raises ValueError for others."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str):
        raise ValueError(f'"id" is text, not {name!r}')
    check_text("id", name)
    if not _ID.fullmatch(name):
        raise ValueError(f'"id" is the name of files, {name!r} cannot be')
    if len(name.encode()) > _LONGEST_ID:
        raise ValueError(f'"id" is longer than {_LONGEST_ID} bytes')
    return name


def _claim(job: Job, ids: dict[str, str], places: dict[str, str]) -> None:
    """Raises ValueError where another job has the same id or writes the same file."""
    if (other := ids.get(folded(job.id))) is not None:
        raise ValueError(f"id {job.id} is that of {other} too")
    ids[folded(job.id)] = job.where
    for option, place in job.words.places.items():
        if not kinds_of(job.command, option):
            continue  # a folder, which has room for the files of several
        if (other := places.get(folded(place))) is not None:
            raise ValueError(f"{place} is written by {other} too")
        places[folded(place)] = job.where
