"""Weights as whole numbers of -127 … 127, with a scale for each row of dimension 0.

In a file, the scale of the tensor `NAME` is the tensor `NAME.scale`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 127


def scale_name(name: str) -> str:
    """The name under which the scale of the tensor `name` is stored."""
    return f"{name}.scale"


def scale_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the scale of a tensor of `shape`: [out, 1, 1, …]."""
    return shape[:1] + (1,) * len(shape[1:])


def quantize(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A floating-point tensor [out, …] of two or more dimensions → the nearest int8 [out, …], and
    their scale, float32 [out, 1, …].

    Values differ from `dequantize` of the result by at most half a scale, zeros do not, and
    `quantize` of that gives the same numbers again. Where a value is not finite or nearly too large
    for float32, 127 scales of its row are not finite.
    """
    import torch

    tensor = tensor.float()
    largest = tensor.abs().amax(tuple(range(1, tensor.dim())), keepdim=True)  # [out, 1, …]
    # Of 16 significant bits, rounded up: products with whole numbers of 7 bits are then exact.
    scale = (((largest / LARGEST).view(torch.int32) + 0xFF) & ~0xFF).view(torch.float32)
    # A smaller scale would lose digits; its row is stored as zeros.
    scale = torch.where(scale < torch.finfo(torch.float32).tiny, 1.0, scale)
    return (tensor / scale).round_().to(torch.int8), scale


def dequantize(values: Tensor, scale: Tensor) -> Tensor:
    """Inverse of `quantize`, in float32."""
    return values.float().mul_(scale)
