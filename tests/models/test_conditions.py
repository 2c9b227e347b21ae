"""Classes, vectors and maps: they reach everything, differ, can be left out, and are checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pixelgen.models import GridConfig
from pixelgen.models.conditioning import Condition

from .cases import (
    CLASSES,
    GIVEN,
    PAIRS,
    TRIPLES,
    VECTOR,
    baseline_config,
    double_condition,
    gated_config,
    random_condition,
    random_model,
    random_pictures,
)

CONDITIONED = [
    n for n, s in TRIPLES.items() if any(map(s.get, ("classes", "vector", "given_channels")))
]
KINDS: dict[str, dict[str, Any]] = {
    "class": {"classes": CLASSES},
    "vector": {"vector": VECTOR},
    "map": {"vector": VECTOR, "vector_bias": False, "map_channels": 2},
    "vector+map": {"vector": VECTOR, "map_channels": 2},
    "given": {"given_channels": GIVEN},
    "class+vector": {"classes": CLASSES, "vector": VECTOR},
    "all": {"classes": CLASSES, "vector": VECTOR, "map_channels": 2, "given_channels": GIVEN},
}


def embedded_like(model: Any, batch: int) -> Tensor:
    """Random numbers of the shape of the embedded grid, one picture `batch` times, in doubles."""
    x = random_pictures(model.config, 1)
    shape = model.embed(model.to_grid(x)).shape
    generator = torch.Generator().manual_seed(5)
    one = torch.randn(shape, generator=generator, dtype=torch.float64)
    return one.expand(batch, -1, -1, -1)


def changed_parameters(model: Any, condition: Condition) -> Tensor:
    """Where the parameters of a first and a second condition differ: [H, W, C or 1]."""
    with torch.no_grad():
        found = model.parameters_of(embedded_like(model, 2), double_condition(condition))
    assert found.isfinite().all()
    return (found[0] != found[1]).any(-1)


def differing_conditions(config: GridConfig) -> list[Condition]:
    """Pairs of conditions that differ in the class, in the vector, or in the map only."""
    both = random_condition(config, 2)
    same = both[:1].repeat(2)
    pairs = []
    if both.classes is not None:
        pairs.append(replace(same, classes=torch.tensor([0, 1])))
        pairs.append(replace(same, classes=torch.tensor([1, config.classes])))
    if both.vector is not None:
        pairs.append(replace(same, vector=both.vector))
    if both.map is not None:
        pairs.append(replace(same, map=both.map))
    return pairs


@pytest.mark.parametrize("name", CONDITIONED)
def test_condition_reaches_every_position_and_channel(name: str) -> None:
    """The first row, the first column and the first channel too."""
    config = gated_config(TRIPLES[name], 4, 5)
    model = random_model(config).double()
    for condition in differing_conditions(config):
        changed = changed_parameters(model, condition)
        # A shut ReLU of the output can hide single entries; other weights then show them.
        for seed in range(1, 20):
            if changed.all():
                break
            changed |= changed_parameters(random_model(config, seed).double(), condition)
        assert changed.all(), f"not reached: {(~changed).nonzero()[0].tolist()}"


@pytest.mark.parametrize("likelihood", ["softmax", "logistic"])
def test_condition_reaches_every_position_of_the_baseline(likelihood: str) -> None:
    config = baseline_config(4, 5, classes=CLASSES, likelihood=likelihood)
    changed = torch.zeros((), dtype=torch.bool)
    for seed in range(6):
        model = random_model(config, seed).double()
        changed = changed | changed_parameters(model, Condition(torch.tensor([0, 1])))
    assert changed.all()


def test_a_class_that_a_baseline_accepts_has_an_effect() -> None:
    """Without residual blocks there is nowhere for the class to enter."""
    try:
        config = baseline_config(2, 2, classes=CLASSES, layers=0)
    except ValueError:
        return
    model = random_model(config).double()
    assert changed_parameters(model, Condition(torch.tensor([0, 1]))).any()


@pytest.mark.parametrize("kind", ["vector", "vector+map", "map", "all"])
@pytest.mark.parametrize("layers", [0, 2])
def test_derivative_by_the_vector_is_nonzero_everywhere(kind: str, layers: int) -> None:
    config = gated_config(KINDS[kind], 3, 4, layers=layers)
    reached = torch.zeros((), dtype=torch.bool)
    for seed in range(8):
        model = random_model(config, seed).double()
        condition = random_condition(config, 1)
        assert condition.vector is not None
        rows = 2 * 3 * 4
        vector = condition.vector.double().repeat(rows, 1).requires_grad_()
        every = replace(double_condition(condition).repeat(rows), vector=vector)
        found = model.parameters_of(embedded_like(model, rows), every)
        weights = torch.randn(found.shape[-1], dtype=torch.float64)
        diagonal = (found @ weights).flatten(1).diagonal().sum()
        (gradient,) = torch.autograd.grad(diagonal, vector)
        reached = reached | (gradient != 0)
    assert reached.all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["groups", "head"])
def test_condition_enters_both_stacks_of_every_layer(kind: str, order: str) -> None:
    """Every weight V_f, V_g (equations 4 and 5) has a share in the result: 2p of the vertical and
    2p of the horizontal stack, in every layer. Rows of other classes have none."""
    settings = {**KINDS[kind], "channel_order": order, "vertical_residual": True}
    layers = 2
    config = gated_config(settings, 4, 4, layers=layers)
    model = random_model(config).double()
    condition = double_condition(random_condition(config, 1))
    if config.classes:
        condition = replace(condition, classes=torch.tensor([1]))
    model.parameters_of(embedded_like(model, 1), condition).square().sum().backward()
    entered = 0
    for name, parameter in model.named_parameters():
        if ".condition." not in name:
            continue
        assert parameter.grad is not None, name
        used = parameter.grad
        if ".table." in name:
            assert parameter.shape == (CLASSES + 1, 4 * config.features)
            assert (parameter.grad[[0, 2, 3]] == 0).all()
            used = parameter.grad[1]
        assert (used != 0).all(), name
        entered += 1
    ways = [
        config.classes,
        config.vector and config.vector_bias,
        config.map_channels + config.given_channels,
    ]
    assert entered == (layers + 1) * sum(bool(way) for way in ways)


def test_map_acts_where_it_stands() -> None:
    """s changed at one position changes the parameters there, to the right and below, within what
    both stacks reach; and above or to the left of it nothing."""
    config = gated_config(KINDS["map"], 5, 5, layers=1, kernel=3, first_kernel=3)
    i, j = torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij")
    below = ((i > 2) & (i <= 4) & (j >= 1)) | ((i == 2) & (j >= 2))
    reached = torch.zeros(5, 5, dtype=torch.bool)
    for seed in range(8):
        model = random_model(config, seed).double()
        condition = double_condition(random_condition(config, 2))
        embedded = embedded_like(model, 2)
        with torch.no_grad():
            s = model.condition_map(condition)[:1].repeat(2, 1, 1, 1)
            assert s.shape == (2, 2, 5, 5)
            s[1, :, 2, 2] += 1
            handle = model.map_network.register_forward_hook(lambda *_, s=s: s)
            found = model.parameters_of(embedded, condition)
            handle.remove()
        changed = (found[0] != found[1]).flatten(2).any(-1)
        assert not (changed & ~below).any()
        assert changed[2, 2] or seed
        reached |= changed
    # Here and to the right by the horizontal stack, below on both sides by the vertical one.
    for position in ((2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (4, 2)):
        assert reached[position], position


@pytest.mark.parametrize("patch", [1, 2])
def test_a_given_map_acts_where_it_stands(patch: int) -> None:
    """Changed at one position of the grid after space-to-depth, it changes what stands there, and
    nothing above or to the left of it."""
    settings = {**KINDS["given"], "channel_order": "head", "patch": patch}
    config = gated_config(settings, 5, 5, layers=1, kernel=3, first_kernel=3)
    model = random_model(config).double()
    condition = double_condition(random_condition(config, 1)).repeat(2)
    assert condition.map is not None
    condition.map[1, :, 2, 2] += 1
    with torch.no_grad():
        found = model.parameters_of(embedded_like(model, 2), condition)
    changed = (found[0] != found[1]).flatten(2).any(-1)
    i, j = torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij")
    assert changed[2, 2]
    assert not (changed & ((i < 2) | ((i == 2) & (j < 2)))).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (5, 3), (8, 8), (13, 32), (32, 32), (9, 70)])
def test_map_network_fits_every_size(size: tuple[int, int]) -> None:
    config = gated_config({**KINDS["map"], "map_channels": 3}, *size, layers=0, features=2)
    model = random_model(config)
    condition = random_condition(config, 2)
    s = model.condition_map(condition)
    assert s.shape == (2, 3, *size)
    # It is made from h at every position, and is not the same at all of them.
    assert (s[0] != s[1]).any(0).all()
    if max(size) > 1:
        assert (s[0] != s[0, :, :1, :1]).any()


@pytest.mark.parametrize("name", [n for n in PAIRS if "free" not in n])
def test_two_conditions_give_different_distributions(name: str) -> None:
    config = gated_config(PAIRS[name], 3, 3)
    model = random_model(config)
    x = random_pictures(config, 1).expand(2, -1, -1, -1)
    for condition in differing_conditions(config):
        with torch.no_grad():
            log_prob = model.log_prob(x, condition).flatten(1).sum(1)
        assert (log_prob[0] - log_prob[1]).abs() > 1e-3


def models_with_conditions() -> list[Any]:
    models = [random_model(gated_config(settings, 2, 3)) for settings in KINDS.values()]
    return [*models, random_model(baseline_config(2, 3, classes=CLASSES))]


def test_null_condition_is_what_is_left_out() -> None:
    """None, an empty condition and the null condition are the same; it differs from the others."""
    for model in models_with_conditions():
        config = model.config
        x = random_pictures(config, 2)
        with torch.no_grad():
            null = model.null_condition(2)
            expected = model.log_prob(x, null)
            assert torch.equal(model.log_prob(x), expected)
            assert torch.equal(model.log_prob(x, Condition()), expected)
            assert (model.log_prob(x, random_condition(config, 2)) - expected).abs().max() > 1e-3
        if config.classes:
            assert null.classes is not None
            assert null.classes.tolist() == [config.classes] * 2
            assert null.classes.dtype == torch.long
        else:
            assert null.classes is None
        assert (null.vector is None) == (getattr(config, "vector", 0) == 0)
        assert (null.map is None) == (getattr(config, "given_channels", 0) == 0)


def test_parts_of_a_condition_may_be_left_out() -> None:
    """A class without a vector, and a vector without a class."""
    config = gated_config(KINDS["all"], 2, 3)
    model = random_model(config)
    x, full, null = random_pictures(config, 2), random_condition(config, 2), model.null_condition(2)
    with torch.no_grad():
        for given, completed in (
            (Condition(classes=full.classes), replace(null, classes=full.classes)),
            (Condition(vector=full.vector), replace(null, vector=full.vector)),
            (Condition(map=full.map), replace(null, map=full.map)),
        ):
            assert torch.equal(model.log_prob(x, given), model.log_prob(x, completed))


def test_drop_condition_drops_rows() -> None:
    for model in models_with_conditions():
        config = model.config
        x, condition = random_pictures(config, 4), random_condition(config, 4)
        before = condition[:]
        dropped = torch.tensor([True, False, False, True])
        with torch.no_grad():
            found = model.log_prob(x, model.drop_condition(condition, dropped))
            given, null = model.log_prob(x, condition), model.log_prob(x, None)
            torch.testing.assert_close(found[dropped], null[dropped])
            torch.testing.assert_close(found[~dropped], given[~dropped])
            for all_or_none, expected in ((True, null), (False, given)):
                whole = model.drop_condition(condition, torch.full((4,), all_or_none))
                assert torch.equal(model.log_prob(x, whole), expected)
        for a, b in ((condition.classes, before.classes), (condition.vector, before.vector)):
            assert a is b is None or (a is not None and b is not None and torch.equal(a, b))


def test_drop_condition_without_any_condition() -> None:
    for config in (gated_config({}, 2, 2), baseline_config(2, 2)):
        model = random_model(config)
        dropped = model.drop_condition(Condition(), torch.tensor([True, False]))
        assert dropped.classes is None
        assert dropped.vector is None
        null = model.null_condition(2)
        assert null.classes is None
        assert null.vector is None


@pytest.mark.parametrize("kind", ["vector", "given"])
def test_null_vector_and_null_map_are_learned(kind: str) -> None:
    config = gated_config(KINDS[kind], 2, 2)
    model = random_model(config)
    condition = model.drop_condition(random_condition(config, 2), torch.tensor([True, False]))
    model.log_prob(random_pictures(config, 2), condition).sum().backward()
    (gradient,) = [p.grad for n, p in model.named_parameters() if "null" in n]
    assert gradient is not None
    assert (gradient != 0).all()


CLASS, VEC = torch.tensor([0, 1]), torch.zeros(2, VECTOR)
WRONG: list[tuple[str, Condition]] = [
    ("free", Condition(CLASS)),
    ("free", Condition(None, VEC)),
    ("class", Condition(None, VEC)),
    ("class", Condition(CLASS, VEC)),
    ("class", Condition(torch.tensor([0, 1, 2]))),
    ("class", Condition(torch.tensor([0]))),
    ("class", Condition(torch.tensor(1))),
    ("class", Condition(torch.tensor([[0], [1]]))),
    ("vector", Condition(CLASS)),
    ("vector", Condition(CLASS, VEC)),
    ("vector", Condition(None, torch.zeros(2, VECTOR + 1))),
    ("vector", Condition(None, torch.zeros(1, VECTOR))),
    ("vector", Condition(None, torch.zeros(VECTOR))),
    ("all", Condition(torch.tensor([0]), VEC)),
    ("all", Condition(CLASS, torch.zeros(3, VECTOR))),
    ("vector", Condition(map=torch.zeros(2, GIVEN, 2, 2))),
    ("given", Condition(None, VEC)),
    ("given", Condition(map=torch.zeros(2, GIVEN + 1, 2, 2))),
    ("given", Condition(map=torch.zeros(2, GIVEN, 2, 1))),
    ("all", Condition(CLASS, VEC, torch.zeros(1, GIVEN, 2, 2))),
]


@pytest.mark.parametrize(("kind", "condition"), WRONG)
def test_wrong_conditions_are_refused(kind: str, condition: Condition) -> None:
    config = gated_config(KINDS.get(kind, {}), 2, 2)
    model = random_model(config)
    with pytest.raises(ValueError, match=r"class|vector|map"):
        model.log_prob(random_pictures(config, 2), condition)
    with pytest.raises(ValueError, match=r"class|vector|map"):
        model(random_pictures(config, 2), condition)


@pytest.mark.parametrize(
    ("classes", "condition"),
    [
        (0, Condition(CLASS)),
        (0, Condition(None, VEC)),
        (3, Condition(CLASS, VEC)),
        (3, Condition(None, VEC)),
        (3, Condition(torch.tensor([0]))),
        (3, Condition(torch.tensor([[0, 1]]))),
        (0, Condition(map=torch.zeros(2, 1, 2, 2))),
        (3, Condition(CLASS, map=torch.zeros(2, 1, 2, 2))),
    ],
)
def test_wrong_conditions_are_refused_by_the_baseline(classes: int, condition: Condition) -> None:
    config = baseline_config(2, 2, classes=classes)
    with pytest.raises(ValueError, match=r"class|vector|map"):
        random_model(config).log_prob(random_pictures(config, 2), condition)


def test_conditions_as_batches() -> None:
    """Repeat, cut, join."""
    s = torch.arange(2.0).view(2, 1, 1, 1)
    a = Condition(torch.tensor([0, 1]), torch.tensor([[0.0], [1.0]]), s)
    repeated = a.repeat(2)
    assert repeated.classes is not None
    assert repeated.vector is not None
    assert repeated.classes.tolist() == [0, 0, 1, 1]
    assert repeated.vector.tolist() == [[0], [0], [1], [1]]
    part = repeated[1:3]
    assert part.classes is not None
    assert part.classes.tolist() == [0, 1]
    picked = repeated[torch.tensor([3, 0])]
    assert picked.vector is not None
    assert picked.vector.tolist() == [[1], [0]]
    joined = Condition.cat(a, part)
    assert joined.classes is not None
    assert joined.classes.tolist() == [0, 1, 0, 1]
    assert joined.vector is not None
    assert joined.vector.shape == (4, 1)
    assert joined.map is not None
    assert joined.map.flatten().tolist() == [0, 1, 0, 1]
    assert not joined.empty
    assert Condition().empty
    assert Condition.cat(a).map is not None
    assert Condition.cat(Condition(), Condition()) == Condition()
    assert Condition().repeat(3) == Condition()
    with pytest.raises(ValueError, match="different kinds"):
        Condition.cat(a, Condition(a.classes))
    moved = a.to("cpu")
    assert moved.classes is not None
    assert torch.equal(moved.classes, torch.tensor([0, 1]))
