"""Counted floating-point operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pixelgen.training.throughput import training_flops


class Sum(nn.Module):
    """A network after a layer whose input needs gradients, and the sum of what it computes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.network(self.scale * x).sum()


@pytest.mark.parametrize(
    ("network", "products"),
    [
        (nn.Conv2d(8, 16, 3, padding=1), 8 * 16 * 9 * 36),
        (nn.Conv2d(8, 16, 3, padding=1, groups=4), 2 * 16 * 9 * 36),
        (nn.Conv2d(8, 8, (2, 1), groups=8), 8 * 2 * 30),
        (nn.Conv2d(8, 16, 3, stride=2), 8 * 16 * 9 * 4),
        (nn.ConvTranspose2d(8, 16, 2, stride=2), 8 * 16 * 4 * 36),
    ],
)
def test_a_pass_forward_and_two_backward(network: nn.Module, products: int) -> None:
    assert training_flops(Sum(network), torch.zeros(2, 8, 6, 6)) == 3 * 2 * products
