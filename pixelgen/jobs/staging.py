"""A hidden folder that the files of a job are written to until all of them are there.

A job is done when its staging folder is renamed, which is atomic. What remains then, to move its
files to their places and to add its result to the log, can be repeated after a kill.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import rename_without_replacing, write_atomically
from pixelgen.jobs.batch_jobs import BatchJob
from pixelgen.jobs.output import file_exists
from pixelgen.jobs.results_log import JobResult, ResultsLog, read_result

_STAGING = ".pixelgen-batch"
_FILES, _RESULT, _FORCED = "files", "result.json", "forced"


class Staging:
    """The staging folder of a folder of results."""

    def __init__(self, results_log: ResultsLog, jobs: Iterable[BatchJob]) -> None:
        """Of all `jobs` of a batch."""
        self.results_log = results_log
        self._ids = {job.id for job in jobs}
        # Absolute, so that paths of files there can be recognised in what a job reports.
        self._root = results_log.folder.absolute() / _STAGING

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """A context in which the folder exists. Raises PixelgenError where it cannot be created."""
        with _writing(self._root):
            self._root.mkdir(exist_ok=True)
            if self._root.is_symlink():
                raise OSError(errno.ENOTDIR, "it leads to another folder")
        yield
        with contextlib.suppress(OSError):  # another process may need it
            self._root.rmdir()

    def finish(self, jobs: Iterable[BatchJob]) -> None:
        """Deliver the `jobs` that were done when a run was killed, and delete unfinished ones."""
        try:
            there = set(os.listdir(self._root))
        except OSError:  # another process has just removed it
            return
        for job in jobs:
            if self._part(job).name in there:
                shutil.rmtree(self._part(job), ignore_errors=True)
            if self._done(job).name not in there:
                continue
            try:
                result = read_result((self._done(job) / _RESULT).read_bytes())
            except (OSError, ValueError):
                shutil.rmtree(self._done(job), ignore_errors=True)
                continue
            with contextlib.suppress(UsageError):  # it is run again, and fails
                self._deliver(job, result)

    @contextlib.contextmanager
    def place(self, job: BatchJob) -> Iterator[Path]:
        """A context with the folder that files of a job go to; what is not handed over is deleted
        afterwards. Raises PixelgenError where it cannot be created."""
        part = self._part(job)
        shutil.rmtree(part, ignore_errors=True)
        try:
            with _writing(part):
                (part / _FILES).mkdir(parents=True)
            yield part / _FILES
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def check_places(self, job: BatchJob, force: bool) -> None:
        """Raise UsageError where a file of the job would replace one which is not its own, with
        `force` one of another job of this batch, or would be outside of the folder of results."""
        files, folder = self._part(job) / _FILES, self.results_log.folder
        own = self.results_log.files(job.id)
        if force:
            self.results_log.update()
        for name in listed(files):
            target = folder / name
            self._check_inside(target)
            owner = self.results_log.owner(name)
            if owner in self._ids - {job.id} and os.path.lexists(target):
                raise UsageError(f"{target} is a file of the job {owner}", "give another id")
            above = [folder / parent for parent in Path(name).parents]
            if target.is_dir() or any(up.exists() and not up.is_dir() for up in above):
                raise file_exists(target)
            if force or name in own or not os.path.lexists(target):
                continue
            if not target.exists() or not filecmp.cmp(files / name, target, shallow=False):
                raise file_exists(target)

    def _check_inside(self, target: Path) -> None:
        """Raise UsageError where links lead to a place outside of the folder of results."""
        folder = self.results_log.folder
        if not target.parent.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"{target.parent} leads out of {folder}", "remove the link, or give another place"
            )

    def hand_over(self, job: BatchJob, result: JobResult, force: bool) -> None:
        """Move the files of a job to their places and log its result. With `force` files of others
        are replaced.

        Raises UsageError where a place is taken by now; nothing of the job remains then. Raises
        PixelgenError where files cannot be written; the next run tries it again.
        """
        write_atomically(self._part(job) / _RESULT, result.line_of_json().encode())
        with _writing(self._done(job)):
            if force:
                (self._part(job) / _FORCED).touch()
            self._part(job).replace(self._done(job))
        self._deliver(job, result)

    def _deliver(self, job: BatchJob, result: JobResult) -> None:
        files, force = self._done(job) / _FILES, (self._done(job) / _FORCED).exists()
        own = self.results_log.files(job.id)
        created: list[Path] = []
        try:
            # Those that replace nothing first: they can be taken back.
            for name in sorted(listed(files), key=lambda name: force or name in own):
                target = self.results_log.folder / name
                self._check_inside(target)
                with _writing(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if force or name in own:
                        (files / name).replace(target)
                    elif _create(files / name, target):
                        created.append(target)
        except UsageError:
            for target in created:
                target.unlink(missing_ok=True)
            shutil.rmtree(self._done(job), ignore_errors=True)
            raise
        if self.results_log.last(job.id) != result:
            self.results_log.add(result)
        shutil.rmtree(self._done(job), ignore_errors=True)

    def _part(self, job: BatchJob) -> Path:
        return self._root / f"{_folder_name(job)}.part"

    def _done(self, job: BatchJob) -> Path:
        return self._root / f"{_folder_name(job)}.done"


def _folder_name(job: BatchJob) -> str:
    """The id, or a digest of it where the encoding of this system cannot express it: only the job
    itself is to fail then."""
    try:
        os.fsencode(job.id)
    except UnicodeEncodeError:
        return hashlib.sha256(job.id.encode()).hexdigest()[:32]
    return job.id


def _create(source: Path, target: Path) -> bool:
    """Put a file to its place; False if it is there already. Raises UsageError where something else
    is there."""
    try:
        rename_without_replacing(source, target)
    except FileExistsError:
        if not target.is_file() or not filecmp.cmp(source, target, shallow=False):
            raise file_exists(target) from None
        return False
    return True


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A context that raises PixelgenError where `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise PixelgenError(f"cannot write {path}: {error.strerror or error}") from error


def listed(folder: Path) -> list[str]:
    """The files in `folder` and below it, relative to it."""
    found = (
        Path(where).relative_to(folder) / name
        for where, _, names in os.walk(folder)
        for name in names
    )
    return sorted(path.as_posix() for path in found)
