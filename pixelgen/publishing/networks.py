"""A network as weights, and back: for networks that were trained in a loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import nn

from pixelgen.checkpoints import class_labels, load_checkpoint, save_checkpoint
from pixelgen.checkpoints.hub import PushResult
from pixelgen.checkpoints.storage import StorageType, config_of
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.models import build_model
from pixelgen.models.config import config_class
from pixelgen.publishing.export import check_folder
from pixelgen.publishing.model_card import SHEET, card_from_config
from pixelgen.publishing.push import push_to_hub
from pixelgen.sampling import SamplingOptions

if TYPE_CHECKING:
    from pixelgen.models import AnyNetwork
    from pixelgen.models.face_embedder import FaceEmbedder
    from pixelgen.models.tokenizer import Tokenizer

Network = TypeVar("Network", bound=nn.Module)


def save(
    model: nn.Module,
    folder: str | Path,
    *,
    labels: Sequence[int] = (),
    class_names: Sequence[str] = (),
    tokenizer: Tokenizer | None = None,
    embedder: FaceEmbedder | None = None,
    sampling: SamplingOptions | Mapping[str, Any] | None = None,
    dtype: StorageType = "float32",
    overwrite: bool = False,
) -> Path:
    """Write a network as the weights `folder`, which `pixelgen.load` and the command line take.

    `class_names` are the names of its classes, row by row of the class table. `labels` are their
    numbers: by default 0, 1, …; without names they are ILSVRC class indices. Without either, the
    classes are called "class 0", "class 1" and so on. `tokenizer` decodes what a model of codes
    samples, `embedder` computes the condition vector of a model of faces, `sampling` has the
    defaults for sampling, such as `{"temperature": 0.9}`. `dtype="float16"` halves the files,
    "int8", whole numbers for large parameters, halves them again. What `torch.compile` or
    DistributedDataParallel have wrapped is unwrapped.

    Returns the folder. Raises UsageError for a network that is neither of `pixelgen.models` nor
    known by `register_network`, for values that do not fit it, and for a folder in use unless it is
    to `overwrite` that; PixelgenError for parameters that are not finite and for a folder that
    cannot be written.
    """
    network = _unwrapped(model)
    folder = expanded(folder)
    check_folder(folder, overwrite)
    _check_finite(network)
    numbers, names = class_labels(network.config.classes, labels, class_names)
    try:
        if not isinstance(sampling, SamplingOptions):
            sampling = SamplingOptions.from_dict(sampling or {})
        config = config_of(network, tokenizer, embedder, numbers, names)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    written = save_checkpoint(
        folder,
        network,
        tokenizer=tokenizer,
        embedder=embedder,
        labels=numbers,
        class_names=names,
        sampling=sampling,
        card_text=str(card_from_config(config, folder.resolve().name, sheet=False)),
        dtype=dtype,
    )
    (folder / SHEET).unlink(missing_ok=True)  # it was drawn by other weights
    return written


def load_network(
    kind: type[Network],
    ref: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    device: torch.device | str = "cpu",
) -> Network:
    """The network of the class `kind` of weights, a copy in evaluation mode whose parameters can be
    trained further. `ref` is a bundled name, a folder, or a Hub id, there of `revision`.

    Raises UsageError where the weights hold no such network, and what `pixelgen.load` raises.
    """
    with torch.random.fork_rng(devices=[]):  # what is built here takes no random numbers
        loaded = load_checkpoint(ref if revision is None else f"{ref}@{revision}", token=token)
        networks = (loaded.network, loaded.tokenizer, loaded.face_embedder, *loaded.others)
        held = [network for network in networks if network is not None]
        for network in held:
            if isinstance(network, kind):
                copied = build_model(network.config)
                copied.load_state_dict(network.state_dict())
                return cast(Network, copied.eval().to(device))
    names = ", ".join(dict.fromkeys(type(network).__name__ for network in held))
    raise UsageError(f"{loaded.name} holds no {kind.__name__}, but {names}")


def push_network(
    model: nn.Module,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    commit_message: str = "",
    license: str = "",
    **saving: Any,
) -> PushResult:
    """Upload a network to the Hub repository `owner/name[@branch]` as weights; `saving` are
    arguments of `save`, `license` is that of `push_to_hub`. Raises what both raise."""
    with TemporaryDirectory() as folder:
        saved = save(model, Path(folder) / repo_id.split("/")[-1].split("@")[0], **saving)
        return push_to_hub(
            saved,
            repo_id,
            token=token,
            private=private,
            message=commit_message,
            license=license,
        )


def _unwrapped(model: nn.Module) -> AnyNetwork:
    """The network inside what `torch.compile` or DistributedDataParallel made of it. Raises
    UsageError for a network that could not be loaded again."""
    for wrapper in ("module", "_orig_mod"):
        inner = getattr(model, wrapper, None)
        model = inner if isinstance(inner, nn.Module) else model
    config: Any = getattr(model, "config", None)
    known = config is not None and config_class(getattr(config, "model", "")) is type(config)
    if type(model).__name__ != (config.network.partition(":")[2] if known else ""):
        raise UsageError(
            f"{type(model).__name__} is not a network of pixelgen.models, nor one that "
            "register_network knows",
            "weights of it could not be loaded again",
        )
    return cast("AnyNetwork", model)


def _check_finite(network: nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        if not tensor.isfinite().all():
            raise PixelgenError(f"{name} holds values that are not finite", "training diverged")
