"""How close reconstructions come to their originals."""

from __future__ import annotations

import pytest
import torch

from pixelgen.metrics.reconstruction import measure_reconstruction


@pytest.mark.parametrize("side", [2, 4, 6, 12])
def test_small_pictures_have_a_similarity(side: int) -> None:
    images = torch.randint(256, (3, 3, side, side), dtype=torch.uint8)
    device = torch.device("cpu")
    assert measure_reconstruction(images, images, device, 2).ssim == pytest.approx(1, abs=1e-4)
    assert measure_reconstruction(images, 255 - images, device, 2).ssim < 0.9
