"""EfficientNet-lite0."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pixelgen.models.efficientnet import STAGES, EfficientNetLite0, SamePadConv, enlarged


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [4, 7, 8])
def test_padding_is_that_of_tensorflow(kernel: int, stride: int, size: int) -> None:
    """⌈size / stride⌉ rows; where the padding is odd, the larger part is at the end."""
    conv = SamePadConv(1, 1, kernel, stride, bias=False)
    x = torch.randn(1, 1, size, size)
    y = conv(x)
    rows = -(-size // stride)
    assert y.shape == (1, 1, rows, rows)
    total = max((rows - 1) * stride + kernel - size, 0)
    padded = F.pad(x, (total // 2, total - total // 2) * 2)
    torch.testing.assert_close(y, F.conv2d(padded, conv.weight, stride=stride))


def test_sizes() -> None:
    """As in the paper's table 1: 16 blocks, and 4.65 million parameters with 1000 classes."""
    network = EfficientNetLite0().eval()
    assert sum(stage.blocks for stage in STAGES) == len(network.blocks) == 16
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(4.63e6, rel=0.01)
    with torch.inference_mode():
        images = enlarged(torch.zeros(2, 3, 5, 5, dtype=torch.uint8), 64)
        assert images.shape == (2, 3, 64, 64)
        assert network(images).shape == (2, 1000)
        blocks = network.blocks(F.relu6(network.stem(images)))
        assert blocks.shape == (2, 320, 2, 2)
