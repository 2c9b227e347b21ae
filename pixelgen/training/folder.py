"""Whether a run may start, or resume, in a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from torch import Tensor

from pixelgen.checkpoints import resolve_weights
from pixelgen.checkpoints.instantiate import network_for
from pixelgen.data.images import cache_folder
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import is_temporary, sweep
from pixelgen.training.class_prior_fit import VECTORS
from pixelgen.training.codes import CODES
from pixelgen.training.distillation import FEATURES
from pixelgen.training.logs import BOARD, LOG
from pixelgen.training.recipe import Recipe, recipe_from_dict
from pixelgen.training.state import PART, RunState, part_of, read_state, state_path
from pixelgen.training.submodels import SUBMODELS
from pixelgen.training.tasks import kind_of_task

_STARTING = ".starting"
_REUSABLE = (CODES, VECTORS, FEATURES)
"""Computed for a run that never started."""
_OWN = (*SUBMODELS, BOARD, LOG, PART, _STARTING)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes of this machine from training in `folder` at the same time. Raises
    PixelgenError if one is."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    file = cache_folder() / f"run-{name}.lock"
    lock = FileLock(file, timeout=0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise PixelgenError(
            f"another process is training in {folder}",
            "wait until it ends, or give another folder",
            code="folder-locked",
        ) from None
    except (OSError, NotImplementedError):
        pass  # file systems without locks keep nobody out
    try:
        yield
    finally:
        lock.release()


def check_folder(
    recipe: Recipe, folder: Path, resume: bool, init: str | None
) -> tuple[RunState, dict[str, Tensor]] | None:
    """The saved state to resume from, or None for a new run in a new or empty folder. Raises
    PixelgenError where neither is possible."""
    if recipe.sampling.guidance != 1 and not recipe.data.class_dropout:
        raise UsageError(
            "sampling.guidance needs a model that is also trained without its condition",
            "set data.class_dropout, or sampling.guidance = 1",
        )
    if resume:
        if init is not None and state_path(folder) is not None:
            raise UsageError(
                "init starts a new run, resume continues one: give one of them",
                code="init-and-resume",
            )
        state, tensors = read_state(folder)
        try:
            before = recipe_from_dict(state.recipe)
        except ValueError as error:
            raise PixelgenError(f"the recipe saved in {folder} does not fit: {error}") from error
        _check_same(recipe, before)
        shapes = [tuple(tensor.shape) for tensor in part_of(tensors, "model").values()]
        try:
            network_for(recipe.model, shapes)  # the recipe may claim any size
        except ValueError as error:
            raise PixelgenError(
                f"the recipe saved in {folder} does not fit its weights: {error}"
            ) from error
        return state, tensors
    if state_path(folder) is not None:
        raise UsageError(
            f"{folder} already holds a run", "set resume=True to continue it", code="run-exists"
        )
    if folder.exists() and (not folder.is_dir() or any(map(_may_be_in_the_way, folder.iterdir()))):
        raise UsageError(
            f"{folder} exists and is not an empty folder",
            "give another folder",
            code="folder-not-empty",
        )
    if init is not None:
        resolve_weights(init)  # raises before the work begins
        return None
    kind_of_task(recipe).check_cold_start(recipe)
    return None


def _may_be_in_the_way(path: Path) -> bool:
    """Whether `path`, in the folder of a run without a state, may be of something else."""
    if path.name in _REUSABLE or is_temporary(path.name):
        return False
    return path.name not in _OWN or not (path.parent / _STARTING).is_file()


def mark_start(folder: Path) -> None:
    """Removes what a killed run without a state has left in `folder`, and marks it as that of a run
    that has none yet. Raises PixelgenError where that fails."""
    clean_up(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _STARTING).touch()
    except OSError as error:
        raise PixelgenError(f"cannot create the folder {folder}: {error.strerror}") from error


def unmark_start(folder: Path) -> None:
    """Removes the mark: the run has a state now."""
    with suppress(OSError):
        (folder / _STARTING).unlink(missing_ok=True)


def clean_up(folder: Path) -> None:
    """Removes the files that a run without a state has left in its `folder`, but for cached results
    that can be reused."""
    if state_path(folder) is not None or not folder.is_dir():
        return
    sweep(folder, is_temporary, 0)
    for name in (*SUBMODELS, BOARD):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        for name in (LOG, PART, _STARTING):  # the mark last: until then this can be repeated
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _check_same(recipe: Recipe, before: Recipe) -> None:
    """Raises UsageError where a key has changed that must not change between parts of a run."""
    now, then = (each.to_dict() for each in (recipe, before))
    for table in (now, then):  # of the losses only this: the run has a copy of it
        table["losses"] = {"embedder": table["losses"]["embedder"]}
    for key in ("seed", "model", "data", "losses"):
        if now[key] == then[key]:
            continue
        changed = key
        if isinstance(now[key], dict):
            names = sorted(now[key].keys() | then[key].keys())
            name = next(n for n in names if now[key].get(n) != then[key].get(n))
            changed = f"{key}.{name}"
        raise UsageError(
            f"the run was started with another {changed}", "resume with its own recipe"
        )
    a, b = recipe.autoencoder, before.autoencoder
    if (a.semantic_weight > 0, a.semantic_size) != (b.semantic_weight > 0, b.semantic_size):
        raise UsageError(
            "the run was started with another teacher of model.semantic",
            "keep autoencoder.semantic_size, and whether semantic_weight is 0",
        )
