"""Exact bits per dimension of batches of tensors, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.results import BitsPerDim
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import GridConfig

if TYPE_CHECKING:
    from pixelgen.models.autoregressive import AutoregressiveModel

_BATCH = 64


@dataclass(frozen=True)
class LoaderLikelihood(BitsPerDim):
    """The negative log-likelihood of the pictures of a loader."""

    count: int
    """Pictures."""


def evaluate(
    model: AutoregressiveModel,
    loader: Iterable[object] | Tensor,
    *,
    unconditional: bool = False,
) -> LoaderLikelihood:
    """Exact bits per dimension of the pictures that `loader` gives: their mean, its standard error,
    and how many pictures they are.

    A batch is a tensor of whole numbers [B, C, H, W], or a pair of it and the classes [B] of its
    pictures, as a DataLoader gives them; a single tensor [N, C, H, W] is taken in parts. Classes
    condition the likelihood if the model has classes, unless it is to be `unconditional`. Instead
    of classes there may be a `Condition`. The model is any that fulfils `AutoregressiveModel`, on
    any device; it is in the mode (training or evaluation) that it was in afterwards.

    Raises UsageError for batches that do not fit the model and for a loader without pictures,
    PixelgenError where the network gives no numbers.
    """
    if not hasattr(model, "log_prob") or not isinstance(getattr(model, "config", None), GridConfig):
        raise UsageError(
            f"{type(model).__name__} is not an autoregressive network",
            "give a network of pixelgen.models, such as the checkpoint.model of loaded weights",
        )
    batches: Iterable[object] = loader.split(_BATCH) if isinstance(loader, Tensor) else loader
    parts: list[Tensor] = []
    for number, batch in enumerate(batches, 1):
        try:
            pictures, condition = _parts_of(model, batch, unconditional)
        except ValueError as error:
            raise UsageError(f"batch {number}: {error}") from error
        if len(pictures):
            parts.append(image_bits(model, pictures, condition, batch=len(pictures)))
    if not parts:
        raise UsageError("the loader gives no pictures")
    bits = torch.cat(parts)
    if bits.isnan().any():
        raise PixelgenError("the outputs of the network are not finite")
    mean = BitsPerDim.of(bits)
    return LoaderLikelihood(mean.bits_per_dim, mean.standard_error, len(bits))


def _parts_of(
    model: AutoregressiveModel, batch: object, unconditional: bool
) -> tuple[Tensor, Condition | None]:
    """The pictures of a batch and their condition. Raises ValueError for what does not fit."""
    config = model.config
    labels: Any = None
    if isinstance(batch, tuple | list) and len(batch) == 2:
        batch, labels = batch
    if not isinstance(batch, Tensor):
        raise ValueError(
            f"a tensor or a pair (tensor, classes) is needed, not a {type(batch).__name__}"
        )
    shape = (config.channels, config.height, config.width)
    if batch.dim() != 4 or batch.shape[1:] != shape:
        raise ValueError(f"the shape must be (B, {', '.join(map(str, shape))}), "
                         f"not {tuple(batch.shape)}")  # fmt: skip
    _check_whole("pictures", batch, config.levels)
    if labels is None or unconditional:
        return batch, None
    if isinstance(labels, Condition):
        # Checks it too: ValueError says what does not fit.
        return batch, model.complete_condition(labels.to(_device_of(model)), len(batch))
    if not config.classes:
        return batch, None
    if not isinstance(labels, Tensor) or labels.shape != (len(batch),):
        raise ValueError(f"classes must be a tensor of {len(batch)} numbers, one for each picture")
    _check_whole("classes", labels, config.classes)
    return batch, Condition(labels.long())


def _check_whole(what: str, values: Tensor, count: int) -> None:
    """Raises ValueError unless `values` are integers 0 … count - 1."""
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{what} must be whole numbers 0 … {count - 1}, not {values.dtype}")
    if not values.numel():
        return
    low, high = (int(v) for v in values.aminmax())
    if low < 0 or high >= count:
        raise ValueError(f"{what} must be whole numbers 0 … {count - 1}, not {low} … {high}")


def _device_of(model: AutoregressiveModel) -> torch.device:
    parameter = next(iter(model.parameters()), None)
    return torch.device("cpu") if parameter is None else parameter.device
