"""Exact bits per dimension of batches of tensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.models import GatedPixelCNNConfig, PixelCNNConfig, build_model
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import GridConfig
from pixelgen.sampling import draw_uniforms, sample

from ..models.row_model import RowModel

_SIZES: dict[str, Any] = {
    "height": 4, "width": 4, "features": 6, "layers": 1, "kernel": 3, "first_kernel": 3,
    "output_features": 6,
}  # fmt: skip


def model_of_classes() -> Any:
    torch.manual_seed(0)
    model = build_model(GatedPixelCNNConfig(**_SIZES, classes=3, dropout=0.5))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=1.0)
    return model


def test_mean_error_and_count_are_those_of_the_pictures() -> None:
    model = model_of_classes()
    x, classes = torch.randint(0, 256, (7, 3, 4, 4)), torch.randint(0, 3, (7,))
    model.eval()
    with torch.inference_mode():
        log_prob = model.log_prob(x, Condition(classes)).double()
    bits = log_prob.sum((1, 2, 3)) / (-math.log(2) * 48)
    model.train()
    for batch in (2, 7):
        found = pixelgen.evaluate(model, DataLoader(TensorDataset(x.byte(), classes), batch))
        assert found.count == 7
        assert found.bits_per_dim == pytest.approx(float(bits.mean()), abs=1e-6)
        assert found.standard_error == pytest.approx(float(bits.std()) / math.sqrt(7), rel=1e-4)
    assert model.training  # as before; dropout had no effect meanwhile


def test_classes_are_optional() -> None:
    model = model_of_classes()
    x, classes = torch.randint(0, 256, (70, 3, 4, 4)), torch.randint(0, 3, (70,))
    without = pixelgen.evaluate(model, x)
    assert without.count == 70
    assert without == pixelgen.evaluate(model, [(x[:64], None), (x[64:], None)])
    assert without == pixelgen.evaluate(model, [(x[:64], classes[:64]), x[64:]], unconditional=True)
    given = pixelgen.evaluate(model, [(x, classes)])
    assert given == pixelgen.evaluate(model, [(x, Condition(classes))])
    assert given.bits_per_dim != pytest.approx(without.bits_per_dim, abs=1e-3)
    unconditional = build_model(PixelCNNConfig(**_SIZES))
    labelled = pixelgen.evaluate(unconditional, [(x, classes)])  # a model without classes
    assert labelled == pixelgen.evaluate(unconditional, [x])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.rand(2, 3, 4, 4), r"whole numbers 0 … 255, not torch.float32"),
        (torch.full((2, 3, 4, 4), 256), "0 … 255, not 256 … 256"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), r"must be \(B, 3, 4, 4\), not \(2, 1, 4, 4\)"),
        ((torch.zeros(2, 3, 4, 4).long(), torch.tensor([0, 3])), "classes must be .* not 0 … 3"),
        ((torch.zeros(2, 3, 4, 4).long(), torch.tensor([0])), "a tensor of 2 numbers"),
        ((torch.zeros(1, 3, 4, 4).long(), Condition(vector=torch.zeros(1, 2))), "no condition vec"),
        ({"image": 3}, "not a dict"),
    ],
)
def test_batches_that_do_not_fit(batch: Any, message: str) -> None:
    fits = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(pixelgen.UsageError, match=f"batch 2: .*{message}"):
        pixelgen.evaluate(model_of_classes(), [fits, batch])


def test_nothing_to_measure(autoencoders: Path) -> None:
    with pytest.raises(pixelgen.UsageError, match="no pictures"):
        pixelgen.evaluate(model_of_classes(), [])
    other: Any = nn.Linear(2, 2)
    with pytest.raises(pixelgen.UsageError, match="Linear is not an autoregressive network"):
        pixelgen.evaluate(other, [])
    autoencoder: Any = load_checkpoint(autoencoders).network
    with pytest.raises(pixelgen.UsageError, match="Autoencoder is not an autoregressive network"):
        pixelgen.evaluate(autoencoder, torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_outputs_that_are_not_finite() -> None:
    model = model_of_classes()
    nn.init.constant_(model.out_1x1.weight, math.nan)
    with pytest.raises(pixelgen.PixelgenError, match="not finite"):
        pixelgen.evaluate(model, torch.zeros(2, 3, 4, 4).long())


def test_a_module_that_fulfils_the_protocol_is_sampled_and_scored() -> None:
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    model = RowModel(GridConfig(channels=1, height=3, width=3, levels=4))
    nn.init.zeros_(model.layer.weight)  # the same distribution everywhere
    model.layer.bias.data = shares.log()
    uniforms = draw_uniforms(torch.Generator().manual_seed(0), 500, model.config)
    x = sample(model, None, uniforms)
    drawn_shares = torch.bincount(x.flatten(), minlength=4) / x.numel()
    torch.testing.assert_close(drawn_shares, shares, atol=0.03, rtol=0)
    entropy = float(-(shares * shares.log2()).sum())
    assert pixelgen.evaluate(model, x).bits_per_dim == pytest.approx(entropy, abs=0.03)
    drawn = pixelgen.Weights.from_network(model).sample(n=2, seed=1)
    assert drawn[0].image.size == (3, 3)
    exact = model.log_prob(torch.zeros(1, 1, 3, 3).long()).mean().item() / -math.log(2)
    assert exact == pytest.approx(-math.log2(0.1), abs=1e-5)
