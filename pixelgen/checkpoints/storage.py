"""Saving a model as safetensors, and loading one from a file that nobody vouches for."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pixelgen.checkpoints.config import CONFIG_FILE, CheckpointConfig, read_config
from pixelgen.checkpoints.digests import sha256_of
from pixelgen.checkpoints.source import (
    CARD_FILE,
    EMBEDDER_FILE,
    OTHER_FILES,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Source,
    find,
    missing_tensors,
    other_file,
)
from pixelgen.checkpoints.weights_cache import kept, signature
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import open_file, write_atomically
from pixelgen.models.config import AnyConfig, TokenizerConfig
from pixelgen.models.state_renames import renamed_state
from pixelgen.sampling import SamplingOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from pixelgen.models import AnyNetwork
    from pixelgen.models.autoencoder import Autoencoder
    from pixelgen.models.autoregressive import GridNetwork
    from pixelgen.models.face_embedder import FaceEmbedder
    from pixelgen.models.tokenizer import Tokenizer


_log = logging.getLogger(__name__)
StorageType = Literal["float16", "float32"]


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A model that was read from disk, ready to be used."""

    network: AnyNetwork
    """What the folder is for, in float32, in evaluation mode."""
    tokenizer: Tokenizer | None
    """What makes pictures of the grids that the network draws; None where it draws pictures."""
    face_embedder: FaceEmbedder | None
    """What makes the network's condition vector of a face; None where it has no such vector."""
    config: CheckpointConfig
    """What config.json says."""
    path: Path
    """The folder."""
    name: str
    """Bundled name, folder name, or Hub id."""
    revision: str
    """The Hub's commit, or a hash of the tensor files."""
    others: tuple[Autoencoder, ...] = ()
    """Auto-encoders of other bottlenecks, where the network is one."""

    @property
    def model(self) -> GridNetwork:
        """The autoregressive network. Raises PixelgenError for weights that draw nothing."""
        if not self.config.draws:
            raise self.config.refusal(self.name)
        return cast("GridNetwork", self.network)

    @property
    def codec(self) -> Tokenizer:
        """The tokenizer, alone or beside a model. Raises PixelgenError where there is none."""
        if isinstance(self.config.model, TokenizerConfig):
            return cast("Tokenizer", self.network)
        if self.tokenizer is None:
            raise UsageError(f"{self.name} has no tokenizer")
        return self.tokenizer

    @property
    def embedder(self) -> FaceEmbedder:
        """The face embedder, alone or beside a model. Raises PixelgenError where there is none."""
        if self.config.kind == "face-embedder":
            return cast("FaceEmbedder", self.network)
        if self.face_embedder is None:
            raise UsageError(f"{self.name} has no face embedder")
        return self.face_embedder

    def overflow(self) -> PixelgenError:
        """The error where what the network says are no numbers, its weights being too large."""
        return PixelgenError(f"weights {self.name}: the network overflows", "are they damaged?")

    @property
    def autoencoders(self) -> dict[int, Autoencoder]:
        """The auto-encoders by bottleneck, the smallest first. Raises PixelgenError where there are
        none."""
        if not self.config.bottlenecks:
            raise UsageError(f"{self.name} has no auto-encoder")
        every = (cast("Autoencoder", self.network), *self.others)
        return {
            size: network.with_latent_dims(size)
            for network in every
            for size in network.config.bottlenecks
        }


def save_checkpoint(
    folder: str | Path,
    model: AnyNetwork,
    *,
    tokenizer: Tokenizer | None = None,
    embedder: FaceEmbedder | None = None,
    others: Sequence[Autoencoder] = (),
    labels: Sequence[int] = (),
    sampling: SamplingOptions | Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    card_text: str = "",
    dtype: StorageType = "float16",
    check: Callable[[str], None] | None = None,
) -> Path:
    """Write `model`, the tokenizer whose codes it models, and the face embedder that conditions it,
    or the `others` of larger bottlenecks beside an auto-encoder, as a checkpoint folder, and return
    the folder.

    Tensors are stored in `dtype`, save those whose values it cannot hold. `check` is told the
    revision of what was written, and may still raise before anything is replaced. Raises ValueError
    for labels or parts that do not fit the model, PixelgenError where the folder cannot be
    written.
    """
    if not isinstance(sampling, SamplingOptions):
        sampling = SamplingOptions.from_dict(sampling or {})
    config = CheckpointConfig(
        model=model.config,
        tokenizer=None if tokenizer is None else tokenizer.config,
        embedder=None if embedder is None else embedder.config,
        others=tuple(other.config for other in others),
        labels=tuple(labels),
        sampling=sampling,
        data=dict(data or {}),
        training=dict(training or {}),
    )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PixelgenError(f"cannot make the folder {folder}: {error.strerror}") from error
    networks: dict[str, nn.Module] = {WEIGHTS_FILE: model}
    if tokenizer is not None:
        networks[TOKENIZER_FILE] = tokenizer
    if embedder is not None:
        networks[EMBEDDER_FILE] = embedder
    networks |= {other_file(other.config.bottleneck): other for other in others}
    # All files are written before the first of them takes the place of an old one: what cannot be
    # finished leaves the old weights whole.
    try:
        staged = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    except OSError as error:
        raise PixelgenError(f"cannot write into {folder}: {error.strerror}") from error
    try:
        for file, network in networks.items():
            tensors = {name: _stored(t, dtype) for name, t in network.state_dict().items()}
            write_tensors(staged / file, tensors, {"format": "pt"})
        config = replace(config, sha256={file: sha256_of(staged / file) for file in networks})
        text = json.dumps(config.to_dict(), indent=2, ensure_ascii=False) + "\n"
        write_atomically(staged / CONFIG_FILE, text.encode())
        write_atomically(staged / CARD_FILE, card_text.encode())
        if check is not None:
            check(Source(staged, folder.name).revision())
        for file in (*networks, CONFIG_FILE, CARD_FILE):
            (staged / file).replace(folder / file)
    except OSError as error:
        raise PixelgenError(f"cannot write into {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    # What an earlier model left behind would be shipped, and would count in the revision.
    parts = (folder / TOKENIZER_FILE, folder / EMBEDDER_FILE, *folder.glob(OTHER_FILES))
    for stale in (part for part in parts if part.name not in networks):
        stale.unlink(missing_ok=True)
    return folder


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically. Raises PixelgenError where it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def write(part: Path) -> None:
        try:
            save_file(dict(tensors), part, metadata=dict(metadata))
        except SafetensorError as error:  # what the library makes of a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def _stored(tensor: Tensor, dtype: StorageType) -> Tensor:
    import torch

    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(getattr(torch, dtype))
    return narrow if torch.equal(narrow.isfinite(), tensor.isfinite()) else tensor.float()


def load_checkpoint(
    ref: str | Path | Source, device: torch.device | str = "cpu", *, token: str | None = None
) -> LoadedCheckpoint:
    """Find weights (see `find`, also for `token`), check them, and load them in float32.

    Only safetensors is read, never a pickle. Raises PixelgenError, in one line, for a configuration
    or a tensor file that is broken, foreign or does not fit the other.
    """
    source = find(ref, token=token)
    if (here := kept.get()) is None:
        return _loaded(source, device)
    try:
        files = signature([source.path / CONFIG_FILE, *source.files()])
    except OSError:  # which `_loaded` tells better
        return _loaded(source, device)
    return here.loaded.get((source, files, str(device)), lambda: _loaded(source, device))


def _loaded(source: Source, device: torch.device | str) -> LoadedCheckpoint:
    started = time.perf_counter()
    config = read_config(source.path, source.name)
    network = _load(source, WEIGHTS_FILE, config.model, device)
    tokenizer = embedder = None
    if config.tokenizer is not None:
        tokenizer = cast("Tokenizer", _load(source, TOKENIZER_FILE, config.tokenizer, device))
    if config.embedder is not None:
        embedder = cast("FaceEmbedder", _load(source, EMBEDDER_FILE, config.embedder, device))
    others = tuple(
        cast("Autoencoder", _load(source, other_file(other.bottleneck), other, device))
        for other in config.others
    )
    _log.info("loaded %s (%s) in %.2f s", source.name, config.kind, time.perf_counter() - started)
    return LoadedCheckpoint(
        network, tokenizer, embedder, config, source.path, source.name, source.revision(), others
    )


def _load(source: Source, file: str, config: AnyConfig, device: torch.device | str) -> AnyNetwork:
    """The network that `config` describes with the tensors of `file`."""
    try:
        network = _read_network(source.path / file, config)
    except OSError as error:
        raise missing_tensors(source.name, source.path, error, file) from error
    except ValueError as error:
        raise PixelgenError(f"weights {source.name}: {file}: {error}") from error
    network.requires_grad_(False).eval().to(device)
    return network


def _read_network(path: Path, config: AnyConfig) -> AnyNetwork:
    """A network with the tensors of `path`, once their names, shapes and types are known to fit
    `config`.

    Raises OSError where the file cannot be read and ValueError where it does not fit.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from pixelgen.checkpoints.instantiate import network_for

    open_file(path).close()  # safetensors says less about a file that is missing or unreadable
    try:
        with safe_open(path, framework="pt") as file:
            stored = renamed_state({name: name for name in [*file.keys()]})
            found = {name: file.get_slice(old) for name, old in stored.items()}
            shapes = {name: tuple(part.get_shape()) for name, part in found.items()}
            network = network_for(config, shapes.values())
            expected = {k: tuple(v.shape) for k, v in network.state_dict().items()}
            _compare_names(expected, set(found))
            tensors = {}
            for name, shape in expected.items():
                kind, actual = found[name].get_dtype(), shapes[name]
                if actual != shape:
                    raise ValueError(
                        f"tensor {name} has shape {list(actual)}, the model needs {list(shape)}"
                    )
                if kind not in ("F16", "BF16", "F32", "F64"):
                    raise ValueError(f"tensor {name} has type {kind}, not a floating one")
                tensors[name] = file.get_tensor(stored[name]).to(torch.float32)
                if not tensors[name].isfinite().all():
                    raise ValueError(f"tensor {name} holds numbers that are not finite")
            network.load_state_dict(tensors, assign=True)
            return network
    except SafetensorError as error:
        raise ValueError(f"not a readable safetensors file ({error})") from error


def _compare_names(expected: Mapping[str, object], found: set[str]) -> None:
    missing = [name for name in expected if name not in found]
    foreign = sorted(found.difference(expected))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"tensor {missing[0]}{more} is missing")
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ValueError(f"tensor {foreign[0]}{more} does not belong to the model")
