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
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

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
from pixelgen.checkpoints.replacement import installed_version, new_version
from pixelgen.checkpoints.resolve import resolve_weights
from pixelgen.checkpoints.source import Source
from pixelgen.checkpoints.weights_cache import active_cache, file_signature
from pixelgen.errors import PixelgenError, UsageError, WeightsError
from pixelgen.files import open_file, write_atomically
from pixelgen.models.config import AnyConfig
from pixelgen.models.quantization import LARGEST, dequantize, quantize, scale_name, scale_shape
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
StorageType = Literal["float16", "float32", "int8"]
"""How tensors are stored. In "int8" the large parameters are whole numbers with a scale for each
row (`models/quantization.py`), all other tensors are in float16."""
_SMALLEST_QUANTIZED = 4096
"""Values of the smallest parameter that "int8" stores as whole numbers."""
_FLOATS = ("F16", "BF16", "F32", "F64")


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
            raise UsageError(f"{self.name} is {self.config.kind_with_article}, not a PixelVAE")
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
    dtype: StorageType | Mapping[str, StorageType] = "float16",
    extra: Mapping[str, bytes] | None = None,
    check: Callable[[str], None] | None = None,
) -> Path:
    """Write a checkpoint folder and return it: `model`, the tokenizer whose codes it models, the
    face embedder that conditions it, and for an auto-encoder the `others` of larger bottlenecks.
    `labels` are the numbers of the classes, and `class_names` their names; without names they are
    ILSVRC class indices.

    Tensors are stored in `dtype`, or in float32 where their values exceed it. A mapping gives the
    types of files, such as `{TOKENIZER_FILE: "int8"}`; those of the others are float16. `extra` has
    the content of further files, by name. All files replace old ones together: a kill at any time
    leaves the old weights or the new ones. `check` is called with the revision of the new files
    before that, and may raise to prevent it. Raises ValueError for labels or networks that do not
    fit the model, UsageError for an unknown `dtype`, PixelgenError if the folder cannot be written.
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
    types = dtype if isinstance(dtype, Mapping) else dict.fromkeys(networks, dtype)
    for given in types.values():
        if given not in get_args(StorageType):
            names = ", ".join(get_args(StorageType))
            raise UsageError(f"tensors are stored in one of {names}, not in {given!r}")
    with new_version(folder) as staged:
        for file, network in networks.items():
            tensors = _stored_tensors(network, types.get(file, "float16"))
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


def _stored_tensors(network: nn.Module, dtype: StorageType) -> dict[str, Tensor]:
    """The tensors that a file of `network` holds."""
    # Buffers are measured, not trained, and less robust: a covariance has to stay invertible.
    parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        if dtype == "int8" and name in parameters and tensor.numel() >= _SMALLEST_QUANTIZED:
            tensors |= _quantized(name, tensor)
        else:
            tensors[name] = _in_type(tensor, "float16" if dtype == "int8" else dtype)
    return tensors


def _quantized(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """The tensor `name` as whole numbers and their scale; as it would be in float16 if it has no
    rows, or values that whole numbers cannot give."""
    if tensor.is_floating_point() and tensor.dim() >= 2:
        values, scale = quantize(tensor)
        if scale.mul(LARGEST).isfinite().all():
            return {name: values, scale_name(name): scale}
    return {name: _in_type(tensor, "float16")}


def _in_type(tensor: Tensor, dtype: Literal["float16", "float32"]) -> Tensor:
    """`tensor` in `dtype`; in float32 if that would make values infinite."""
    import torch

    if not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(getattr(torch, dtype))
    return narrow if torch.equal(narrow.isfinite(), tensor.isfinite()) else tensor.float()


def storage_types(loaded: LoadedCheckpoint) -> dict[str, StorageType]:
    """How each file of weights is stored, by its name. Raises PixelgenError if one cannot be
    read."""
    return {file: _storage_type(loaded, file) for file in network_configs(loaded.config)}


def _storage_type(loaded: LoadedCheckpoint, file: str) -> StorageType:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(loaded.path / file, framework="pt") as tensors:
            types = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise PixelgenError(f"weights {loaded.name}: {file}: {error}") from error
    if "I8" in types:
        return "int8"
    return "float16" if "F16" in types else "float32"


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
    """The weights, read again if another process replaces them meanwhile: their files may be of
    both. Raises WeightsError if that happens again."""
    for _ in range(3):  # the files of one new version are at two places, one after the other
        before = installed_version(source.path)
        source = replace(source, path=before[0])
        try:
            loaded = _read_checkpoint(source, device)
        except PixelgenError:
            if installed_version(source.path) == before:
                raise
        else:
            if installed_version(source.path) == before:
                return loaded
    raise WeightsError(
        f"weights {source.name} were replaced while they were read",
        "wait until no process writes them",
    )


def _read_checkpoint(source: Source, device: torch.device | str) -> LoadedCheckpoint:
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
            types = {name: part.get_dtype() for name, part in slices.items()}
            scales = {scale_name(name) for name, dtype in types.items() if dtype == "I8"}
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            values = {name: shape for name, shape in shapes.items() if name not in scales}
            network = network_for(config, values.values())
            expected = {k: tuple(v.shape) for k, v in network.state_dict().items()}
            _check_names(expected, values)
            tensors = {}
            for name, shape in expected.items():
                _check_tensor(name, shape, types, shapes)
                tensor = file.get_tensor(stored[name])
                if types[name] == "I8":
                    scale = file.get_tensor(stored[scale_name(name)])
                    _check_scale(scale_name(name), scale)
                    tensors[name] = dequantize(tensor, scale)
                else:
                    # Not a part of the file, which Windows could not replace while it is used.
                    tensors[name] = tensor.to(torch.float32, copy=True)
                if not _is_finite(tensors[name]):
                    raise ValueError(f"tensor {name} holds values that are not finite")
            network.load_state_dict(tensors, assign=True)
            return network
    except SafetensorError as error:
        raise ValueError(f"not a readable safetensors file ({error})") from error


def _check_tensor(
    name: str,
    needed: tuple[int, ...],
    types: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
) -> None:
    """Raises ValueError if the tensor `name`, or its scale, has another shape than the model needs,
    or a type that it cannot have. `types` and `shapes` are those of all tensors of the file."""
    wanted: dict[str, tuple[tuple[int, ...], Collection[str]]]
    wanted = {name: (needed, (*_FLOATS, "I8"))}
    if types[name] == "I8":
        if (scale := scale_name(name)) not in types:
            raise ValueError(f"tensor {name} has type I8, but there is no tensor {scale}")
        wanted[scale] = scale_shape(needed), _FLOATS
    for stored, (shape, allowed) in wanted.items():
        if shapes[stored] != shape:
            raise ValueError(
                f"tensor {stored} has shape {list(shapes[stored])}, the model needs {list(shape)}"
            )
        if types[stored] not in allowed:
            raise ValueError(f"tensor {stored} has type {types[stored]}, not a floating-point type")


def _check_scale(name: str, scale: Tensor) -> None:
    """Raises ValueError for a scale that is negative or not finite."""
    if scale.numel() and not (_is_finite(scale) and scale.min() >= 0):
        raise ValueError(f"tensor {name} holds values that are negative or not finite")


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
