"""A model of two scales: exact, in its order, and sampled incrementally as naively."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import pixelgen
from pixelgen.models import MultiScaleConfig, config_from_dict
from pixelgen.models.conditioning import Condition
from pixelgen.sampling import SamplingOptions, draw_uniforms, sample, sample_scored

from .cases import random_model, random_pictures

SMALL: dict[str, Any] = {
    "channels": 1, "height": 4, "width": 6, "levels": 5, "features": 8, "layers": 1, "kernel": 3,
    "first_kernel": 3, "output_features": 8, "head_features": 4, "mixtures": 2,
    "context_features": 3,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "groups": {},
    "head-logistic-classes": {"channel_order": "head", "likelihood": "logistic", "classes": 3},
    "table-rgb": {"embedding": "table", "embedding_features": 2, "channels": 3, "features": 12,
                  "output_features": 12, "channel_order": "head", "normalisation": "channel"},
}  # fmt: skip


@pytest.fixture(params=CASES)
def model(request: pytest.FixtureRequest) -> Any:
    return random_model(MultiScaleConfig(**{**SMALL, **CASES[request.param]}))


def order(config: MultiScaleConfig) -> Tensor:
    """For every value of a picture [C, H, W] its place in the order of the model."""
    c, h, w = torch.meshgrid(
        *(torch.arange(n) for n in (config.channels, config.height, config.width)), indexing="ij"
    )
    r = config.patch
    rest = ((h % r > 0) | (w % r > 0)).long()
    place = h // r
    for size, part in ((config.width // r, w // r), (r, h % r), (r, w % r), (config.channels, c)):
        place = place * size + part
    return (rest * place.numel() + place).flatten().argsort().argsort().view_as(place)


def test_probabilities_add_up_to_one() -> None:
    config = MultiScaleConfig(**{**SMALL, "height": 2, "width": 4, "levels": 2})
    pictures = torch.cartesian_prod(*[torch.arange(2)] * 8).view(-1, 1, 2, 4)
    network = random_model(config)
    with torch.no_grad():
        log_prob = network.log_prob(pictures).double().sum((1, 2, 3))
        coarse = network.coarse.log_prob(pictures[:, :, ::2, ::2]).double().sum((1, 2, 3))
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-5)
    # Given each sub-sampled picture, those of the rest add up to 1 as well.
    rest = (log_prob - coarse).exp()
    kinds = pictures[:, 0, 0, 0] * 2 + pictures[:, 0, 0, 2]
    for kind in range(4):
        assert float(rest[kinds == kind].sum()) == pytest.approx(1, abs=1e-5)


def test_no_value_depends_on_later_ones(model: Any) -> None:
    config = model.config
    place, x = order(config), random_pictures(config, 1)
    count = place.numel()
    changed = x.repeat(count, 1, 1, 1)
    for number, row in enumerate(changed):
        value = row.view(-1)[(place.flatten() == number)]
        row.view(-1)[(place.flatten() == number)] = (value + 2) % config.levels
    with torch.no_grad():
        before, after = model.log_prob(x), model.log_prob(changed)
    for number in range(count):
        earlier, later = place < number, place > number
        torch.testing.assert_close(after[number][earlier], before[0][earlier], rtol=1e-5, atol=1e-5)
        if number == 0:  # and the first one tells about all
            assert float((after[0][later] - before[0][later]).abs().max()) > 1e-4


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_incremental_samples_are_the_naive_ones(model: Any, guidance: float) -> None:
    config, n = model.config, 3
    condition = Condition(torch.tensor([0, 2, 1])) if config.classes else None
    uniforms = draw_uniforms(torch.Generator().manual_seed(3), n, config)
    known = random_pictures(config, n, seed=1)
    mask = torch.rand(known.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    told: dict[str, Any] = {
        "options": SamplingOptions(guidance=guidance, guidance_schedule="linear"),
        "known": known, "known_mask": mask,
    }  # fmt: skip
    steps: list[tuple[int, int]] = []
    x, log_prob = sample_scored(
        model, condition, uniforms, on_step=lambda done, of, _: steps.append((done, of)), **told
    )
    assert torch.equal(x, sample(model, condition, uniforms, method="naive", **told))
    assert torch.equal(x[mask], known[mask])
    positions = config.grid_height * config.grid_width
    assert steps[0] == (0, positions)
    assert steps[-1] == (positions, positions)
    with torch.no_grad():
        torch.testing.assert_close(log_prob, model.log_prob(x, condition), rtol=1e-3, atol=1e-4)


def test_it_is_saved_drawn_completed_and_scored(tmp_path: Any) -> None:
    config = MultiScaleConfig(**{**SMALL, "channels": 3, "levels": 256, "height": 6,
                                 "features": 12, "output_features": 12, "classes": 2})  # fmt: skip
    network = random_model(config)
    assert config_from_dict(config.to_dict()) == config
    pixelgen.save(network, tmp_path / "two", class_names=["cat", "dog"])
    weights = pixelgen.load(tmp_path / "two")
    moments: list[tuple[float, ...]] = []
    (cat,) = weights.sample(
        "cat", seed=1, on_step=lambda at: moments.append((at.share, int(at.pending().sum())))
    )
    assert [moments[0], moments[-1]] == [(0, 36), (1, 0)]
    (score,) = weights.score(cat.image, label="cat")
    assert score.bits_per_dim == pytest.approx(cat.bits_per_dim, rel=1e-4)
    (filled,) = weights.complete(cat.image, box=(2, 2, 2, 2), raw=True, seed=2)
    assert filled.image.size == (6, 6)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"patch": 1}, "patch must be at least 2"),
        ({"height": 5}, "height .5. must be a multiple of patch"),
        ({"channel_order": "likelihood", "likelihood": "logistic"}, "'groups' or 'head'"),
        ({"vector": 3}, "vector does not apply"),
        ({"given_channels": 3}, "given_channels does not apply"),
        ({"context_features": 0}, "context_features must be at least 1"),
        ({"features": 6}, "features .6. must be a multiple of the grid's channels"),
    ],
)
def test_sizes_that_do_not_fit(wrong: dict[str, Any], says: str) -> None:
    config = MultiScaleConfig(**SMALL)
    with pytest.raises(ValueError, match=says):
        replace(config, **wrong)
