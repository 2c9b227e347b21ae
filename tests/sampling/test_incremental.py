"""The incremental sampler against the naive one: same numbers, same picture, same logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from pixelgen.models import GridConfig, layers
from pixelgen.models.conditioning import Condition
from pixelgen.models.gated_pixelcnn import GatedLayer, GatedPixelCNN
from pixelgen.models.heads import PointwiseHead
from pixelgen.sampling import SamplingOptions, sample

from .networks import baseline, condition, gated, network, plus_plus, recurrent, uniforms

HEADS = [
    ("groups", "softmax"),
    ("groups", "logistic"),
    ("head", "softmax"),
    ("head", "logistic"),
    ("likelihood", "logistic"),
]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"vertical_residual": True},
    {"skip_outputs": True},
    {"input_skip": True},
    {"normalisation": "channel"},
    {"normalisation": "channel", "skip_outputs": True, "input_skip": True, "kernel": 5},
    {"normalisation": "channel", "vertical_residual": True, "embedding": "table"},
    {"height": 5, "width": 7, "kernel": 5, "first_kernel": 7},
    {"height": 3, "width": 4, "kernel": 7, "first_kernel": 3},
    {"kernel": 1, "first_kernel": 1},
    {"layers": 0},
    {"channels": 1, "head_layers": 2},
    {"channels": 2, "head_layers": 0, "dropout": 0.3},
    {"patch": 2, "width": 6, "features": 24},
    {"classes": 3},
    {"vector": 4},
    {"vector": 4, "map_channels": 3},
    {"given_channels": 3},
    {"vector": 4, "map_channels": 2, "given_channels": 3, "patch": 2, "width": 6, "features": 24},
    {"vector": 4, "map_channels": 3, "vector_bias": False, "classes": 3, "patch": 2, "width": 2,
     "features": 12},
]  # fmt: skip


def assert_same(config: GridConfig, n: int = 2, **arguments: Any) -> None:
    """Both samplers see the same distributions (but for rounding) and draw the same pictures."""
    model = network(config)
    numbers = uniforms(config, n)
    conditions = condition(config, n)
    seen: dict[str, list[torch.Tensor]] = {"naive": [], "incremental": []}
    pictures = {
        method: sample(model, conditions, numbers, method=method, observe=log.append, **arguments)  # type: ignore[arg-type]
        for method, log in seen.items()
    }
    assert torch.equal(pictures["naive"], pictures["incremental"])
    naive, incremental = (torch.stack(seen[key]) for key in ("naive", "incremental"))
    # Values of next to no probability are far out on the log scale: 1e-4 in the relative sense.
    torch.testing.assert_close(incremental, naive, rtol=1e-4, atol=1e-4)
    assert naive.exp().sum(-1).sub(1).abs().max() < 1e-4
    # Without an observer a shorter way may be taken.
    assert torch.equal(sample(model, conditions, numbers, **arguments), pictures["naive"])


def wide_enough(order: str, variant: dict[str, Any]) -> dict[str, Any]:
    """`variant` with as many maps as channel groups need."""
    if order == "groups" and "patch" in variant:
        return {**variant, "features": 24, "output_features": 12}
    return variant


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(v) or "plain")
@pytest.mark.parametrize(("order", "likelihood"), HEADS)
def test_gated(order: str, likelihood: str, variant: dict[str, Any]) -> None:
    options = wide_enough(order, variant)
    assert_same(gated(channel_order=order, likelihood=likelihood, **options))


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"height": 5, "width": 7, "kernel": 5, "first_kernel": 7},
        {"kernel": 1, "first_kernel": 1},
        {"layers": 0},
        {"likelihood": "logistic"},
        {"channels": 1},
        {"classes": 3},
    ],
    ids=lambda v: "-".join(v) or "plain",
)
def test_baseline(variant: dict[str, Any]) -> None:
    assert_same(baseline(**variant))


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"height": 5, "width": 7, "first_kernel": 7},
        {"height": 6, "width": 3, "layers": 3},
        {"height": 1, "width": 4},
        {"height": 4, "width": 1},
        {"first_kernel": 1},
        {"likelihood": "logistic"},
        {"channels": 1},
        {"channels": 2, "layers": 1},
        {"classes": 3},
    ],
    ids=lambda v: "-".join(v) or "plain",
)
@pytest.mark.parametrize("layer", ["row_lstm", "diagonal_bilstm"])
def test_recurrent(layer: str, variant: dict[str, Any]) -> None:
    assert_same(recurrent(layer=layer, **variant))


@pytest.mark.parametrize("kernel", [1, 5])
def test_row_lstm_of_other_kernels(kernel: int) -> None:
    assert_same(recurrent(kernel=kernel, classes=2))


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"height": 8, "channels": 1, "layers": 2},
        {"resolutions": 1, "height": 3, "width": 5},
        {"resolutions": 2, "height": 6, "width": 2, "layers": 2},
        {"resolutions": 1, "height": 1, "width": 1, "channels": 3},
        {"channels": 1, "likelihood": "softmax"},
        {"classes": 3},
    ],
    ids=lambda v: "-".join(v) or "plain",
)
def test_plus_plus(variant: dict[str, Any]) -> None:
    assert_same(plus_plus(**variant))


def counted(run: Callable[[], object]) -> int:
    """Floating-point operations of all products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "config",
    [
        recurrent(layer="row_lstm", features=24),
        recurrent(layer="diagonal_bilstm", features=24),
        plus_plus(features=24),
    ],
    ids=["row_lstm", "diagonal_bilstm", "pixelcnn_pp"],
)
def test_sampling_takes_the_work_of_about_one_pass(config: GridConfig) -> None:
    model, numbers = network(config).eval().requires_grad_(False), uniforms(config, 1)
    x = torch.zeros(1, config.channels, config.height, config.width, dtype=torch.long)
    with torch.no_grad():
        one_pass = counted(lambda: model(x))
    assert counted(lambda: sample(model, None, numbers)) < 1.1 * one_pass


@pytest.mark.parametrize(
    "options",
    [
        SamplingOptions(temperature=0.7),
        SamplingOptions(top_p=0.6),
        SamplingOptions(guidance=2.5),
        SamplingOptions(temperature=1.2, top_p=0.9, guidance=0.5),
    ],
    ids=["temperature", "top_p", "guidance", "all"],
)
@pytest.mark.parametrize(
    "config",
    [
        gated(classes=3),
        gated(classes=3, channel_order="head", normalisation="channel", input_skip=True),
        gated(vector=3, map_channels=2, channel_order="likelihood", likelihood="logistic"),
        gated(classes=3, skip_outputs=True, embedding="table"),
        baseline(classes=3),
        recurrent(classes=3),
        recurrent(classes=3, layer="diagonal_bilstm"),
        plus_plus(classes=3, height=2, resolutions=2),
    ],
    ids=[
        "groups", "head", "likelihood", "skips", "baseline", "row_lstm", "diagonal_bilstm",
        "pixelcnn_pp",
    ],
)  # fmt: skip
def test_options(config: GridConfig, options: SamplingOptions) -> None:
    assert_same(config, options=options)


@pytest.mark.parametrize(
    "config",
    [
        gated(classes=3),
        gated(patch=2, width=6, channel_order="head"),
        gated(channel_order="likelihood", likelihood="logistic", normalisation="channel"),
        baseline(),
        recurrent(),
        recurrent(layer="diagonal_bilstm"),
        plus_plus(height=2, resolutions=2),
    ],
    ids=["groups", "patch", "likelihood", "baseline", "row_lstm", "diagonal_bilstm", "pixelcnn_pp"],
)
def test_known_values(config: GridConfig) -> None:
    shape = (config.channels, config.height, config.width)
    generator = torch.Generator().manual_seed(1)
    known = torch.randint(config.levels, shape, generator=generator)
    mask = torch.rand(shape, generator=generator) < 0.5
    assert_same(config, known=known, known_mask=mask)
    model = network(config)
    picture = sample(model, None, uniforms(config, 2), known=known, known_mask=mask)
    assert torch.equal(picture[:, mask], known[mask].expand(2, -1))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_configurations(data: st.DataObject) -> None:
    order, likelihood = data.draw(st.sampled_from(HEADS))
    switches = {
        name: data.draw(st.booleans(), label=name)
        for name in ("vertical_residual", "skip_outputs", "input_skip")
    }
    channels = data.draw(st.integers(1, 3), label="channels")
    vector = data.draw(st.sampled_from((0, 3)), label="vector")
    config = gated(
        channel_order=order,
        likelihood=likelihood,
        channels=channels,
        height=data.draw(st.integers(1, 4), label="height"),
        width=data.draw(st.integers(1, 5), label="width"),
        kernel=data.draw(st.sampled_from((1, 3, 5, 7)), label="kernel"),
        first_kernel=data.draw(st.sampled_from((1, 3, 5, 7)), label="first_kernel"),
        layers=data.draw(st.integers(0, 3), label="layers"),
        normalisation=data.draw(st.sampled_from(("none", "channel")), label="normalisation"),
        embedding=data.draw(st.sampled_from(("scalar", "table")), label="embedding"),
        classes=data.draw(st.sampled_from((0, 2)), label="classes"),
        vector=vector,
        map_channels=data.draw(st.sampled_from((0, 2)), label="map") if vector else 0,
        given_channels=data.draw(st.sampled_from((0, 2)), label="given"),
        **switches,
    )
    assert_same(config, n=data.draw(st.integers(1, 3), label="n"))


@pytest.mark.parametrize("order", ["groups", "head"])
def test_maps_near_zero_are_normalised_alike(order: str) -> None:
    """Where the constant that keeps a norm from dividing by 0 is most of what it divides by."""
    config = gated(channel_order=order, normalisation="channel", vertical_residual=True)
    model, numbers = network(config), uniforms(config, 2)
    with torch.no_grad():
        for layer in model.modules():
            if not isinstance(layer, GatedLayer):
                continue
            for conv in (layer.vertical, layer.vertical_to_horizontal, layer.horizontal, layer.out):
                conv.weight.mul_(0.05)
                conv.bias.zero_()
    seen: dict[str, list[torch.Tensor]] = {"naive": [], "incremental": []}
    for method, log in seen.items():
        sample(model, None, numbers, method=method, observe=log.append)  # type: ignore[arg-type]
    naive, incremental = (torch.stack(log) for log in seen.values())
    torch.testing.assert_close(incremental, naive, rtol=1e-4, atol=1e-4)
    monkeypatched = pytest.MonkeyPatch()
    with monkeypatched.context() as patch:
        patch.setattr(layers, "NORM_EPSILON", 1e-3)
        other: list[torch.Tensor] = []
        sample(model, None, numbers, method="naive", observe=other.append)
    assert (torch.stack(other) - naive).abs().max() > 1e-3  # the constant does matter here


def test_what_has_no_incremental_sampler_is_sampled_naively() -> None:
    """A subclass may compute something else than the network whose sampler is known."""

    class Shifted(GatedPixelCNN):
        def parameters_of(self, embedded: torch.Tensor, condition: Condition) -> torch.Tensor:
            return super().parameters_of(embedded, condition).flip(-1)

    config = gated()
    plain, numbers = network(config), uniforms(config, 2)
    shifted = Shifted(config)
    shifted.load_state_dict(plain.state_dict())
    found = sample(shifted, None, numbers)
    assert torch.equal(found, sample(shifted, None, numbers, method="naive"))
    assert not torch.equal(found, sample(plain, None, numbers))


def test_a_head_without_a_stage_is_refused() -> None:
    class OwnHead(PointwiseHead):
        pass

    model = network(gated())
    model.head.__class__ = OwnHead
    with pytest.raises(TypeError, match="no stage for OwnHead"):
        sample(model, None, uniforms(model.config, 1))
