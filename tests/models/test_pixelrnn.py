"""Row LSTM and Diagonal BiLSTM against the paper's equations, position by position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from pixelgen.models import PixelRNNConfig, build_model
from pixelgen.models.conditioning import Condition
from pixelgen.models.masked_conv import effective_weight
from pixelgen.models.pixelrnn import DiagonalBiLSTM, RowLSTM

from .cases import random_model, random_pictures, randomise, recurrent_config

LAYERS = ("row_lstm", "diagonal_bilstm")
Grid = dict[tuple[int, int], Tensor]


def equation_3(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The sums o, f, i, g [B, 4h] and the last cell state → hidden and cell state [B, h]."""
    h = cell.shape[1]
    o, f, i = (gates[:, k * h : (k + 1) * h].sigmoid() for k in range(3))
    cell = f * cell + i * gates[:, 3 * h :].tanh()
    return o * cell.tanh(), cell


def layer_and_inputs(layer: str, height: int, width: int, **more: Any) -> tuple[Any, Tensor]:
    """A random first layer with a class condition, and maps [2, 8, H, W], in double precision."""
    config = recurrent_config(layer, height, width, classes=3, **more)
    model: Any = build_model(config)
    recurrent = randomise(model.layers[0], 1)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 8, height, width, generator=generator, dtype=torch.float64)
    return recurrent.double(), x


def stacked(states: Grid, rows: Iterable[int], columns: Iterable[int]) -> Tensor:
    """[B, h, H, W] of the states by row and column."""
    columns = list(columns)
    return torch.stack([torch.stack([states[i, j] for j in columns], -1) for i in rows], -2)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_row_lstm_by_hand(kernel: int) -> None:
    height, width, reach = 4, 5, kernel // 2
    layer, x = layer_and_inputs("row_lstm", height, width, kernel=kernel)
    assert isinstance(layer, RowLSTM)
    assert layer.table is not None
    classes = torch.tensor([2, 0])
    inputs = effective_weight(layer.input_to_state)[:, :, 0]  # [4h, 2h, reach + 1]
    states = layer.state_to_state.weight[:, :, 0]  # [4h, h, k]
    zeros = x.new_zeros(2, 4)
    hidden: Grid = {}
    cell: Grid = {}
    for i in range(height):
        for j in range(width):
            gates = layer.input_to_state.bias + layer.table(classes)
            for t in range(reach + 1):
                if j - reach + t >= 0:
                    gates = gates + x[:, :, i, j - reach + t] @ inputs[:, :, t].t()
            for t in range(kernel):
                above = hidden.get((i - 1, j - reach + t), zeros)
                gates = gates + above @ states[:, :, t].t()
            hidden[i, j], cell[i, j] = equation_3(gates, cell.get((i - 1, j), zeros))
    expected = x + layer.out(stacked(hidden, range(height), range(width)))
    torch.testing.assert_close(layer(x, x[:, :2], classes), expected)


@pytest.mark.parametrize("shape", [(4, 5), (5, 3), (1, 4), (4, 1), (1, 1)])
def test_diagonal_bilstm_by_hand(shape: tuple[int, int]) -> None:
    height, width = shape
    layer, x = layer_and_inputs("diagonal_bilstm", height, width)
    assert isinstance(layer, DiagonalBiLSTM)
    assert layer.table is not None
    assert layer.picture is not None
    classes, embedded = torch.tensor([2, 0]), x[:, :2].flip(0)
    inputs = layer.input_to_state(x) + layer.table(classes)[:, :, None, None]
    zeros = x.new_zeros(2, 4)
    directions = []
    for k, step in enumerate((-1, 1)):
        own = inputs[:, k * 16 : (k + 1) * 16]
        if step == 1:
            own = own + layer.picture(embedded)
        above, beside = layer.state_to_state.weight[k * 16 : (k + 1) * 16, ..., 0].unbind(2)
        hidden: Grid = {}
        cell: Grid = {}
        for i in range(height):
            for j in range(width)[::-step]:
                gates = own[:, :, i, j] + hidden.get((i - 1, j), zeros) @ above.t()
                gates = gates + hidden.get((i, j + step), zeros) @ beside.t()
                hidden[i, j], cell[i, j] = equation_3(gates, cell.get((i, j + step), zeros))
        directions.append(hidden)
    left, right = directions
    right |= {(-1, j): zeros for j in range(width)}
    both = stacked(left, range(height), range(width))
    both = both + stacked(right, range(-1, height - 1), range(width))
    torch.testing.assert_close(layer(x, embedded, classes), x + layer.out(both))


def test_only_the_first_layer_reads_the_picture() -> None:
    model: Any = build_model(recurrent_config("diagonal_bilstm", 3, 3))
    first, second = model.layers
    assert first.picture is not None
    assert second.picture is None


@pytest.mark.parametrize("layer", LAYERS)
def test_parameters_of_the_paper(layer: str) -> None:
    """Counted by hand from its Table 1, and the weights of the picture in the first layer."""
    h, channels, levels, out, first = 6, 3, 7, 18, 5
    config = PixelRNNConfig(
        layer=layer,  # type: ignore[arg-type]
        channels=channels,
        height=4,
        width=4,
        levels=levels,
        features=2 * h,
        layers=2,
        output_features=out,
        first_kernel=first,
    )
    if layer == "row_lstm":
        # The kernel of 3 without its column to the right, which the mask hides.
        lstm = 2 * (2 * h * 4 * h * 2 + 4 * h + h * 4 * h * 3)
    else:
        lstm = 2 * 2 * (2 * h * 4 * h + 4 * h + h * 4 * h * 2) + channels * 4 * h
    expected = channels * 2 * h * first**2 + 2 * h + lstm + 2 * (h * 2 * h + 2 * h)
    expected += 2 * h * out + out + out * channels * levels + channels * levels
    assert sum(q.numel() for q in build_model(config).parameters()) == expected


@pytest.mark.parametrize("layer", LAYERS)
def test_fresh_networks_are_finite_and_start_near_uniform(layer: str) -> None:
    torch.manual_seed(0)
    config = recurrent_config(layer, 8, 8, levels=256, layers=12, features=24)
    model = build_model(config)
    log_prob = model.log_prob(random_pictures(config, 2))
    assert 7 < -log_prob.mean().item() / 0.6931 < 10
    (-log_prob.mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("layer", LAYERS)
def test_half_precision_is_close(layer: str) -> None:
    """Products in bf16; cell states and the likelihood in single precision."""
    config = recurrent_config(layer, 6, 6)
    model = random_model(config, gain=0.8)
    x = random_pictures(config, 2)
    with torch.no_grad():
        exact = model.log_prob(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = model.log_prob(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_class_reaches_every_position(layer: str) -> None:
    changed = torch.zeros((), dtype=torch.bool)
    for seed in range(6):
        model = random_model(recurrent_config(layer, 4, 5, classes=3), seed).double()
        x = torch.zeros(2, 2, 4, 5, dtype=torch.float64)
        with torch.no_grad():
            found = model.parameters_of(x, Condition(torch.tensor([0, 1])))
        changed = changed | (found[0] != found[1]).any(-1)
    assert changed.all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layer": "lstm"}, "layer must be one of row_lstm, diagonal_bilstm"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"features": 9}, r"features \(9\) must be a multiple of twice the channels \(3\)"),
        ({"output_features": 10}, "output_features"),
        ({"classes": -1}, "classes"),
        ({"layer": "diagonal_bilstm", "kernel": 5}, "only to layer 'row_lstm'"),
        ({"kernel": 2}, "kernel must be odd"),
        ({"likelihood": "normal"}, "likelihood must be one of"),
    ],
)
def test_bad_values_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PixelRNNConfig(**values)
