"""How close reconstructions come to their originals."""

from __future__ import annotations

import math

import pytest
import torch

from pixelgen.imaging.reconstruction_metrics import BEST_PSNR
from pixelgen.metrics import reconstruction
from pixelgen.metrics.reconstruction import measure_reconstruction, psnr


@pytest.mark.parametrize("side", [2, 4, 6, 12])
def test_small_pictures_have_a_similarity(side: int) -> None:
    images = torch.randint(256, (3, 3, side, side), dtype=torch.uint8)
    device = torch.device("cpu")
    assert measure_reconstruction(images, images, device, 2).ssim == pytest.approx(1, abs=1e-4)
    assert measure_reconstruction(images, 255 - images, device, 2).ssim < 0.9


def test_psnr_by_hand_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(256, (7, 3, 5, 4), dtype=torch.uint8)
    others = torch.randint(256, (7, 3, 5, 4), dtype=torch.uint8)
    others[2] = images[2]
    found = psnr(images, others)
    error = ((images[0].double() - others[0].double()) ** 2).mean()
    assert float(found[0]) == pytest.approx(10 * math.log10(255**2 / float(error)))
    assert float(found[2]) == BEST_PSNR
    for block in (1, 3, 7):
        monkeypatch.setattr(reconstruction, "_PSNR_BLOCK", block)
        assert torch.equal(psnr(images, others), found)
    assert psnr(images[:0], others[:0]).shape == (0,)
