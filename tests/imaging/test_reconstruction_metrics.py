"""Likeness is what others mean by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from pixelgen.imaging import ReconstructionMetrics


def picture(seed: int, width: int = 40, height: int = 32) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_as_torchmetrics(share: float) -> None:
    a = picture(0)
    b = Image.blend(a, picture(1), share)
    one, two = (torch.from_numpy(np.array(i)).permute(2, 0, 1)[None].double() for i in (a, b))
    found = ReconstructionMetrics.compare(a, b)
    assert found.psnr == pytest.approx(float(peak_signal_noise_ratio(two, one, data_range=255)))
    expected = structural_similarity_index_measure(two, one, data_range=255.0)
    assert isinstance(expected, torch.Tensor)
    assert found.ssim == pytest.approx(float(expected), abs=1e-6)


def test_the_same_picture() -> None:
    for size in ((32, 32), (3, 40), (1, 1)):
        found = ReconstructionMetrics.compare(picture(2, *size), picture(2, *size))
        assert found.psnr == 100
        assert found.ssim == pytest.approx(1)


def test_different_sizes() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        ReconstructionMetrics.compare(picture(0, 8, 8), picture(0, 8, 9))
