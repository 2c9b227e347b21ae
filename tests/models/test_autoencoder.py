"""One encoder, two decoders: where gradients go, and what the likelihood is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pixelgen.models import AutoencoderConfig, build_model, config_from_dict
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import to_unit

from .cases import randomise

PIXELS = {
    "features": 8,
    "layers": 1,
    "kernel": 3,
    "first_kernel": 3,
    "output_features": 12,
    "channel_order": "head",
    "head_features": 4,
    "likelihood": "logistic",
    "mixtures": 2,
    "patch": 2,
}
SMALL = {
    "model": "autoencoder",
    "size": 8,
    "patch": 2,
    "wide_features": 8,
    "wide_blocks": 1,
    "deep_features": 8,
    "deep_blocks": 1,
    "place_features": 4,
    "output_features": 4,
    "bottleneck": 5,
}
CONDITIONS: dict[str, dict[str, Any]] = {
    "vector": {},
    "map": {"map_channels": 3, "vector_bias": False},
    "both": {"map_channels": 3},
}


def autoencoder(condition: str = "vector", **options: Any) -> Autoencoder:
    """With random weights everywhere, so that nothing is zero by its start."""
    pixels = {**PIXELS, **CONDITIONS[condition], **options}
    config = config_from_dict({**SMALL, "pixels": pixels})
    assert isinstance(config, AutoencoderConfig)
    model = build_model(config)
    randomise(model, 0)
    return model.eval()


def pictures(count: int = 2) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_gradient_of_the_likelihood_reaches_the_encoder(condition: str) -> None:
    model = autoencoder(condition)
    x = pictures()
    model.log_prob(x, model.encode(to_unit(x, 256))).mean().backward()
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        # The null vector stands for h where it is left out, and the other decoder has no part.
        assert reached == (not name.startswith("mean.") and name != "pixels.null_vector"), name


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_likelihood_is_that_of_the_pixelcnn_given_h(condition: str) -> None:
    model, x = autoencoder(condition), pictures()
    h = model.encode(to_unit(x, 256))
    assert h.shape == (2, 5)
    assert h.abs().max() <= 1
    own = model.log_prob(x, h)
    assert torch.equal(own, model.pixels.log_prob(x, Condition(vector=h)))
    assert not torch.allclose(own, model.log_prob(x, h.flip(0)))
    assert not torch.allclose(own, model.pixels.log_prob(x))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_h_moves_no_value_into_the_past(condition: str) -> None:
    """With h given, no distribution depends on its own value or on a later one."""
    model = autoencoder(condition)
    config, x = model.config.pixels, pictures(1)
    h = model.encode(to_unit(x, 256)).detach()
    embedded = to_unit(model.pixels.to_grid(x), 256).requires_grad_()
    out = model.pixels.parameters_of(embedded, Condition(vector=h))[0]  # [H, W, C, P]
    order = torch.arange(config.grid_height * config.grid_width * config.grid_channels)
    order = order.view(config.grid_height, config.grid_width, config.grid_channels)
    seen = False
    for i, j, c in ((0, 0, 0), (0, 0, 5), (1, 2, 3), (2, 1, 0), (3, 3, 11)):
        (gradient,) = torch.autograd.grad(out[i, j, c].sum(), embedded, retain_graph=True)
        reach = gradient[0].permute(1, 2, 0) != 0
        assert not reach[order >= order[i, j, c]].any()
        seen |= bool(reach.any())
    assert seen


def test_the_mean_decoder_mirrors_the_encoder() -> None:
    model = autoencoder()
    h = model.encode(to_unit(pictures(3), 256))
    made = model.mean(h)
    assert made.shape == (3, 3, 8, 8)
    assert torch.equal(model.decode(h), made.clamp(-1, 1))
    (gradient,) = torch.autograd.grad(made[0].sum(), h)
    assert (gradient[0] != 0).all()
    assert not gradient[1:].any()


def test_rates_are_those_of_the_pixelcnn() -> None:
    model = autoencoder(head_linear_mean=True)
    rates = model.learning_rates()
    assert rates.keys() <= dict(model.named_parameters()).keys()
    assert list(rates.values()) == list(model.pixels.learning_rates().values())
    assert len(rates) == 3


def test_round_trip_of_the_configuration() -> None:
    for bottleneck in (3, 7):
        config = config_from_dict({**SMALL, "bottleneck": bottleneck, "pixels": PIXELS})
        assert isinstance(config, AutoencoderConfig)
        assert config.pixels.vector == bottleneck
        assert (config.pixels.height, config.pixels.width) == (8, 8)
        values = config.to_dict()
        assert config_from_dict(values) == config
        assert "vector" not in values["pixels"]
        # So that another bottleneck takes no second change.
        assert config_from_dict({**values, "bottleneck": 4}).bottleneck == 4  # type: ignore[union-attr]
    assert config_from_dict({"model": "autoencoder"}).height == 32


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_inner_bottleneck_tells_its_numbers_alone(condition: str) -> None:
    config = config_from_dict({**SMALL, "inner": 2, "pixels": {**PIXELS, **CONDITIONS[condition]}})
    assert isinstance(config, AutoencoderConfig)
    assert config.bottlenecks == (2, 5)
    assert config_from_dict(config.to_dict()) == config
    model = build_model(config)
    randomise(model, 0)
    inner, images = model.eval().keeping(2), to_unit(pictures(), 256)
    h, few = model.encode(images), inner.encode(images)
    assert torch.equal(few[:, :2], h[:, :2])
    assert not few[:, 2:].any()
    assert bool(h[:, 2:].all())
    assert {id(p) for p in inner.parameters()} == {id(p) for p in model.parameters()}
    # Whatever the other numbers are, the smaller code says the same.
    changed = torch.cat((h[:, :2], -h[:, 2:]), 1)
    assert torch.equal(model.shortened(changed, 2), few)
    assert not torch.equal(model.log_prob(pictures(), few), model.log_prob(pictures(), h))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"inner": 5}, "inner must lie in 0 … bottleneck - 1"),
        ({"inner": -1}, "inner must lie in 0 … bottleneck - 1"),
        ({"bottleneck": 0}, "bottleneck must be at least 1"),
        ({"bottleneck": "10"}, "bottleneck must be of type int"),
        ({"size": 10}, "multiple of twice the patch"),
        ({"place_features": 0}, "place_features must be at least 1"),
        ({"pixels": 3}, "pixels must be a table"),
        ({"pixels": {"feature": 3}}, r"pixels: unknown key 'feature'.*features"),
        ({"pixels": {"vector": 9}}, "pixels.vector must be 5, not 9"),
        ({"pixels": {"levels": 5}}, "pixels.levels must be 256, not 5"),
        ({"pixels": {"classes": 2}}, "pixels.classes must be 0"),
        ({"pixels": {"model": "pixelcnn"}}, "pixels: this is the configuration of a pixelcnn"),
        ({"pixels": {"vector_bias": False}}, "h would have no effect"),
    ],
)
def test_bad_values(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        config_from_dict({**SMALL, **values})
