"""Networks for tensors that were read: none larger than the file can fill, none initialised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pixelgen.models import build_model
from pixelgen.models.config import AnyConfig

if TYPE_CHECKING:
    from pixelgen.models import AnyNetwork

# A network of this many numbers is built whatever the file holds: what does not fit is then named.
_ALWAYS = 1 << 25
_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_INITIALISERS = {Tensor.normal_, Tensor.uniform_}


def network_for(config: AnyConfig, shapes: Iterable[tuple[int, ...]]) -> AnyNetwork:
    """The network that `config` describes, its values arbitrary, for tensors of `shapes`.

    Building it takes the only sure way to know what shapes it needs. A configuration may claim any
    size, so that no more is built than what could hold a few times these tensors. Raises ValueError
    where that is not enough.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if config.layers > len(sizes):
        raise ValueError(f"{len(sizes)} tensors cannot make a model of {config.layers} layers")
    try:
        with _Bounded(max(_ALWAYS, 4 * sum(sizes))):
            return build_model(config)
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise ValueError(f"no model of this size can be built ({error})") from error


class _Bounded(TorchFunctionMode):
    """Counts the numbers that are made room for, and leaves out what would be overwritten."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _INITIALISERS:
            return args[0]
        if func in _FACTORIES:
            size = args[0] if args and not isinstance(args[0], int) else args
            self.left -= math.prod(n for n in size if isinstance(n, int))
            if self.left < 0:
                raise MemoryError("larger than its tensors")
        return func(*args, **(kwargs or {}))
