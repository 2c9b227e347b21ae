"""A folder in which commands are run with hostile input, and what must hold whatever the input."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pixelgen.cli.app import main
from pixelgen.cli.global_options import max_pixels_read

CODES = (0, 1, 2, 3, 4, 130)
"""Exit codes that are documented."""
SECONDS = 10.0
"""Of a processor, for one input."""
WAITING = 30.0
"""Seconds on the wall in which nothing is done at all: another program may have the processor."""
MEMORY = 2 * 2**30
LONGEST_LINE = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# What libraries write to stderr by themselves.
_FOREIGN = re.compile(r"Warning: |^\[[WEF]\d* |OMP: |libgomp: |terminate called", re.MULTILINE)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
)
# What torch puts into the folder of temporary files by itself.
_OF_OTHERS = ("tmp/torchinductor_",)
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")


@dataclass
class Tally:
    """What all tests together have tried."""

    inputs: int = 0
    failed: int = 0
    """Inputs that ended with an error, as most shall."""
    seconds: float = 0.0
    """Of a processor, in all."""
    slowest: tuple[float, str] = (0.0, "")
    memory: int = 0
    """Bytes that the process had at most."""
    files: set[str] = field(default_factory=set)
    """The test files that contributed."""
    chosen: bool = False
    """Whether some tests were left out by name or mark."""
    commands: set[tuple[str, ...]] = field(default_factory=set)
    """The first words of what was tried, one and two of them."""


TALLY = Tally()


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: object
    out: bytes
    err: str

    @property
    def message(self) -> str:
        """The line that says what was wrong; empty if nothing was."""
        return next((line for line in self.err.splitlines() if line.startswith("error:")), "")


class Hang(BaseException):
    """It takes too long."""


class _Watch:
    """Told by the interpreter what is opened, renamed, run and unpickled, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.allowed: tuple[str, ...] = ()
        self.troubles: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITING:
                self._written(path)
        elif event in _CHANGES:
            self._written(args[0])
        elif event in _PROGRAMS:
            self.troubles.append(f"ran a program: {event} {args[:2]}")
        elif event == "pickle.find_class":
            self.troubles.append(f"unpickled: {args}")

    def _written(self, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a number of a file that was opened before
        place = os.path.abspath(os.fsdecode(path))
        if not place.startswith(self.allowed) and "__pycache__" not in place:
            self.troubles.append(f"wrote to {place}")


_WATCH = _Watch()
Snapshot = dict[str, tuple[int, int, int]]


class Sandbox:
    """Runs commands in `here`; what they are given lies in `inputs`, what is bundled in
    `bundled`."""

    def __init__(self, root: Path, cache: str) -> None:
        self.root = root
        self.here, self.inputs = root / "here", root / "in"
        self.home, self.temporary = root / "home", root / "tmp"
        self.bundled = root / "bundled"
        for folder in (self.here, self.inputs, self.home, self.temporary, self.bundled):
            folder.mkdir()
        self.troubles: list[str] = []
        self._whole: Path | None = None
        _WATCH.allowed = (str(root), f"{cache}/", "/dev/", "/proc")
        self.environment = {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "PIXELGEN_CONFIG": str(self.home / "config.toml"),
            "COLUMNS": "100",
        }

    def attempt(
        self,
        *words: object,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        codes: Sequence[int] = CODES,
        keep: bool = False,
    ) -> Outcome:
        """Run `pixelgen` with the words, and note in `troubles` what must not be.

        `codes` are the exit codes that make sense for this input. What is in `here` afterwards is
        removed, unless `keep`.
        """
        given = [str(word) for word in words]
        before = self.snapshot()
        with self._around(env or {}):
            outcome, found, seconds = self._run(given, stdin)
        found += self._judged(outcome, given, codes)
        after = self.snapshot()
        found += self._changes(before, after, outcome, given)
        self._restore(before, after)
        if not keep:
            self.tidy()
        self._count(outcome, found, seconds, given)
        return outcome

    def _count(
        self, outcome: Outcome, found: Sequence[str], seconds: float, given: Sequence[str]
    ) -> None:
        line = " ".join(ascii(word)[1:-1][:90] for word in given)[:400]
        TALLY.inputs += 1
        TALLY.commands |= {tuple(given[:count]) for count in range(3)}
        TALLY.failed += outcome.code != 0
        TALLY.seconds += seconds
        TALLY.slowest = max(TALLY.slowest, (seconds, line))
        self.troubles += [f"pixelgen {line}\n    {each}" for each in found]

    def back_up(self, folder: Path) -> None:
        """Remember the content of `inputs`, which commands that are told to may change."""
        for path in self.inputs.rglob("*"):
            if path.is_file() and not path.is_symlink():
                copy = folder / path.relative_to(self.inputs)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
        self._whole = folder

    def _restore(self, before: Snapshot, after: Snapshot) -> None:
        """Undo what was done outside of the folders that are emptied."""
        if before == after:
            return
        for name in sorted(after.keys() - before.keys(), reverse=True):
            if not name.startswith(("here/", "home/", "tmp/")):
                path = self.root / name
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in before:
            if name.startswith("in/") and before[name] != after.get(name) and self._whole:
                copy = self._whole / name.removeprefix("in/")
                if copy.is_file():
                    shutil.copy2(copy, self.root / name)

    def tidy(self) -> None:
        """Empty `here`, and what lies at home."""
        for folder in (self.here, self.home, self.temporary):
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.path, 0o700)
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)

    @contextlib.contextmanager
    def _around(self, env: Mapping[str, str]) -> Iterator[None]:
        """The environment of a command; what it does to it is undone."""
        import torch

        saved, where, temporary = dict(os.environ), os.getcwd(), tempfile.tempdir
        os.environ.update(self.environment | dict(env))
        tempfile.tempdir = str(self.temporary)
        os.chdir(self.here)
        max_pixels_read.set(None)
        try:
            yield
        finally:
            os.chdir(where)
            os.environ.clear()
            os.environ.update(saved)
            tempfile.tempdir = temporary
            if torch.get_num_threads() != 1:
                torch.set_num_threads(1)

    def _run(self, words: list[str], stdin: bytes) -> tuple[Outcome, list[str], float]:
        found: list[str] = []
        code: object = None
        with _streams(stdin) as written:
            started = time.process_time()
            _WATCH.troubles, _WATCH.on = [], True
            try:
                with _limited(found):
                    main(words)
            except SystemExit as ended:
                code = ended.code
            except BaseException as error:
                found.append(f"main let through {error!r}")
            finally:
                _WATCH.on = False
            seconds = time.process_time() - started
        outcome = Outcome(code, written[1], written[2].decode(errors="backslashreplace"))
        return outcome, found + _WATCH.troubles, seconds

    def _judged(self, outcome: Outcome, words: Sequence[str], codes: Sequence[int]) -> list[str]:
        """What is wrong with how it ended and what it said."""
        found = []
        errors = [line for line in outcome.err.splitlines() if line.startswith("error:")]
        if outcome.code not in codes:
            found.append(f"exit code {outcome.code}, not {codes}: {outcome.err[-300:]}")
        # Of jobs each has its line, and all of them one.
        wanted = 0 if outcome.code in (0, 130) else 1
        if len(errors) != wanted and not ("batch" in words and len(errors) > 1):
            found.append(f"{len(errors)} error lines, exit code {outcome.code}: {outcome.err!r}")
        for line in errors:
            if "error: unexpected " in line or "not enough memory" in line:
                found.append(line[:600])
            if len(line) > LONGEST_LINE:
                found.append(f"a line of {len(line)} characters: {line[:200]}")
        if b"Traceback" in outcome.out or ("Traceback" in outcome.err and "--debug" not in words):
            found.append(f"a traceback: {outcome.err[-600:]}")
        if "--json" in words and outcome.code == 0 and outcome.out.startswith((b"{", b"[")):
            found += _strictly_read(outcome.out)
        if "--debug" not in words and (sign := _CONTROL.search(outcome.err)):
            found.append(f"a control character on stderr, {sign[0]!r}: {outcome.err[:300]!r}")
        if "-v" not in words and "--debug" not in words and (own := _FOREIGN.search(outcome.err)):
            found.append(f"a line of a library, {own[0]!r}: {outcome.err[:300]!r}")
        return found

    def _changes(
        self, before: Snapshot, after: Snapshot, outcome: Outcome, words: Sequence[str]
    ) -> list[str]:
        """What is wrong with what it wrote."""
        if before == after:  # as most inputs leave it
            return []
        gone, both = before.keys() - after.keys(), before.keys() & after.keys()
        found = [f"removed {name}" for name in gone if not _of_a_batch(name)]
        changed = [n for n in both if before[n] != after[n] and not _of_a_batch(n)]
        new = sorted(after.keys() - before.keys())
        # Only places that are named, and the folder one is in, and home for settings.
        parts = [part for word in words for part in (word, word[word.find("=") + 1 :])]
        named = [os.path.realpath(self.here / self._at_home(part)) for part in parts]
        may = [str(self.here), *named]
        forced = "--force" in words
        for name in changed:
            if stat.S_ISDIR(after[name][0]):
                continue
            path = os.path.join(self.root, name)
            if "config" in words and name.startswith(("home/", "here/config.toml")):
                continue
            if not (forced and path in named):
                found.append(f"changed {name}")
        for name in new:
            path = os.path.join(self.root, name)
            if name.startswith("home/") and ("config" in words or name == "home/.cache"):
                continue
            if name.startswith(_OF_OTHERS):
                continue
            if name.startswith("tmp/") or not any(_within(path, place) for place in may):
                found.append(f"wrote {name}")
            elif outcome.code != 0 and not _may_remain(words):
                found.append(f"left {name} behind, exit code {outcome.code}")
            elif _is_part(name) and not _may_remain(words):
                found.append(f"left {name} behind")
            elif (why := _half_written(path)) and outcome.code == 0:
                found.append(f"{name} is half-written: {why}")
        return found

    def _at_home(self, part: str) -> str:
        return f"{self.home}{part[1:]}" if part == "~" or part.startswith("~/") else part

    def snapshot(self) -> Snapshot:
        """Kind, length and time of everything, by name."""
        found: Snapshot = {}
        folders, start = [str(self.root)], len(str(self.root)) + 1
        while folders:
            for entry in os.scandir(folders.pop()):
                about = entry.stat(follow_symlinks=False)
                moment = 0 if stat.S_ISDIR(about.st_mode) else about.st_mtime_ns
                size = 0 if stat.S_ISDIR(about.st_mode) else about.st_size
                found[entry.path[start:]] = (about.st_mode, size, moment)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
        return found


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}{os.sep}")


def _strictly_read(text: bytes) -> list[str]:
    """What is wrong with lines of JSON."""

    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is no JSON")

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return [f"{error}: {text[:300]!r}"]
    return []


def _is_part(name: str) -> bool:
    """Whether a file is one that should have been renamed when it was whole."""
    known = (".png", ".gif", ".webp", ".safetensors", ".jsonl", ".toml")
    return os.path.basename(name).startswith(".") and not name.endswith(known)


def _of_a_batch(name: str) -> bool:
    """Whether this is what a batch writes beside the files of its jobs."""
    return name.startswith("here/out/") and name.endswith((".jsonl", "/.pixelgen-batch"))


def _may_remain(words: Sequence[str]) -> bool:
    """Whether what is done of a command that fails in the end stays: of jobs, of photos with faces
    beside photos without, of a run, and pictures whose growth cannot be kept."""
    return bool({"batch", "faces", "train", "--animate", "--watch"} & set(words))


def _half_written(path: str) -> str:
    """Why a file that was written cannot be read; nothing if it can."""
    suffix = "" if os.path.isdir(path) else os.path.splitext(path)[1].lower()
    try:
        if suffix in (".png", ".gif", ".webp"):
            with Image.open(path) as image:
                image.load()
        elif suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                assert [*file.keys()]
    except Exception as error:
        return repr(error)
    return ""


@contextlib.contextmanager
def _streams(stdin: bytes) -> Iterator[dict[int, bytes]]:
    """A context in which `stdin` is read; what was written to files 1 and 2, by Python or past it,
    is in the dictionary afterwards."""
    written: dict[int, bytes] = {}
    saved = sys.stdin, sys.stdout, sys.stderr
    copies = {number: os.dup(number) for number in (1, 2)}
    files = {number: os.memfd_create(str(number)) for number in copies}
    for number, file in files.items():
        os.dup2(file, number)
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    streams = [
        io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, "wb", closefd=False)),
            "utf-8",
            errors,
            write_through=True,
        )
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    ]
    sys.stdout, sys.stderr = streams
    try:
        yield written
    finally:
        sys.stdin, sys.stdout, sys.stderr = saved
        for stream in streams:
            stream.detach().close()
        for number, file in files.items():
            os.dup2(copies[number], number)
            written[number] = os.pread(file, os.fstat(file).st_size, 0)
            os.close(copies[number])
            os.close(file)


@contextlib.contextmanager
def _limited(found: list[str]) -> Iterator[None]:
    """A context that ends what takes too long, and in which there is not more memory than there
    may be; what was too much goes into `found`."""
    import resource

    worked = time.process_time()

    def stop(number: int, frame: object) -> None:
        nonlocal worked
        before, worked = worked, time.process_time()
        if number == signal.SIGALRM and worked - before > 0.05:
            return  # it is only slow
        found.append(f"more than {SECONDS:g} s of a processor, or {WAITING:g} s of waiting")
        raise Hang

    kinds = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    saved = {number: signal.signal(number, stop) for number in kinds}
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    _forget_peak()
    resource.setrlimit(resource.RLIMIT_DATA, (_status("VmData") + MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING, WAITING)
    try:
        yield
    finally:
        for number, kind in kinds.items():
            signal.setitimer(kind, 0)
            signal.signal(number, saved[number])
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        peak = _status("VmHWM")
        TALLY.memory = max(TALLY.memory, peak)
        if peak > MEMORY:
            found.append(f"{peak >> 20} MiB of memory")


def _status(name: str) -> int:
    """Bytes that Linux tells of this process."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name + ":"))
    return int(line.split()[1]) << 10


def _forget_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
