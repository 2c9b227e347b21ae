"""Grids, weights and the paper's layout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixelgen.models import GatedPixelCNNConfig, GridConfig, build_model
from pixelgen.models.masked_conv import effective_weight, pointwise

from .cases import (
    TRIPLES,
    baseline_config,
    gated_config,
    plus_plus_config,
    random_condition,
    random_model,
    random_pictures,
    randomise,
    recurrent_config,
)


def small_model(channels: int, height: int, width: int, patch: int) -> Any:
    return build_model(
        GatedPixelCNNConfig(
            channels=channels,
            height=height,
            width=width,
            patch=patch,
            levels=4,
            features=1,
            output_features=1,
            layers=0,
            channel_order="head",
            head_features=1,
        )
    )


# Grids


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    patch=st.integers(1, 4),
    strided=st.booleans(),
)
def test_to_grid_and_from_grid_are_inverse(
    batch: int, channels: int, rows: int, columns: int, patch: int, strided: bool
) -> None:
    height, width = rows * patch, columns * patch
    model = small_model(channels, height, width, patch)
    x = torch.arange(batch * channels * height * width).view(batch, channels, height, width)
    if strided:  # as pictures come that have their channels last
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    grid = model.to_grid(x)
    assert grid.shape == (batch, channels * patch**2, rows, columns)
    assert torch.equal(model.from_grid(grid), x)
    shuffled = grid.flip(1).roll(1, 2)
    assert torch.equal(model.to_grid(model.from_grid(shuffled)), shuffled)
    if strided:
        shuffled = shuffled.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        assert torch.equal(model.to_grid(model.from_grid(shuffled)), shuffled)


def test_order_of_the_channels_of_a_grid() -> None:
    """Inside a patch row by row, inside a pixel channel by channel."""
    model = small_model(3, 4, 6, 2)
    x = torch.arange(3 * 4 * 6).view(1, 3, 4, 6)
    grid = model.to_grid(x)
    for i, j, row, column, c in torch.cartesian_prod(
        *(torch.arange(n) for n in (2, 3, 2, 2, 3))
    ).tolist():
        channel = (row * 2 + column) * 3 + c
        assert grid[0, channel, i, j] == x[0, c, 2 * i + row, 2 * j + column]


def test_grid_of_the_baseline_is_the_picture() -> None:
    model = build_model(baseline_config(3, 4))
    x = random_pictures(model.config, 2)
    assert torch.equal(model.to_grid(x), x)
    assert torch.equal(model.from_grid(x), x)


@pytest.mark.parametrize("name", TRIPLES)
def test_log_prob_keeps_the_layout_of_the_picture(name: str) -> None:
    """log p stands where its value stands, in single precision, finite."""
    config = gated_config(TRIPLES[name], 3, 2)
    model = random_model(config)
    x, condition = random_pictures(config, 2), random_condition(config, 2)
    with torch.no_grad():
        log_prob = model.log_prob(x, condition)
        parameters = model(x, condition)
        embedded = model.embed(model.to_grid(x))
        again = model.parameters_of(embedded, model.complete_condition(condition, 2))
        grid = model.to_grid(x).permute(0, 2, 3, 1)
        by_hand = model.likelihood.log_prob(parameters, grid).permute(0, 3, 1, 2)
        flat = parameters.flatten(0, 2)
        for channel in range(grid.shape[-1]):
            whole = model.likelihood.log_distribution(flat, grid.flatten(0, 2), channel)
            at = whole.gather(1, grid.flatten(0, 2)[:, channel, None])[:, 0]
            torch.testing.assert_close(
                at.view(grid.shape[:3]), by_hand[:, channel], atol=2e-4, rtol=1e-4
            )
    assert log_prob.shape == x.shape
    assert log_prob.dtype == torch.float32
    assert log_prob.isfinite().all()
    assert torch.equal(parameters, again)
    assert torch.equal(model.to_grid(log_prob), by_hand)


def test_embedding_as_numbers_spans_minus_one_to_one() -> None:
    for config in (gated_config({}, 1, 1, levels=256), baseline_config(1, 1, levels=256)):
        model = build_model(config)
        grid = torch.tensor([0, 255]).view(1, 2, 1, 1)
        torch.testing.assert_close(model.embed(grid), torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1))


def test_embedding_by_tables_tells_levels_and_channels_apart() -> None:
    config = gated_config({"embedding": "table", "embedding_features": 3}, 2, 2, levels=4)
    model = random_model(config)
    every = torch.arange(4).view(4, 1, 1, 1).expand(4, 2, 2, 2)
    embedded = model.embed(every)
    assert embedded.shape == (4, 6, 2, 2)
    # The same level has the same row at every position, and another one in every channel.
    assert torch.equal(embedded, embedded[:, :, :1, :1].expand_as(embedded))
    rows = embedded[:, :, 0, 0].view(8, 3)
    assert len(rows.unique(dim=0)) == 8
    # Channels of the grid one after the other: what a channel holds changes its own maps alone.
    changed = every.clone()
    changed[:, 1] = 0
    assert torch.equal(model.embed(changed)[:, :3], embedded[:, :3])
    assert not torch.equal(model.embed(changed)[:, 3:], embedded[:, 3:])


# Weights


def all_configs() -> list[GridConfig]:
    gated = [gated_config(s, 3, 3, dropout=0.1) for s in TRIPLES.values()]
    recurrent = [
        recurrent_config(layer, 3, 3, **more)
        for layer in ("row_lstm", "diagonal_bilstm")
        for more in ({}, {"classes": 3, "likelihood": "logistic"})
    ]
    baseline = [baseline_config(3, 3), baseline_config(3, 3, classes=3, likelihood="logistic")]
    plus_plus = [
        plus_plus_config(4, 4, classes=3),
        plus_plus_config(4, 4, channels=1, likelihood="softmax", resolutions=2),
    ]
    return [*gated, *baseline, *recurrent, *plus_plus]


def test_checkpoints_hold_parameters_alone() -> None:
    """No masks and no other buffers: the configuration says what they are."""
    for config in all_configs():
        model = build_model(config)
        assert set(model.state_dict()) == {n for n, _ in model.named_parameters()}


def test_weights_make_the_model() -> None:
    """A second network of the same configuration with the same weights is the same."""
    for config in all_configs()[::6]:
        first, second = random_model(config, 1), random_model(config, 2)
        x, condition = random_pictures(config, 2), random_condition(config, 2)
        with torch.no_grad():
            assert not torch.equal(first.log_prob(x, condition), second.log_prob(x, condition))
            second.load_state_dict(first.state_dict())
            assert torch.equal(first.log_prob(x, condition), second.log_prob(x, condition))


def test_convolutions_without_padding_do_not_copy_their_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pixelgen.models.masked_conv.F.pad", pytest.fail)
    x = torch.randn(2, 4, 3, 3)
    for groups in (1, 2):
        conv = pointwise(4, 6, groups)
        expected = torch.einsum("oi,bihw->bohw", effective_weight(conv)[..., 0, 0], x)
        assert conv.bias is not None
        torch.testing.assert_close(conv(x), expected + conv.bias[:, None, None])


def test_passes_do_not_change_the_weights() -> None:
    """Masks are applied to copies: what an optimiser holds stays as it is."""
    for config in all_configs():
        model = random_model(config).train()
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        x, condition = random_pictures(config, 2), random_condition(config, 2)
        model.log_prob(x, condition).sum().backward()
        with torch.no_grad():
            model.eval().log_prob(x, condition)
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("embedding", ["scalar", "table"])
def test_a_linear_mean_adds_up_numbers_alone(embedding: str) -> None:
    config = GatedPixelCNNConfig(
        height=2,
        width=2,
        layers=0,
        features=6,
        output_features=6,
        channel_order="head",
        likelihood="logistic",
        head_linear_mean=True,
        embedding=embedding,  # type: ignore[arg-type]
        embedding_features=1,
    )
    model: Any = build_model(config)
    assert model.head.linear_mean.coupling.weight.any() == (embedding == "scalar")


def test_every_parameter_is_trained() -> None:
    """A parameter that takes no part is wasted, and stops training on several machines."""
    idle: dict[str, str] = {}
    for config in all_configs():
        model = random_model(config).train()
        x, condition = random_pictures(config, 4), random_condition(config, 4)
        condition = model.drop_condition(condition, torch.tensor([True, False, False, True]))
        model.log_prob(x, condition).sum().backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                idle[name] = str(config)
    assert not idle, f"without a gradient: {sorted(idle)}; for example {next(iter(idle.items()))}"


def test_fresh_networks_are_finite_and_start_near_uniform() -> None:
    """As they are before training, at the default depth: about log2(levels) bits, no blow-up."""
    for settings_ in (
        {},
        {"channel_order": "head"},
        {"likelihood": "logistic"},
        {"channel_order": "likelihood", "likelihood": "logistic"},
        {"vertical_residual": True, "skip_outputs": True, "input_skip": True},
        {"normalisation": "channel"},
    ):
        torch.manual_seed(0)
        config = gated_config({**settings_, "levels": 256, "layers": 15, "features": 24}, 8, 8)
        model = build_model(config)
        log_prob = model.log_prob(random_pictures(config, 2))
        assert log_prob.isfinite().all()
        bits = -log_prob.mean().item() / 0.6931
        assert 6 < bits < 13
        (-log_prob.mean()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_state_dict_survives_half_precision() -> None:
    """Weights are shipped in 16 bits; what was computed with them must stay close."""
    config = gated_config({}, 4, 4)
    model = random_model(config, gain=0.8)
    x = random_pictures(config, 2)
    with torch.no_grad():
        before = model.log_prob(x)
        model.load_state_dict({k: v.half() for k, v in model.state_dict().items()})
        after = model.log_prob(x)
    assert after.dtype == torch.float32
    torch.testing.assert_close(before, after, atol=0.05, rtol=0.05)


# The paper's layout (section 2.2 and Figure 2), shown by taking parts out


def zero(model: Any, *prefixes: str) -> None:
    """Weights and biases of the named convolutions become zero."""
    for prefix in prefixes:
        found = [p for n, p in model.named_parameters() if n.startswith(prefix + ".")]
        assert found, f"nothing is named {prefix}"
        for parameter in found:
            parameter.data.zero_()


def seen(model: Any, channel: int = 1) -> Tensor:
    """Which positions the last channel of the centre of a 5×5 grid sees, [5, 5]."""
    generator = torch.Generator().manual_seed(0)
    found = torch.zeros(5, 5, dtype=torch.bool)
    for _ in range(4):
        embedded = torch.randn(1, 2, 5, 5, generator=generator, dtype=torch.float64)
        embedded.requires_grad_()
        parameters = model.parameters_of(embedded, model.null_condition(1))
        (gradient,) = torch.autograd.grad(parameters[0, 2, 2, channel].sum(), embedded)
        found |= (gradient[0] != 0).any(0)
    return found


def layout_model(**more: Any) -> Any:
    """Two channels, two layers of kernel 3; as many maps as channels, so that every sum that is
    not in the paper would fit."""
    config = gated_config({"kernel": 3, "first_kernel": 3, **more}, 5, 5, layers=2, features=2)
    model = build_model(config).eval()
    return randomise(model, 4).double()


def above(rows: int) -> Tensor:
    """[5, 5]: the rows above the centre's, that many of them."""
    mask = torch.zeros(5, 5, dtype=torch.bool)
    mask[2 - rows : 2] = True
    return mask


def wide(**more: Any) -> Any:
    """The same with enough maps that no shut ReLU hides anything."""
    config = gated_config({"kernel": 3, "first_kernel": 3, **more}, 5, 5, layers=2, features=16)
    return randomise(build_model(config).eval(), 4).double()


def test_vertical_stack_has_no_residual_in_the_paper() -> None:
    """With the second layer's vertical convolution taken out, nothing of the first comes through;
    with the option it does."""
    for option in (False, True):
        model = wide(vertical_residual=option)
        zero(
            model,
            "first.vertical_to_horizontal",
            "layers.0.vertical_to_horizontal",
            "layers.0.vertical",
        )
        assert seen(model)[:2].any() == option


def test_first_layer_has_no_residual() -> None:
    """Its 1×1 convolution taken out, the row itself is not seen any more, although as many maps
    as channels would let the input through; what comes by the later links is."""
    model = layout_model()
    assert seen(model)[2, :3].any()
    zero(model, "first.out")
    found = seen(model)
    assert not found[2].any()
    assert found[:2].any()


def test_later_layers_have_a_horizontal_residual() -> None:
    model = wide()
    zero(model, "layers.0.out", "layers.1.out")
    found = seen(model)
    # The first layer alone: a pixel to the left, this one, and three above.
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[1, 1:4] = True
    expected[0, 1:4] = True
    expected[2, 1:3] = True
    assert torch.equal(found, expected)


def test_link_brings_only_rows_above() -> None:
    """With the horizontal convolutions taken out, all that is left comes by the links."""
    model = wide()
    zero(model, "first.horizontal", "layers.0.horizontal", "layers.1.horizontal")
    found = seen(model)
    assert not found[2:].any()
    assert torch.equal(found, above(2))


def test_without_links_only_the_row_itself_is_seen() -> None:
    model = wide()
    zero(
        model,
        "first.vertical_to_horizontal",
        "layers.0.vertical_to_horizontal",
        "layers.1.vertical_to_horizontal",
    )
    found = seen(model)
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[2, :3] = True
    assert torch.equal(found, expected)


def test_link_takes_the_vertical_maps_before_their_gate() -> None:
    """2p maps, unmasked. With the tanh halves of all vertical maps at zero their gates are shut;
    what the other halves hold of the rows above reaches the horizontal stack all the same."""
    model = wide()
    weights = dict(model.named_parameters())
    for layer in ("first", "layers.0", "layers.1"):
        assert weights[f"{layer}.vertical_to_horizontal.weight"].shape[:2] == (32, 32)
        for name in ("weight", "bias"):
            weights[f"{layer}.vertical.{name}"].data[:16] = 0
    found = seen(model)
    # The first layer's reach alone, for the shut gates hide it from the vertical stack above.
    assert found[0, 1:4].all()
    assert found[1, 1:4].all()


def test_parameters_of_the_paper() -> None:
    """The number of parameters by hand: no weight is there that the paper does not have."""
    p, n, first, channels, levels, out = 12, 3, 5, 3, 7, 18
    config = GatedPixelCNNConfig(
        channels=channels,
        height=4,
        width=4,
        levels=levels,
        features=p,
        layers=2,
        kernel=n,
        first_kernel=first,
        output_features=out,
    )

    def layer(maps: int, kernel: int) -> int:
        reach = kernel // 2 + 1
        vertical = maps * 2 * p * reach * kernel + 2 * p
        horizontal = maps * 2 * p * reach + 2 * p
        link = 4 * p * p + 2 * p
        return vertical + horizontal + link + p * p + p

    expected = layer(channels, first) + 2 * layer(p, n)
    expected += p * out + out + out * channels * levels + channels * levels
    assert sum(q.numel() for q in build_model(config).parameters()) == expected
