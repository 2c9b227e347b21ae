"""Whether a run may begin, or go on, in a folder."""

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
from pixelgen.data.images import cache_folder
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.models.config import AutoencoderConfig
from pixelgen.training.class_prior_fit import VECTORS
from pixelgen.training.codes import CODES
from pixelgen.training.distillation import FEATURES, UNTAUGHT
from pixelgen.training.logs import BOARD, LOG
from pixelgen.training.recipe import Recipe, recipe_from_dict
from pixelgen.training.state import RunState, read_state, state_path
from pixelgen.training.submodels import EMBEDDER, TOKENIZER


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes of this machine from training in `folder` meanwhile. Raises
    PixelgenError where one does so already."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    file = cache_folder() / f"run-{name}.lock"
    lock = FileLock(file, timeout=0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise PixelgenError(
            f"another process is training in {folder}", "wait until it ends, or give another -o"
        ) from None
    except (OSError, NotImplementedError):
        pass  # where no lock can be had, nobody is kept out
    try:
        yield
    finally:
        lock.release()


def check_folder(
    recipe: Recipe, folder: Path, resume: bool, init: str | None
) -> tuple[RunState, dict[str, Tensor]] | None:
    """The saved state to go on with, or None for a new run in a new or empty folder."""
    if resume:
        if init is not None:
            raise UsageError("--init starts a run, --resume goes on with one: give one")
        state, tensors = read_state(folder)
        try:
            before = recipe_from_dict(state.recipe)
        except ValueError as error:
            raise PixelgenError(f"the recipe saved in {folder} does not fit: {error}") from error
        _check_same(recipe, before)
        return state, tensors
    if state_path(folder) is not None:
        raise UsageError(f"{folder} already holds a run", "add --resume to go on with it")
    if recipe.losses.decoder_only and init is None:
        raise UsageError(
            "losses.decoder_only keeps an encoder, and none is given", "add --init WEIGHTS"
        )
    kept = {CODES, VECTORS, FEATURES}  # what was computed for a run that never began may be of use
    if folder.exists() and not (folder.is_dir() and {p.name for p in folder.iterdir()} <= kept):
        raise UsageError(f"{folder} exists and is not an empty folder", "give another -o")
    config, taught = recipe.model, recipe.autoencoder.semantic_weight
    if isinstance(config, AutoencoderConfig) and config.semantic and not taught and init is None:
        raise UsageError(*UNTAUGHT)
    if init is not None:
        resolve_weights(init)  # what is not there is missed before the work begins
    elif recipe.sampling.guidance != 1 and not recipe.data.class_dropout:
        raise UsageError(
            "sampling.guidance draws without the condition too, which is learnt from none",
            "set data.class_dropout, or sampling.guidance to 1",
        )
    return None


def forget(folder: Path) -> None:
    """Takes away what a run that never began has left in `folder`, which was its own, but for what
    took long and says of what it was made."""
    if state_path(folder) is not None or not folder.is_dir():
        return
    for name in (TOKENIZER, EMBEDDER, BOARD):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        (folder / LOG).unlink(missing_ok=True)
        folder.rmdir()


def _check_same(recipe: Recipe, before: Recipe) -> None:
    """What a run has learnt depends on these; all else may change on the way."""
    now, then = recipe.to_dict(), before.to_dict()
    for key in ("seed", "model", "data"):
        if now[key] == then[key]:
            continue
        changed = key
        if isinstance(now[key], dict):
            names = sorted(now[key].keys() | then[key].keys())
            name = next(n for n in names if now[key].get(n) != then[key].get(n))
            changed = f"{key}.{name}"
        raise UsageError(f"the run was made with another {changed}", "resume with its own recipe")
    a, b = recipe.autoencoder, before.autoencoder
    if (a.semantic_weight > 0, a.semantic_size) != (b.semantic_weight > 0, b.semantic_size):
        raise UsageError(
            "the run was made with another teacher of model.semantic",
            "leave autoencoder.semantic_size, and whether semantic_weight is 0, as they were",
        )
