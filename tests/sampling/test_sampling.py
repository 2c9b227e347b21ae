"""What sampling promises whatever the method: distributions, batches, callbacks, errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pixelgen.models import GridConfig
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import CoupledLogisticMixture, LogisticMixture, Mixture
from pixelgen.sampling import SamplingOptions, draw_uniforms, sample
from pixelgen.sampling.value_sampler import (
    BELOW_ONE,
    ValueSampler,
    invert_cdf,
    mixture_by_differences,
    mixture_by_products,
    seeded,
)

from .networks import baseline, condition, gated, network, uniforms

CONFIGS: dict[str, GridConfig] = {
    "groups": gated(classes=3),
    "head": gated(classes=3, channel_order="head", normalisation="channel", patch=2, width=6),
    "likelihood": gated(classes=3, channel_order="likelihood", likelihood="logistic"),
    "baseline": baseline(classes=3),
}


@pytest.fixture(params=CONFIGS, ids=str)
def config(request: pytest.FixtureRequest) -> GridConfig:
    return CONFIGS[request.param]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_pictures_do_not_depend_on_their_batch(config: GridConfig, guidance: float) -> None:
    model, numbers, conditions = network(config), uniforms(config, 5), condition(config, 5)
    options = SamplingOptions(guidance=guidance)
    together: list[torch.Tensor] = []
    batch = sample(model, conditions, numbers, options=options, observe=together.append)
    for k in range(5):
        alone: list[torch.Tensor] = []
        row = slice(k, k + 1)
        picture = sample(
            model, conditions[row], numbers[row], options=options, observe=alone.append
        )
        assert torch.equal(picture[0], batch[k])
        torch.testing.assert_close(
            torch.cat(alone), torch.stack(together)[:, k], rtol=1e-4, atol=1e-4
        )


def test_uniforms_do_not_depend_on_how_many() -> None:
    config = gated()
    whole = uniforms(config, 5)
    assert whole.shape == (5, 3, 4, 5)
    assert 0 <= float(whole.min()) <= float(whole.max()) < 1
    generator = torch.Generator().manual_seed(3)
    parts = [draw_uniforms(generator, n, config) for n in (1, 3, 1)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("options", [SamplingOptions(), SamplingOptions(temperature=0.8)])
@pytest.mark.parametrize(
    "config",
    [
        gated(channels=2, height=1, width=2, levels=3),
        gated(channels=2, height=2, width=1, levels=3, channel_order="head"),
        gated(
            channels=2, height=2, width=1, levels=3,
            channel_order="likelihood", likelihood="logistic",
        ),
        baseline(channels=1, height=2, width=2, levels=3),
    ],
    ids=["groups", "head", "likelihood", "baseline"],
)  # fmt: skip
def test_frequencies_are_the_probabilities(config: GridConfig, options: SamplingOptions) -> None:
    """Of all 81 pictures of a tiny grid: chi-square against the exact probabilities."""
    model, n = network(config), 20_000
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    every = every.view(-1, config.channels, config.height, config.width)
    if options.temperature == 1.0:
        with torch.no_grad():
            expected = model.log_prob(every).flatten(1).sum(1).exp() * n
    else:
        expected = torch.zeros(len(every))
        logs: list[torch.Tensor] = []
        mask = torch.ones(every.shape[1:], dtype=torch.bool)
        numbers = torch.zeros(every.shape)
        sample(
            model, None, numbers, known=every, known_mask=mask.expand_as(every),
            observe=logs.append,
        )  # fmt: skip
        # Grid order and picture order are the same here up to the axes' order.
        values = every.permute(2, 3, 1, 0).reshape(4, -1)
        for log_p, value in zip(logs, values, strict=True):
            tempered = torch.log_softmax(log_p / options.temperature, -1)
            expected += tempered.gather(1, value[:, None])[:, 0]
        expected = expected.exp() * n
    pictures = sample(model, None, uniforms(config, n), options=options).flatten(1)
    code = (pictures * torch.tensor([27, 9, 3, 1])).sum(1)
    counted = torch.bincount(code, minlength=81).float()
    assert float(expected.sum()) == pytest.approx(n, rel=1e-4)
    often = expected > 5
    chi_square = ((counted - expected)[often] ** 2 / expected[often]).sum()
    # 80 degrees of freedom: a right sampler exceeds 130 once in 3000 seeds, and this one is fixed.
    assert float(chi_square) < 130


@pytest.mark.parametrize("method", ["naive", "incremental"])
def test_steps_are_reported_and_change_nothing(config: GridConfig, method: Any) -> None:
    seen: list[tuple[int, int, torch.Tensor]] = []
    inputs = network(config), condition(config, 2), uniforms(config, 2)
    picture = sample(
        *inputs,
        on_step=lambda done, total, so_far: seen.append((done, total, so_far().clone())),
        method=method,
    )
    assert torch.equal(picture, sample(*inputs, method=method))
    patch = getattr(config, "patch", 1)
    positions = config.height * config.width // patch**2
    assert [done for done, _, _ in seen] == list(range(positions + 1))
    raster = torch.arange(positions).view(config.height // patch, config.width // patch)
    for done, total, so_far in seen:
        assert total == positions
        drawn = (raster < done).repeat_interleave(patch, 0).repeat_interleave(patch, 1)
        assert torch.equal(so_far, picture * drawn)


def test_guidance_of_one_and_no_condition() -> None:
    config = CONFIGS["groups"]
    model, numbers = network(config), uniforms(config, 2)
    plain = sample(model, None, numbers)
    assert torch.equal(sample(model, None, numbers, options=SamplingOptions(guidance=3.0)), plain)
    null = sample(model, model.null_condition(2), numbers)
    assert torch.equal(null, plain)
    conditions = condition(config, 2)
    zero = sample(model, conditions, numbers, options=SamplingOptions(guidance=0.0))
    assert torch.equal(zero, plain)
    assert not torch.equal(sample(model, conditions, numbers), plain)


def test_cold_or_narrow_sampling_takes_the_likeliest_values() -> None:
    config = CONFIGS["groups"]
    model = network(config)
    results = [
        sample(model, None, uniforms(config, 1, seed), options=options)
        for seed in (1, 2)
        for options in (SamplingOptions(temperature=1e-4), SamplingOptions(top_p=1e-6))
    ]
    assert all(torch.equal(result, results[0]) for result in results)


def test_values_of_no_probability_are_never_drawn() -> None:
    infinity = float("inf")
    log_p = torch.tensor([[-infinity, 0.0, -infinity, 0.0, -infinity, -infinity]])
    for u, expected in ((0.0, 1), (0.4999, 1), (0.5, 3), (BELOW_ONE, 3)):
        out = torch.zeros(1, 1, dtype=torch.long)
        invert_cdf(log_p, torch.tensor([[u]]), SamplingOptions(), out)
        assert out.item() == expected
    # Uniforms from elsewhere may hold 1 itself.
    config = CONFIGS["baseline"]
    ones = torch.ones(1, 3, 4, 5, dtype=torch.float64)
    assert sample(network(config), None, ones).max() < config.levels


@pytest.mark.parametrize("kind", [LogisticMixture, CoupledLogisticMixture])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_the_short_ways_to_a_mixture(kind: Callable[[int, int, int], Mixture], levels: int) -> None:
    torch.manual_seed(0)
    likelihood = kind(2, levels, 3)
    before = torch.randint(levels, (200, 1))
    shape = (200, 1 if likelihood.coupled else 2, likelihood.parameters_per_value)
    for channel, scale in itertools.product(range(2), (1.0, 4.0)):
        parameters = scale * torch.randn(shape)
        exact = likelihood.log_distribution(parameters, before, channel)
        components = likelihood.components(parameters, before, channel)
        differences = mixture_by_differences(*components, levels)
        torch.testing.assert_close(differences.exp(), exact.exp(), rtol=1e-4, atol=1e-6)
        # Right in proportion also where a level is as good as impossible: guidance divides by it.
        products = mixture_by_products(*components, levels)
        impossible = exact < math.log(1e-36)
        torch.testing.assert_close(products[~impossible], exact[~impossible], rtol=1e-6, atol=1e-4)
        assert (products[impossible] < math.log(1.1e-36)).all()
        if levels == 256 and scale > 1:
            assert (exact < -60).any()


def test_heat_raises_no_rounding_errors() -> None:
    """What float32 takes for nothing beside the total is not nothing once it is p^(1/3)."""
    likelihood = LogisticMixture(1, 256, 2)
    parameters = torch.tensor([[[0.0, 0.0, -0.8, -0.7, -4.0, -4.0]]])
    sampler = ValueSampler(likelihood, SamplingOptions(temperature=3.0), guided=False)
    found = sampler.log_distribution(parameters, torch.zeros(1, 0), 0)
    exact = likelihood.log_distribution(parameters, torch.zeros(1, 0), 0)
    torch.testing.assert_close(
        torch.softmax(found / 3, -1), torch.softmax(exact / 3, -1), rtol=1e-3, atol=1e-9
    )


def test_every_bit_of_a_seed_counts() -> None:
    seeds = (1, 2**32, 2**32 + 1, 2**33 + 1, 2**63 - 1, 2**31 - 1)
    drawn = [tuple(torch.rand(3, generator=seeded(seed)).tolist()) for seed in seeds]
    assert len({*drawn}) == len(seeds)
    assert drawn[0] == tuple(torch.rand(3, generator=torch.Generator().manual_seed(1)).tolist())
    salted = torch.rand(3, generator=seeded(5, 0x5DEECE66D)).tolist()
    plain = torch.Generator().manual_seed(5 ^ 0x5DEECE66D)
    assert salted == torch.rand(3, generator=plain).tolist()


def test_top_p_keeps_the_smallest_sufficient_set() -> None:
    log_p = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log().expand(1000, 4)
    out = torch.zeros(1000, 1, dtype=torch.long)
    numbers = torch.linspace(0, BELOW_ONE, 1000)[:, None]
    shares = (1e-320, 0.4, 0.6, 0.8, 1.0)
    for top_p, kept in zip(shares, ([1], [1], [1, 3], [1, 2, 3], [0, 1, 2, 3]), strict=True):
        invert_cdf(log_p, numbers, SamplingOptions(top_p=top_p), out)
        assert out.unique().tolist() == kept


def test_the_model_is_left_as_it_was() -> None:
    model = network(CONFIGS["groups"]).train()
    threads = torch.get_num_threads()
    picture = sample(model, None, uniforms(CONFIGS["groups"], 1))
    assert model.training
    assert torch.get_num_threads() == threads
    assert picture.dtype == torch.long
    assert not picture.is_inference()


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": float("nan")},
        {"guidance": float("inf")},
    ],
    ids=str,
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SamplingOptions(**options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"uniforms": torch.zeros(1, 3, 5, 4)}, "uniforms"),
        ({"uniforms": torch.zeros(0, 3, 4, 5)}, "uniforms"),
        ({"known": torch.zeros(3, 4, 5)}, "go together"),
        ({"known": torch.zeros(3, 4, 4), "known_mask": torch.ones(3, 4, 5)}, "known must"),
        ({"known": torch.full((3, 4, 5), 5), "known_mask": torch.ones(3, 4, 5)}, "0 … 4"),
        ({"condition": Condition(torch.zeros(2, dtype=torch.long))}, "classes"),
        ({"condition": Condition(vector=torch.zeros(1, 4))}, "vector"),
        ({"method": "fast"}, "method"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    config = CONFIGS["groups"]
    given = {"condition": None, "uniforms": uniforms(config, 1), **arguments}
    with pytest.raises(ValueError, match=message):
        sample(network(config), given.pop("condition"), given.pop("uniforms"), **given)


def test_guidance_outside_of_its_interval_is_that_of_no_guidance() -> None:
    """The first half of the positions is drawn as without guidance, to the bit; the rest is not."""
    config = gated(classes=3)
    model, conditions, numbers = network(config), condition(config, 4), uniforms(config, 4)
    plain = sample(model, conditions, numbers)
    for schedule, options in (
        ("interval", SamplingOptions(guidance=4.0, guidance_schedule="0.5:1")),
        ("linear", SamplingOptions(guidance=4.0, guidance_schedule="linear")),
    ):
        found = sample(model, conditions, numbers, options=options)
        naive = sample(model, conditions, numbers, options=options, method="naive")
        assert torch.equal(found, naive), schedule
        assert not torch.equal(found, plain)
        half = config.height * config.width // 2
        if schedule == "interval":
            assert torch.equal(found.flatten(2)[..., :half], plain.flatten(2)[..., :half])
