"""One encoder, two decoders: where gradients go, and what the likelihood is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pixelgen.models import AutoencoderConfig, build_model, config_from_dict
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import to_signed
from pixelgen.training.principal_components import principal_components

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
    "mean": {},
    "principal": {"map_channels": 3},
}
OF_ENCODER: dict[str, dict[str, Any]] = {
    "mean": {"mean_channels": 4},
    "principal": {"mean_channels": 4, "principal": True},
}


def autoencoder(condition: str = "vector", inner: int = 0, **options: Any) -> Autoencoder:
    """With random weights everywhere, so that nothing is zero by its start."""
    pixels = {**PIXELS, **CONDITIONS[condition], **options}
    values = {**SMALL, **OF_ENCODER.get(condition, {}), "inner": inner, "pixels": pixels}
    config = config_from_dict(values)
    assert isinstance(config, AutoencoderConfig)
    assert config_from_dict(config.to_dict()) == config
    model = build_model(config)
    randomise(model, 0)
    if model.principal is not None:
        images = torch.randint(256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(2))
        found = principal_components(images, 5, mirrored=True)
        model.principal.load_state_dict(found)
    return model.eval()


def pictures(count: int = 2) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_gradient_of_the_likelihood_reaches_the_encoder(condition: str) -> None:
    model = autoencoder(condition)
    x = pictures()
    model.log_prob(x, model.encode(to_signed(x, 256))).mean().backward()
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        # What is null stands for h where it is left out, and the other decoder has no part: where
        # its picture is seen, errors of the PixelCNN do not reach it.
        without = name.startswith(("mean.", "pixels.null_"))
        assert reached == (not without), name


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_likelihood_is_that_of_the_pixelcnn_given_h(condition: str) -> None:
    model, x = autoencoder(condition), pictures()
    h = model.encode(to_signed(x, 256))
    assert h.shape == (2, 5)
    assert model.principal is not None or h.abs().max() <= 1
    own = model.log_prob(x, h)
    told = model.condition(h)
    assert torch.equal(own, model.pixels.log_prob(x, told))
    if model.config.mean_channels:
        assert told.map is not None
        assert told.map.shape == (2, 4, 4, 4)
        known = model.condition(h, model.predict(h)).map
        assert known is not None
        assert torch.equal(told.map, known)
        alone = model.pixels.log_prob(x, Condition(vector=h))
        assert not torch.allclose(own, alone)
    else:
        assert torch.equal(own, model.pixels.log_prob(x, Condition(vector=h)))
    assert not torch.allclose(own, model.log_prob(x, h.flip(0)))
    assert not torch.allclose(own, model.pixels.log_prob(x))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_h_moves_no_value_into_the_past(condition: str) -> None:
    """With h given, no distribution depends on its own value or on a later one."""
    model = autoencoder(condition)
    config, x = model.config.pixels, pictures(1)
    h = model.encode(to_signed(x, 256)).detach()
    embedded = to_signed(model.pixels.to_grid(x), 256).requires_grad_()
    out = model.pixels.parameters_of(embedded, model.condition(h))[0]  # [H, W, C, P]
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
    h = model.encode(to_signed(pictures(3), 256))
    made = model.mean(h)
    assert made.shape == (3, 3, 8, 8)
    assert torch.equal(model.decode(h), made.clamp(-1, 1))
    (gradient,) = torch.autograd.grad(made[0].sum(), h)
    assert (gradient[0] != 0).all()
    assert not gradient[1:].any()


def test_principal_components_begin_as_the_best_linear_auto_encoder() -> None:
    """No other plane is nearer to the pictures, for the first numbers alone as for all of them; and
    that is what an untrained network does."""
    draw = torch.Generator().manual_seed(0)
    mixed = torch.randn(300, 12, generator=draw) * torch.logspace(2, 0, 12)
    images = (mixed @ torch.randn(12, 3 * 8 * 8, generator=draw) + 128).clamp(0, 255)
    images = images.view(-1, 3, 8, 8).to(torch.uint8)
    found = principal_components(images, 5)
    config = config_from_dict({**SMALL, "inner": 2, "principal": True, "pixels": PIXELS})
    assert isinstance(config, AutoencoderConfig)
    model = build_model(config).eval()
    assert model.principal is not None
    model.principal.load_state_dict(found)
    x = to_signed(images, 256)
    with torch.no_grad():
        h = model.encode(x)
        torch.testing.assert_close(h.mean(0), torch.zeros(5), atol=1e-3, rtol=0)
        torch.testing.assert_close(h.var(0, correction=0), torch.ones(5), atol=1e-2, rtol=0)
        values = torch.linalg.svdvals((x.flatten(1) - x.flatten(1).mean(0)).double())
        for kept in (2, 5):
            error = (model.predict(model.truncate(h, kept)) - x).double().square().sum()
            torch.testing.assert_close(error, values[kept:].square().sum(), rtol=1e-3, atol=0)
        assert torch.equal(model.predict(h), model.principal.pictures(h))


def test_mirror_images_count_as_pictures() -> None:
    """Among pictures and their mirror images neither side is the brighter one."""
    one = torch.zeros(40, 3, 8, 8, dtype=torch.uint8)
    one[:, :, :, :4] = torch.arange(40)[:, None, None, None] * 6
    plain, both = (
        principal_components(one, 1, mirrored=mirrored)["components"] for mirrored in (False, True)
    )
    plain, both = plain.view(3, 8, 8).abs(), both.view(3, 8, 8).abs()
    assert plain[..., 4:].max() < 1e-6 < plain[..., :4].min()
    torch.testing.assert_close(both, both.flip(2), atol=0.02, rtol=0.05)


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
        assert config_from_dict({**values, "bottleneck": 4}).bottleneck == 4
    assert config_from_dict({"model": "autoencoder"}).height == 32


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_inner_bottleneck_tells_its_numbers_alone(condition: str) -> None:
    model = autoencoder(condition, inner=2)
    assert model.config.bottlenecks == (2, 5)
    inner, images = model.eval().with_latent_dims(2), to_signed(pictures(), 256)
    h, few = model.encode(images), inner.encode(images)
    assert torch.equal(few[:, :2], h[:, :2])
    assert not few[:, 2:].any()
    assert bool(h[:, 2:].all())
    assert {id(p) for p in inner.parameters()} == {id(p) for p in model.parameters()}
    # Whatever the other numbers are, the smaller code says the same.
    changed = torch.cat((h[:, :2], -h[:, 2:]), 1)
    assert torch.equal(model.truncate(changed, 2), few)
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
        ({"mean_channels": -1}, "_channels must not be negative"),
        ({"principal": True, "bottleneck": 193}, "at most as many as a picture's 192 values"),
        ({"pixels": {"given_channels": 3}}, "pixels.given_channels must be 0, not 3"),
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
