"""The state of a run on disk: one safetensors file, replaced atomically, never pickle.

Tensors are named `model.NAME`, `ema.NAME`, `critic.NAME` and `optimiser.NAME.KEY`; everything else
is JSON in the file's header, whose keys must stay readable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pixelgen.checkpoints.config import RUN_STATES
from pixelgen.errors import PixelgenError
from pixelgen.files import umask
from pixelgen.json_text import parse_json
from pixelgen.models.state_renames import renamed

STATE, PREVIOUS = RUN_STATES
PART = STATE + ".part"
FORMAT = 1
_KEYS = {"ema_updates": "averaged", "started_from": "origin", "history": "before"}
"""Fields of `RunState` that the header calls by another name."""
_TYPES: dict[str, type] = {
    "recipe": dict,
    "labels": list,
    "counters": dict,
    "averaged": int,
    "origin": str,
    "before": dict,
    "pictures": int,
    "class_names": list,
    "data_digest": str,
}
"""The JSON type of every key of the header."""
_LARGEST = 2**53  # counted or in seconds


@dataclass
class Counters:
    """How far a run has come."""

    step: int = 0
    """Steps taken, skipped ones included."""
    images: int = 0
    """Images seen by all processes: the position in the stream of epochs."""
    seconds: float = 0.0
    """Time in the loop, over all resumed parts."""
    skipped: int = 0
    """Steps whose loss or gradient was not finite."""
    held_out: float | None = None
    """The last held-out figure of the averaged weights (see `Task.figure`)."""
    held_out_step: int | None = None
    """The step after which it was measured; None in states of earlier versions."""
    held_out_pictures: int | None = None
    """The number of held-out images; None in states of earlier versions."""

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Counters:
        """From a JSON object. Raises ValueError for unknown keys and what cannot be counted."""
        kinds = {f.name: str(f.type) for f in fields(Counters)}
        for key, value in values.items():
            kind = kinds.get(key, "")
            if value is None:
                fits = kind.endswith("None")
            else:
                fits = type(value).__name__ == kind.removesuffix(" | None")
                # The figure may be negative, or not finite.
                fits = fits and (key == "held_out" or 0 <= value < _LARGEST)
            if not fits:
                raise ValueError(f"its header has an invalid 'counters.{key}'")
        return Counters(**values)


@dataclass(frozen=True)
class RunState:
    """What a state file holds beside its tensors."""

    recipe: dict[str, Any]
    """`Recipe.to_dict()` of the run."""
    labels: list[int]
    """The label in the data of every class row; empty without classes."""
    counters: Counters
    ema_updates: int
    """Updates of the moving average."""
    started_from: str = ""
    """Weights that the run started from, if any."""
    history: dict[str, Any] = field(default_factory=dict)
    """How those had been trained: "training" of their configuration."""
    pictures: int = 0
    """Images in the data, including those held out; 0 in states of earlier versions."""
    class_names: list[str] = field(default_factory=list)
    """The names of `labels`; empty where they are ILSVRC class indices, and in states of earlier
    versions."""
    data_digest: str = ""
    """`ImageData.digest` of pictures and labels; empty in states of earlier versions."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the header."""
        return {_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> RunState:
        """Inverse of `to_dict`. Raises ValueError for missing and unknown keys and wrong types."""
        names = {key: name for name, key in _KEYS.items()}
        for key, value in values.items():
            if key not in _TYPES or type(value) is not _TYPES[key]:
                raise ValueError(f"its header has an invalid {key!r}")
        if any(type(label) is not int for label in values.get("labels", ())):
            raise ValueError("its header has an invalid 'labels'")
        if any(type(name) is not str for name in values.get("class_names", ())):
            raise ValueError("its header has an invalid 'class_names'")
        known = {names.get(key, key): value for key, value in values.items()}
        try:
            return RunState(**{**known, "counters": Counters.from_dict(known["counters"])})
        except (KeyError, TypeError):
            raise ValueError("its header is incomplete") from None


def save_state(
    folder: Path,
    run: RunState,
    model: nn.Module,
    ema: nn.Module,
    optimiser: torch.optim.Optimizer,
    critic: nn.Module | None = None,
) -> None:
    """Writes the state and keeps the previous one. A crash at any time leaves a complete one."""
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    tensors |= {f"ema.{name}": t for name, t in ema.state_dict().items()}
    if critic is not None:
        tensors |= {f"critic.{name}": t for name, t in critic.state_dict().items()}
    for name, parameter in _named(model, critic):
        for key, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{name}.{key}"] = value
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    header = {"format": FORMAT, **run.to_dict()}
    path, part = folder / STATE, folder / PART
    try:
        save_file(tensors, part, metadata={"run": json.dumps(header)})
        os.chmod(part, 0o666 & ~umask())  # safetensors lets nobody else read it
        _sync(part)
        if path.exists():
            path.replace(folder / PREVIOUS)  # `read_state` reads it if the next line never runs
        part.replace(path)
        _sync(folder)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # an incomplete state would only take space
            part.unlink()
        raise PixelgenError(f"cannot save the run's state in {folder}: {error}") from error


def _named(model: nn.Module, critic: nn.Module | None) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of the optimiser, by name."""
    yield from model.named_parameters()
    if critic is not None:
        yield from critic.named_parameters("critic")


def _sync(path: Path) -> None:
    """Flushes a file, or where the system can a folder, to disk."""
    if not path.is_dir():
        with path.open("r+b") as file:  # Windows syncs only files that are open for writing
            os.fsync(file.fileno())
    elif os.name != "nt":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def state_path(folder: Path) -> Path | None:
    """The newest state file in `folder`, or None."""
    return next((p for p in (folder / STATE, folder / PREVIOUS) if p.is_file()), None)


def read_state(folder: Path) -> tuple[RunState, dict[str, Tensor]]:
    """The last state in `folder`, on the CPU. Its tensors may lie in the file itself, which Windows
    cannot replace until they are gone. Raises PixelgenError if there is no readable one."""
    return _read(folder, with_tensors=True)


def read_run(folder: Path) -> RunState:
    """The last state without its tensors, which takes no time. Raises as `read_state` does."""
    return _read(folder, with_tensors=False)[0]


def _read(folder: Path, with_tensors: bool) -> tuple[RunState, dict[str, Tensor]]:
    path = state_path(folder)
    if path is None:
        raise PixelgenError(f"no run in {folder}: {STATE} is missing", "train first", code="no-run")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("run")
            header = None if text is None else parse_json(text)
            if not isinstance(header, dict):
                raise ValueError("its header does not describe a run")
            names = [*file.keys()] if with_tensors else []
            tensors = {_current_name(name): file.get_tensor(name) for name in names}
        if header.pop("format", None) != FORMAT:
            raise ValueError("its format is of another version of pixelgen")
        return RunState.from_dict(header), tensors
    except (OSError, SafetensorError, ValueError) as error:
        raise PixelgenError(
            f"{path} is damaged: {error}", f"delete it to resume from {PREVIOUS}, if there is one"
        ) from error


def _current_name(name: str) -> str:
    """The name of a stored tensor, which an earlier version may have called otherwise."""
    return name if name.startswith(("critic.", "optimiser.critic.")) else renamed(name)


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors named `prefix.NAME`, by NAME."""
    return {n[len(prefix) + 1 :]: t for n, t in tensors.items() if n.startswith(prefix + ".")}


def load_weights(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Copies `weights` into `module`. Raises PixelgenError for a tensor that does not fit."""
    own = module.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        if name not in weights:
            raise PixelgenError(f"{source} has no tensor {name}", "is it of the same recipe?")
        if name not in own:
            raise PixelgenError(
                f"{source} has a tensor {name} that the model lacks", "is it of the same recipe?"
            )
        if own[name].shape != weights[name].shape:
            raise PixelgenError(
                f"tensor {name} of {source} is {list(weights[name].shape)}, "
                f"the model's is {list(own[name].shape)}"
            )
    module.load_state_dict(weights)


def load_optimiser(
    optimiser: torch.optim.Optimizer,
    model: nn.Module,
    tensors: dict[str, Tensor],
    critic: nn.Module | None = None,
) -> None:
    """Restores the moments of every parameter, as named by `save_state`."""
    saved = part_of(tensors, "optimiser")
    for name, parameter in _named(model, critic):
        state = {}
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if (value := saved.get(f"{name}.{key}")) is None:
                continue
            # A fused step keeps its counter beside the parameter, the others keep it on the CPU.
            if key != "step":
                state[key] = torch.empty_like(parameter).copy_(value)
            else:
                fused = optimiser.defaults.get("fused")
                state[key] = value.to(parameter.device if fused else "cpu", copy=True)
        if state:
            optimiser.state[parameter] = state
