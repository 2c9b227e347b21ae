"""Saving a model as safetensors, and loading one from an untrusted file."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pixelgen.checkpoints.config import CONFIG_FILE, CheckpointConfig, read_config
from pixelgen.checkpoints.digests import sha256_of
from pixelgen.checkpoints.layout import (
    CARD_FILE,
    EMBEDDER_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    autoencoder_file,
    network_configs,
    unreadable_file_error,
)
from pixelgen.checkpoints.replacement import new_version
from pixelgen.checkpoints.resolve import resolve_weights
from pixelgen.checkpoints.source import Source
from pixelgen.checkpoints.weights_cache import active_cache, file_signature
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import open_file, write_atomically
from pixelgen.models.config import AnyConfig
from pixelgen.models.state_renames import renamed_state
from pixelgen.sampling import SamplingOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from pixelgen.models import AnyNetwork
    from pixelgen.models.autoencoder import Autoencoder
    from pixelgen.models.autoregressive import GridNetwork
    from pixelgen.models.face_embedder import FaceEmbedder
    from pixelgen.models.pixelvae import PixelVAE
    from pixelgen.models.tokenizer import Tokenizer


_log = logging.getLogger(__name__)
StorageType = Literal["float16", "float32"]


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A model that was read from disk, ready to use."""

    network: AnyNetwork
    """The model itself, in float32, in evaluation mode."""
    tokenizer: Tokenizer | None
    """Decodes the grids of codes that the network samples; None if it samples pixels."""
    face_embedder: FaceEmbedder | None
    """Computes the network's condition vector from a face; None if it has no such vector."""
    config: CheckpointConfig
    """The content of config.json."""
    path: Path
    """The folder."""
    name: str
    """Bundled name, folder name, or Hub id."""
    revision: str
    """The Hub's commit, or a hash of the tensor files."""
    others: tuple[Autoencoder, ...] = ()
    """Auto-encoders of larger bottlenecks, if the network is an auto-encoder."""

    @property
    def model(self) -> GridNetwork:
        """The autoregressive network; of a PixelVAE its decoder. Raises UsageError for weights of
        another kind."""
        if not self.config.can_sample:
            raise self.config.cannot_sample_error(self.name)
        if self.config.has_prior:
            return self.pixelvae.pixels
        return cast("GridNetwork", self.network)

    @property
    def pixelvae(self) -> PixelVAE:
        """The PixelVAE. Raises UsageError if there is none."""
        if not self.config.has_prior:
            raise UsageError(f"{self.name} is {self.config.kind_with_article}, not a pixelvae")
        return cast("PixelVAE", self.network)

    @property
    def codec(self) -> Tokenizer:
        """The tokenizer, alone or beside a model. Raises UsageError if there is none."""
        if self.config.kind == "tokenizer":
            return cast("Tokenizer", self.network)
        if self.tokenizer is None:
            raise UsageError(f"{self.name} has no tokenizer")
        return self.tokenizer

    @property
    def embedder(self) -> FaceEmbedder:
        """The face embedder, alone or beside a model. Raises UsageError if there is none."""
        if self.config.kind == "face-embedder":
            return cast("FaceEmbedder", self.network)
        if self.face_embedder is None:
            raise UsageError(f"{self.name} has no face embedder")
        return self.face_embedder

    def not_finite_error(self) -> PixelgenError:
        """The error for outputs of the network that are not finite."""
        return PixelgenError(
            f"weights {self.name}: the outputs of the network are not finite",
            "the weights may be damaged",
        )

    @property
    def autoencoders(self) -> dict[int, Autoencoder]:
        """The auto-encoders by bottleneck, the smallest first. Raises UsageError if there are
        none."""
        if not self.config.bottlenecks:
            raise UsageError(f"{self.name} has no auto-encoder")
        networks = (cast("Autoencoder", self.network), *self.others)
        return {
            size: network.with_latent_dims(size)
            for network in networks
            for size in network.config.bottlenecks
        }


def config_of(
    model: AnyNetwork,
    tokenizer: Tokenizer | None = None,
    embedder: FaceEmbedder | None = None,
    labels: Sequence[int] = (),
    class_names: Sequence[str] = (),
) -> CheckpointConfig:
    """The configuration of networks. Raises ValueError where they or the classes do not fit."""
    return CheckpointConfig(
        model=model.config,
        tokenizer=None if tokenizer is None else tokenizer.config,
        embedder=None if embedder is None else embedder.config,
        labels=tuple(labels),
        class_names=tuple(class_names),
    )


def save_checkpoint(
    folder: str | Path,
    model: AnyNetwork,
    *,
    tokenizer: Tokenizer | None = None,
    embedder: FaceEmbedder | None = None,
    others: Sequence[Autoencoder] = (),
    labels: Sequence[int] = (),
    class_names: Sequence[str] = (),
    sampling: SamplingOptions | Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    card_text: str = "",
    dtype: StorageType = "float16",
    extra: Mapping[str, bytes] | None = None,
    check: Callable[[str], None] | None = None,
) -> Path:
    """Write a checkpoint folder and return it: `model`, the tokenizer whose codes it models, the
    face embedder that conditions it, and for an auto-encoder the `others` of larger bottlenecks.
    `labels` are the numbers of the classes, and `class_names` their names; without names they are
    ILSVRC class indices.

    Tensors are stored in `dtype`, or in float32 where their values exceed it. `extra` has the
    content of further files, by name. All files replace old ones together: a kill at any time
    leaves the old weights or the new ones. `check` is called with the revision of the new files
    before that, and may raise to prevent it. Raises ValueError for labels or networks that do not
    fit the model, PixelgenError if the folder cannot be written.
    """
    if not isinstance(sampling, SamplingOptions):
        sampling = SamplingOptions.from_dict(sampling or {})
    config = replace(
        config_of(model, tokenizer, embedder, labels, class_names),
        others=tuple(other.config for other in others),
        sampling=sampling,
        data=dict(data or {}),
        training=dict(training or {}),
    )
    folder = Path(folder)
    networks: dict[str, nn.Module] = {WEIGHTS_FILE: model}
    if tokenizer is not None:
        networks[TOKENIZER_FILE] = tokenizer
    if embedder is not None:
        networks[EMBEDDER_FILE] = embedder
    networks |= {autoencoder_file(other.config.bottleneck): other for other in others}
    with new_version(folder) as staged:
        for file, network in networks.items():
            tensors = {name: _to_storage(t, dtype) for name, t in network.state_dict().items()}
            write_tensors(staged / file, tensors, {"format": "pt"})
        config = replace(config, sha256={file: sha256_of(staged / file) for file in networks})
        write_atomically(staged / CONFIG_FILE, config.to_json())
        write_atomically(staged / CARD_FILE, card_text.encode(errors="replace"))
        for name, content in (extra or {}).items():
            write_atomically(staged / name, content)
        if check is not None:
            check(Source(staged, folder.name).revision())
    return folder


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically. Raises PixelgenError if it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def write(temporary: Path) -> None:
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata))
        except SafetensorError as error:  # raised for a full disk, for one
            raise OSError(str(error)) from error

    write_atomically(path, write)


def _to_storage(tensor: Tensor, dtype: StorageType) -> Tensor:
    """`tensor` in `dtype`; in float32 if that would make values infinite."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(getattr(torch, dtype))
    return narrow if torch.equal(narrow.isfinite(), tensor.isfinite()) else tensor.float()


def load_checkpoint(
    ref: str | Path | Source, device: torch.device | str = "cpu", *, token: str | None = None
) -> LoadedCheckpoint:
    """Resolve weights (see `resolve_weights`, also for `token`), check them, and load them in
    float32.

    Only safetensors is read, never a pickle. Raises PixelgenError, in one line, for a configuration
    or a tensor file that is broken, or if the two do not fit each other.
    """
    source = resolve_weights(ref, token=token)
    if (cache := active_cache()) is None:
        return _load_checkpoint(source, device)
    try:
        files = file_signature([source.path / CONFIG_FILE, *source.files()])
    except OSError:  # `_load_checkpoint` raises the better error
        return _load_checkpoint(source, device)
    loaded: LoadedCheckpoint = cache.checkpoints.get(
        (source, files, str(device)), lambda: _load_checkpoint(source, device)
    )
    return loaded


OnLoading = Callable[[str], AbstractContextManager[object]]
"""Is called with the name of weights; the context that it returns spans their loading."""
_on_loading: ContextVar[OnLoading] = ContextVar("on_loading", default=nullcontext)


@contextmanager
def watch_loading(on_loading: OnLoading) -> Iterator[None]:
    """A context in which `on_loading` is called for all weights that are read from disk."""
    token = _on_loading.set(on_loading)
    try:
        yield
    finally:
        _on_loading.reset(token)


def _load_checkpoint(source: Source, device: torch.device | str) -> LoadedCheckpoint:
    from pixelgen.sampling.threads import threads

    started = time.perf_counter()
    config = read_config(source.path, source.name)
    # Hundreds of small tensors: beside other programs, threads would mostly wait for each other.
    with _on_loading.get()(source.name), threads(1):
        networks = {
            file: _load_network(source, file, part, device)
            for file, part in network_configs(config).items()
        }
    _log.info("loaded %s (%s) in %.2f s", source.name, config.kind, time.perf_counter() - started)
    return LoadedCheckpoint(
        network=networks[WEIGHTS_FILE],
        tokenizer=cast("Tokenizer | None", networks.get(TOKENIZER_FILE)),
        face_embedder=cast("FaceEmbedder | None", networks.get(EMBEDDER_FILE)),
        config=config,
        path=source.path,
        name=source.name,
        revision=source.revision(),
        others=tuple(
            cast("Autoencoder", networks[autoencoder_file(other.bottleneck)])
            for other in config.others
        ),
    )


def _load_network(
    source: Source, file: str, config: AnyConfig, device: torch.device | str
) -> AnyNetwork:
    """The network that `config` describes with the tensors of `file`."""
    try:
        network = _read_network(source.path / file, config)
    except OSError as error:
        raise unreadable_file_error(source.name, source.path, error, file) from error
    except ValueError as error:
        raise PixelgenError(f"weights {source.name}: {file}: {error}") from error
    network.requires_grad_(False).eval().to(device)
    return network


def _read_network(path: Path, config: AnyConfig) -> AnyNetwork:
    """The network of `config` with the tensors of `path`, whose names, shapes and types are checked
    first.

    Raises OSError if the file cannot be read and ValueError if it does not fit.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from pixelgen.checkpoints.instantiate import network_for

    open_file(path).close()  # raises a clearer error than safetensors for an unreadable file
    try:
        with safe_open(path, framework="pt") as file:
            stored = renamed_state({name: name for name in [*file.keys()]})
            slices = {name: file.get_slice(old) for name, old in stored.items()}
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            network = network_for(config, shapes.values())
            expected = {k: tuple(v.shape) for k, v in network.state_dict().items()}
            _check_names(expected, shapes)
            tensors = {}
            for name, shape in expected.items():
                dtype, actual = slices[name].get_dtype(), shapes[name]
                if actual != shape:
                    raise ValueError(
                        f"tensor {name} has shape {list(actual)}, the model needs {list(shape)}"
                    )
                if dtype not in ("F16", "BF16", "F32", "F64"):
                    raise ValueError(f"tensor {name} has type {dtype}, not a floating-point type")
                tensors[name] = file.get_tensor(stored[name]).to(torch.float32)
                if not _is_finite(tensors[name]):
                    raise ValueError(f"tensor {name} holds values that are not finite")
            network.load_state_dict(tensors, assign=True)
            return network
    except SafetensorError as error:
        raise ValueError(f"not a readable safetensors file ({error})") from error


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values of a floating-point tensor are finite, without a second tensor."""
    return not tensor.numel() or all(map(math.isfinite, (v.item() for v in tensor.aminmax())))


def _check_names(expected: Collection[str], actual: Collection[str]) -> None:
    """Raises ValueError if the file lacks a tensor, or has one that the model does not have."""
    missing = [name for name in expected if name not in actual]
    foreign = sorted(set(actual).difference(expected))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"tensor {missing[0]}{more} is missing")
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ValueError(f"tensor {foreign[0]}{more} does not belong to the model")
