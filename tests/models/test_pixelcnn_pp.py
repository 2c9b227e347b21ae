"""PixelCNN++ against the published network: parameters, filters, blocks and resolutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.checkpoints.instantiate import network_for
from pixelgen.models import PixelCNNPPConfig, build_model, config_from_dict
from pixelgen.models.conditioning import Condition
from pixelgen.models.pixelcnn_pp import (
    Downsample,
    FirstLayer,
    GatedResidualBlock,
    Streams,
    Upsample,
    concat_elu,
    down_conv,
    down_right_conv,
)

from .cases import plus_plus_config, random_model, random_pictures, randomise


def published_parameters(features: int, blocks: int, channels: int, outputs: int) -> int:
    """Counted from the description: filters of 2×3 and 2×2, concatenated ELUs (which double what a
    filter reads), a second convolution of twice the maps, 1×1 short-cuts; a length and a bias for
    every filter."""

    def layer(inputs: int, maps: int, area: int) -> int:
        return inputs * maps * area + 2 * maps

    f = features

    def pair(down_shortcut: int, right_shortcut: int) -> int:
        down = layer(2 * f, f, 6) + layer(2 * f, 2 * f, 6)
        right = layer(2 * f, f, 4) + layer(2 * f, 2 * f, 4) + layer(2 * right_shortcut, f, 1)
        return down + right + (layer(2 * down_shortcut, f, 1) if down_shortcut else 0)

    first = layer(channels + 1, f, 6) + layer(channels + 1, f, 3) + layer(channels + 1, f, 2)
    way_down = 3 * blocks * pair(0, f)
    way_up = (3 * blocks + 2) * pair(f, 2 * f)  # one more where a resolution lies below
    resampling = 2 * 2 * (layer(f, f, 6) + layer(f, f, 4))
    return first + way_down + way_up + resampling + layer(f, outputs, 1)


def test_parameters_of_the_published_network() -> None:
    """5 blocks, 160 maps, 10 logistics of 3 channels: 1 + 3 + 3 + 3 numbers each."""
    network = network_for(PixelCNNPPConfig(), [(1 << 20,)] * 64)  # without initial values
    count = sum(p.numel() for p in network.parameters())
    assert count == published_parameters(160, 5, 3, 100) == 53_659_080
    lengths = sum(
        p.numel() for name, p in network.named_parameters() if name.endswith("weight.original0")
    )
    assert count - lengths == 53_618_660  # without the lengths of weight normalisation


def test_parameters_of_other_sizes() -> None:
    config = PixelCNNPPConfig(features=6, layers=2, channels=1, mixtures=3)
    count = sum(p.numel() for p in build_model(config).parameters())
    assert count == published_parameters(6, 2, 1, 9)


def random_maps(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def filters(conv: Any) -> Tensor:
    """length · direction / |direction| of every filter of a convolution."""
    length, direction = (getattr(conv.parametrizations.weight, f"original{k}") for k in (0, 1))
    out_dim = 1 if isinstance(conv, torch.nn.ConvTranspose2d) else 0
    others = [d for d in range(4) if d != out_dim]
    weight: Tensor = length * direction / direction.square().sum(others, keepdim=True).sqrt()
    return weight


def at(x: Tensor, i: int, j: int) -> Tensor:
    """The maps [B, P] of a position, zeros outside the picture."""
    height, width = x.shape[2:]
    inside = 0 <= i < height and 0 <= j < width
    return x[:, :, i, j] if inside else torch.zeros_like(x[:, :, 0, 0])


def by_hand(conv: Any, x: Tensor, offsets: list[list[tuple[int, int]]], i: int, j: int) -> Tensor:
    """A convolution at one position; `offsets` by row and column of its filter."""
    total = conv.bias.expand(len(x), -1)
    weight = filters(conv)
    for row, columns in enumerate(offsets):
        for column, (up, across) in enumerate(columns):
            total = total + at(x, i + up, j + across) @ weight[:, :, row, column].t()
    return total


DOWN = [[(up, across) for across in (-1, 0, 1)] for up in (-1, 0)]
DOWN_RIGHT = [[(up, across) for across in (-1, 0)] for up in (-1, 0)]


@pytest.mark.parametrize(
    ("build", "offsets"), [(down_conv, DOWN), (down_right_conv, DOWN_RIGHT)], ids=["down", "right"]
)
@pytest.mark.parametrize("up", [False, True])
def test_a_block_by_hand(build: Any, offsets: list[list[tuple[int, int]]], up: bool) -> None:
    features, height, width = 3, 3, 4
    config = PixelCNNPPConfig(features=features, classes=2, dropout=0.0)
    block: Any = randomise(GatedResidualBlock(config, build, 5 if up else 0), 1).double()
    x, shortcut = random_maps(2, features, height, width), random_maps(2, 5, height, width)
    classes = torch.tensor([1, 2])
    found = block(x, shortcut if up else None, classes)
    active = F.elu(torch.cat((x, -x), 1))
    middle = torch.empty(2, features, height, width, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            middle[:, :, i, j] = by_hand(block.first, active, offsets, i, j)
            if up:
                both = F.elu(torch.cat((shortcut, -shortcut), 1))
                middle[:, :, i, j] += by_hand(block.shortcut, both, [[(0, 0)]], i, j)
    active = F.elu(torch.cat((middle, -middle), 1))
    for i in range(height):
        for j in range(width):
            value, gate = (
                by_hand(block.second, active, offsets, i, j) + block.table.weight[classes]
            ).chunk(2, 1)
            expected = x[:, :, i, j] + value * gate.sigmoid()
            torch.testing.assert_close(found[:, :, i, j], expected)


def test_the_first_layer_by_hand() -> None:
    layer: Any = randomise(FirstLayer(2, 3), 1).double()
    x = random_maps(2, 2, 3, 4)
    found = layer(x)
    for i in range(3):
        for j in range(4):
            above = left = down = torch.zeros(2, 3, dtype=torch.float64)
            if i:  # results are shifted; there is no bias in what is shifted in
                down = by_hand(layer.down, x, DOWN, i - 1, j)
                above = by_hand(layer.above, x, [[(0, -1), (0, 0), (0, 1)]], i - 1, j)
            if j:
                left = by_hand(layer.left, x, [[(-1, 0)], [(0, 0)]], i, j - 1)
            torch.testing.assert_close(found.down[:, :, i, j], down)
            torch.testing.assert_close(found.down_right[:, :, i, j], above + left)


def test_other_resolutions_by_hand() -> None:
    downsample: Any = randomise(Downsample(3), 1).double()
    upsample: Any = randomise(Upsample(3), 2).double()
    x = Streams(random_maps(2, 3, 4, 6), random_maps(2, 3, 4, 6).flip(0))
    small = downsample(x)
    large = upsample(small)
    for i in range(2):
        for j in range(3):
            expected = by_hand(downsample.down, x.down, DOWN, 2 * i, 2 * j)
            torch.testing.assert_close(small.down[:, :, i, j], expected)
            expected = by_hand(downsample.down_right, x.down_right, DOWN_RIGHT, 2 * i, 2 * j)
            torch.testing.assert_close(small.down_right[:, :, i, j], expected)
    wide, square = filters(upsample.down), filters(upsample.down_right)
    for i in range(4):
        for j in range(6):
            near, row = (i // 2, j // 2), i % 2
            expected = at(small.down_right, *near) @ square[:, :, row, j % 2]
            expected = expected + upsample.down_right.bias
            torch.testing.assert_close(large.down_right[:, :, i, j], expected)
            # The column of the filter that falls on j: its middle one lies on an even column.
            expected = at(small.down, *near) @ wide[:, :, row, 1 + j % 2] + upsample.down.bias
            if j % 2:
                expected = expected + at(small.down, i // 2, j // 2 + 1) @ wide[:, :, row, 0]
            torch.testing.assert_close(large.down[:, :, i, j], expected)


def test_maps_of_variance_1_stay_so_at_first() -> None:
    torch.manual_seed(0)
    config = PixelCNNPPConfig(features=64, dropout=0.0)
    x = torch.randn(4, 64, 16, 16)
    for build in (down_conv, down_right_conv):
        block = GatedResidualBlock(config, build, 64)
        assert block.shortcut is not None
        inside = (..., slice(1, None), slice(1, -1))  # without the zeros at the edges
        for conv, expected in ((block.first, 1.0), (block.shortcut, 1.0), (block.second, 0.01)):
            found = conv(concat_elu(x))[inside].square().mean().item()
            assert found == pytest.approx(expected, rel=0.1)
    small = Downsample(64)(Streams(x, x))
    for maps in (*small, *Upsample(64)(Streams(x, x))):
        assert maps[inside].square().mean().item() == pytest.approx(1, rel=0.15)


def test_fresh_networks_are_finite_and_start_near_uniform() -> None:
    torch.manual_seed(0)
    config = plus_plus_config(8, 8, channels=3, levels=256, features=16, layers=5, mixtures=10)
    model = build_model(config)
    log_prob = model.log_prob(random_pictures(config, 2))
    assert 7 < -log_prob.mean().item() / 0.6931 < 10
    (-log_prob.mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_half_precision_is_close() -> None:
    config = plus_plus_config(8, 8)
    model = random_model(config, gain=0.8)
    x = random_pictures(config, 2)
    with torch.no_grad():
        exact = model.log_prob(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = model.log_prob(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.1, rtol=0.1)


def test_a_class_reaches_every_position() -> None:
    model = random_model(plus_plus_config(4, 8, classes=3)).double()
    x = torch.zeros(2, 2, 4, 8, dtype=torch.float64)
    with torch.no_grad():
        found = model.parameters_of(x, Condition(torch.tensor([0, 1])))
    assert (found[0] != found[1]).any(-1).all()


def test_dropout_acts_in_training_only() -> None:
    config = plus_plus_config(4, 4)
    model, x = random_model(config), random_pictures(config, 1)
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    model.train()
    assert not torch.equal(model.log_prob(x), model.log_prob(x))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"height": 30}, r"height \(30\) must be a multiple of 4 for 3 resolutions"),
        ({"width": 30}, r"width \(30\) must be a multiple of 4"),
        ({"resolutions": 0}, "resolutions must lie in 1 … 10, not 0"),
        ({"resolutions": 10**9}, "resolutions must lie in 1 … 10"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"likelihood": "softmax"}, "likelihood must be 'logistic' for several channels"),
        ({"likelihood": "normal"}, "likelihood must be one of"),
        ({"dropout": 1.0}, "dropout"),
        ({"classes": -1}, "classes"),
        ({"kernel": 3}, "unknown key 'kernel' for pixelcnn_pp"),
        ({"first_kernel": 3}, "unknown key 'first_kernel'"),
        ({"output_features": 8}, "unknown key 'output_features'"),
    ],
)
def test_bad_values_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        config_from_dict({"model": "pixelcnn_pp", **values})
    assert "\n" not in str(error.value)


def test_the_configuration_survives_its_dictionary() -> None:
    config = PixelCNNPPConfig(features=8, resolutions=2, classes=4)
    values = config.to_dict()
    assert not {"kernel", "first_kernel", "output_features"} & set(values)
    assert config_from_dict(values) == config
