"""Building networks, bounded in size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pixelgen.models import build_model
from pixelgen.models.config import AnyConfig, AutoencoderConfig, GatedPixelCNNConfig

if TYPE_CHECKING:
    from pixelgen.models import AnyNetwork

# A network of up to this many values is built in any case, so that an error can name the tensors
# that do not fit.
_ALWAYS = 1 << 25
_UNKNOWN_MEMORY = 1 << 28  # values of the largest network whose parameters are counted there
_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_COMPARISONS = {Tensor.__lt__, Tensor.__le__, Tensor.lt, Tensor.le}
_INITIALISERS = {Tensor.normal_, Tensor.uniform_}


def network_for(config: AnyConfig, shapes: Iterable[tuple[int, ...]]) -> AnyNetwork:
    """The network of `config`, with arbitrary values, for tensors of `shapes`.

    The shapes that a network needs are known only by building it. Since a configuration may claim
    any size, the network may hold at most a few times as many values as these tensors. Raises
    ValueError if it would be larger.
    """
    sizes = [math.prod(shape) for shape in shapes]
    pixels = config.pixels if isinstance(config, AutoencoderConfig) else config
    layers = config.layers + _head_layers(pixels)
    if layers > len(sizes):
        raise ValueError(f"{len(sizes)} tensors cannot make a model of {layers} layers")
    limit = max(_ALWAYS, 4 * sum(sizes))
    return _build(config, _Bounded(limit, "larger than its tensors", initialise=False))


def initialised_network(config: AnyConfig) -> AnyNetwork:
    """The network of `config`, initialised from torch's global generator. Raises ValueError if its
    weights alone would take more than half of this computer's memory."""
    memory = memory_size()
    if memory is None:
        return build_model(config)
    return _build(config, _Bounded(memory // 8, "larger than the memory allows", initialise=True))


def parameter_count(config: AnyConfig) -> int | None:
    """How many parameters the network of `config` has; None if it is too large to be built."""
    limit = _UNKNOWN_MEMORY if (memory := memory_size()) is None else memory // 8
    try:
        network = _build(config, _Bounded(limit, "larger than the memory", initialise=False))
    except ValueError:
        return None
    return sum(parameter.numel() for parameter in network.parameters())


def _build(config: AnyConfig, bound: _Bounded) -> AnyNetwork:
    try:
        with bound:
            return build_model(config)
    except (RuntimeError, OverflowError, _TooLarge) as error:
        raise ValueError(f"no model of this size can be built ({error})") from error


def memory_size() -> int | None:
    """Bytes of memory of this computer; None if that is unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, for one
        return None


def _head_layers(config: AnyConfig) -> int:
    """Layers of the head after the stacks, which `layers` does not count."""
    head = isinstance(config, GatedPixelCNNConfig) and config.channel_order == "head"
    return config.head_layers if head else 0  # type: ignore[union-attr]


class _TooLarge(Exception):
    """A network would be larger than it may be."""


class _Bounded(TorchFunctionMode):
    """Counts the values that are allocated. Raises MemoryError with `complaint` beyond `limit`, and
    skips initialisation unless it is to `initialise`."""

    def __init__(self, limit: int, complaint: str, *, initialise: bool) -> None:
        super().__init__()
        self.remaining = limit
        self._complaint, self._initialise = complaint, initialise

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _INITIALISERS and not self._initialise:
            return args[0]
        if func in _FACTORIES:
            size = args[0] if args and not isinstance(args[0], int) else args
            self._count(math.prod(n for n in size if isinstance(n, int)))
        elif func in _COMPARISONS:  # masks are built before the weights that they belong to
            shapes = [each.shape for each in args if isinstance(each, Tensor)]
            self._count(math.prod(torch.broadcast_shapes(*shapes)))
        return func(*args, **(kwargs or {}))

    def _count(self, values: int) -> None:
        self.remaining -= values
        if self.remaining < 0:
            raise _TooLarge(self._complaint)
