"""A batch that is split among threads: the same pictures, and one end of it."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
import torch

from pixelgen.sampling import SamplingOptions, incremental_gated, sample, sample_scored
from pixelgen.sampling.value_sampler import ValueSampler

from .networks import baseline, condition, gated, network, uniforms

CONFIGS = {
    "head": gated(classes=3, vector=2, given_channels=2, channel_order="head"),
    "groups": gated(vector=2, map_channels=2, normalisation="channel", skip_outputs=True),
    "coupled": gated(classes=3, channel_order="likelihood", likelihood="logistic"),
    "patches": gated(classes=3, channel_order="head", patch=2, width=6, embedding="table"),
}
MODEL = network(CONFIGS["head"])


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every picture were worth one."""
    torch.set_num_threads(3)
    monkeypatch.setattr(incremental_gated, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(incremental_gated, "LEAST_ROWS", 1)


def draw(n: int, **more: Any) -> torch.Tensor:
    config = MODEL.config
    return sample(MODEL, condition(config, n), uniforms(config, n), **more)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("name", CONFIGS)
def test_parts_make_the_same_pictures(name: str, n: int, guidance: float) -> None:
    config = CONFIGS[name]
    inputs = network(config), condition(config, n), uniforms(config, n)
    options = SamplingOptions(temperature=0.8, guidance=guidance)
    shape = (config.channels, config.height, config.width)
    known = torch.arange(n * torch.Size(shape).numel()).view(n, *shape) % config.levels
    mask = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0)) < 0.2
    some: dict[str, Any] = {"known": known, "known_mask": mask}
    for given in ({}, some):
        found = sample(*inputs, options=options, **given)
        assert torch.equal(found, sample(*inputs, options=options, method="naive", **given))
    assert torch.equal(found[mask], known[mask])


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("name", [*CONFIGS, "baseline"])
def test_log_probabilities_are_those_of_the_network(name: str, guidance: float) -> None:
    config = CONFIGS.get(name) or baseline(classes=3)
    model, conditions = network(config), condition(config, 5)
    options = SamplingOptions(temperature=0.8, guidance=guidance, top_p=0.9)
    known = torch.zeros(config.channels, config.height, config.width)
    some: dict[str, Any] = {"known": known, "known_mask": torch.rand(known.shape) < 0.2}
    for given in ({}, some):
        x, found = sample_scored(model, conditions, uniforms(config, 5), options=options, **given)
        assert torch.equal(
            x, sample(model, conditions, uniforms(config, 5), options=options, **given)
        )
        with torch.no_grad():
            torch.testing.assert_close(found, model.log_prob(x, conditions))


def test_log_probabilities_are_of_the_network_that_drew() -> None:
    """Without dropout, and fit to take part in training, also of a network that is in training."""
    config = gated(classes=3, channel_order="likelihood", likelihood="logistic", dropout=0.5)
    model, conditions = network(config), condition(config, 2)
    _, expected = sample_scored(model, conditions, uniforms(config, 2))
    _, found = sample_scored(model.train(), conditions, uniforms(config, 2))
    assert model.training
    assert torch.equal(found, expected)
    assert not found.is_inference()


def test_what_is_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """An observer sees all pictures at once, and small steps are not worth a thread."""
    counts: list[int] = []
    parts = incremental_gated._thread_count
    monkeypatch.setattr(
        incremental_gated,
        "_thread_count",
        lambda *given: counts.append(parts(*given)) or counts[-1],
    )
    draw(5)
    draw(2)
    draw(1)
    draw(5, observe=lambda _: None)
    monkeypatch.setattr(incremental_gated, "WORK_PER_THREAD", 2 * 12**2)
    draw(5)
    assert counts == [3, 2, 1, 1, 2]


def test_a_position_is_reported_when_all_have_drawn_it() -> None:
    seen: list[tuple[int, torch.Tensor]] = []
    final = draw(5, on_step=lambda done, _, so_far: seen.append((done, so_far().clone())))
    positions = MODEL.config.height * MODEL.config.width
    assert [done for done, _ in seen] == [*range(positions + 1)]
    for done, picture in seen:
        assert torch.equal(picture.flatten(2)[..., :done], final.flatten(2)[..., :done])
        assert not picture.flatten(2)[..., done:].any()
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("on_step", [None, lambda *_: None])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_goes_wrong_in_a_part_is_raised(
    monkeypatch: pytest.MonkeyPatch, failing: int, on_step: Any
) -> None:
    """The whole ends, and says what was wrong."""
    call = ValueSampler.__call__
    firsts = [0, 1, 3]  # of 5 pictures in three parts
    wrong = uniforms(MODEL.config, 5)[firsts[failing], 0, 0, 0]

    def fail(self: ValueSampler, parameters: Any, before: Any, c: int, u: Any, *rest: Any) -> None:
        if c == 0 and bool((u[0, 0] == wrong).item()):
            raise IndexError("beyond the last")
        call(self, parameters, before, c, u, *rest)

    monkeypatch.setattr(ValueSampler, "__call__", fail)
    with pytest.raises(IndexError, match="beyond the last"):
        draw(5, on_step=on_step)


def test_an_interrupt_ends_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stop at their next position."""
    interrupted = Event()
    advance, late = incremental_gated._ParallelRun._advance, []

    def tell(self: Any, k: int, done: int) -> None:
        if done > 3:  # nobody runs ahead of the interrupt
            assert interrupted.wait(10)
            late.append(done)
        advance(self, k, done)

    def stop(done: int, *_: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    def end(self: Any) -> None:
        ended(self)
        interrupted.set()

    ended = incremental_gated._ParallelRun._stop
    monkeypatch.setattr(incremental_gated._ParallelRun, "_advance", tell)
    monkeypatch.setattr(incremental_gated._ParallelRun, "_stop", end)
    with pytest.raises(KeyboardInterrupt):
        draw(5, on_step=stop)
    assert set(late) <= {4}
