"""Weights as whole numbers, and back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pixelgen.models.quantization import (
    LARGEST,
    dequantize,
    quantize,
    scale_name,
    scale_shape,
)


def weights(*shape: int) -> Tensor:
    """Values whose rows differ by many orders of magnitude; the third row is zero."""
    generator = torch.Generator().manual_seed(0)
    exponents = 8 * torch.randn(shape[:1] + (1,) * (len(shape) - 1), generator=generator)
    tensor = torch.randn(shape, generator=generator) * exponents.exp()
    tensor[2] = 0
    return tensor


def test_a_case_by_hand() -> None:
    values, scale = quantize(torch.tensor([[12.7, -0.1, 0.04, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert values.tolist() == [[127, -1, 0, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(scale, torch.tensor([[0.1], [1.0]]), rtol=2**-15, atol=0)
    assert dequantize(values, scale)[1].tolist() == [0, 0, 0, 0]
    assert (scale_name("a.weight"), scale_shape((4, 3, 1, 1))) == ("a.weight.scale", (4, 1, 1, 1))


@pytest.mark.parametrize("shape", [(512, 64), (64, 8, 3, 3)])
def test_the_error_is_at_most_half_a_scale(shape: tuple[int, ...]) -> None:
    tensor = weights(*shape)
    values, scale = quantize(tensor)
    assert (values.dtype, values.shape, scale.shape) == (torch.int8, shape, scale_shape(shape))
    assert values.abs().max() == LARGEST
    error = (dequantize(values, scale) - tensor).abs()
    assert (error <= scale / 2 * (1 + 1e-5)).all()
    largest = tensor.abs().amax(tuple(range(1, len(shape))), keepdim=True)
    assert ((largest / LARGEST <= scale) | (largest == 0)).all()
    assert (scale <= torch.where(largest > 0, largest / LARGEST * (1 + 2**-15), 1)).all()


def test_zeros_stay_zeros() -> None:
    tensor = weights(64, 64).tril()
    assert (dequantize(*quantize(tensor)).triu(1) == 0).all()


def test_again_gives_the_same_numbers() -> None:
    values, scale = quantize(weights(4096, 16))
    once = dequantize(values, scale)
    again = quantize(once)
    assert torch.equal(again[0], values)
    assert torch.equal(again[1], scale)
    assert torch.equal(dequantize(*again), once)


@pytest.mark.parametrize("value", [1e-45, 1e-38, 1e-37, 1e37, 3e38])
def test_very_small_and_very_large_values(value: float) -> None:
    tensor = torch.tensor([[value, -value / 2]])
    values, scale = quantize(tensor)
    loaded = dequantize(values, scale)
    assert loaded.isfinite().all()
    if value < LARGEST * torch.finfo(torch.float32).tiny:
        assert (loaded == 0).all()
    else:
        torch.testing.assert_close(loaded, tensor, rtol=0.01, atol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, torch.finfo(torch.float32).max])
def test_a_row_that_has_no_scale_is_seen_by_it(value: float) -> None:
    _, scale = quantize(torch.tensor([[1.0, value], [1.0, 2.0]]))
    assert (scale * LARGEST).isfinite().flatten().tolist() == [False, True]
