"""Codes are what the quantizer says, gradients pass, and both grids of codes work."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelgen.models import TokenizerConfig, build_model, config_from_dict
from pixelgen.models.likelihood import to_signed
from pixelgen.models.tokenizer import ScalarQuantizer, binomial_filter, to_bytes

SMALL = {
    "size": 16,
    "wide_features": 8,
    "deep_features": 12,
    "wide_blocks": 1,
    "deep_blocks": 1,
    "output_features": 4,
    "code_channels": 3,
}


def tokenizer(**options: float):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return build_model(TokenizerConfig(**{**SMALL, "code_size": 2, **options}))  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.integers(2, 17))
def test_every_level_is_reached_and_none_beyond(levels: int) -> None:
    quantizer = ScalarQuantizer(levels)
    z = torch.linspace(-20, 20, 4001)
    codes = quantizer.codes(z)
    assert codes.unique().tolist() == list(range(levels))
    assert (codes.diff() >= 0).all()
    # What the decoder is trained on is what it will be given.
    torch.testing.assert_close(quantizer(z), quantizer.values(codes))
    assert [float(end) for end in quantizer.values(codes).aminmax()] == [-1, 1]


@settings(deadline=None)
@given(st.integers(3, 16))
def test_zero_is_inside_a_level(levels: int) -> None:
    quantizer = ScalarQuantizer(levels)
    near = torch.tensor([-1e-3, 0.0, 1e-3])
    assert len(quantizer.codes(near).unique()) == 1


def test_gradients_pass_straight_through() -> None:
    quantizer, z = ScalarQuantizer(8), torch.randn(50, requires_grad=True)
    (gradient,) = torch.autograd.grad(quantizer(z).sum(), z)
    smooth = torch.autograd.grad(to_signed(quantizer.bound(z) + 4, 8).sum(), z)[0]
    torch.testing.assert_close(gradient, smooth)
    assert (gradient > 0).all()


@pytest.mark.parametrize("code_size", [2, 4])
def test_shapes_and_gradients(code_size: int) -> None:
    model = tokenizer(code_size=code_size)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    codes = model.encode(images)
    assert codes.shape == (2, *model.config.code_shape) == (2, 3, code_size, code_size)
    assert codes.dtype == torch.int64
    assert codes.min() >= 0
    assert codes.max() < model.config.levels
    made, z = model(images)
    assert made.shape == images.shape
    torch.testing.assert_close(z, model.quantizer.values(codes))
    torch.testing.assert_close(made.clamp(-1, 1), model.decode(codes))
    # From the second step on, when the zeros of the residual blocks are gone.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made, _ = model(images)
    made.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_codes_of_a_place_are_of_that_place() -> None:
    """With a mirrored picture and no deep stage between, only codes near the change differ."""
    model = tokenizer(code_size=4, size=32, patch=8, deep_blocks=0)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    other = images.clone()
    other[..., :8, :8] = 1.0
    differ = (model.encoder(images) != model.encoder(other)).any(1)[0]
    assert differ[0, 0]
    assert not differ[3, 3]


def test_smoothing_is_a_mean_of_neighbours() -> None:
    pictures = torch.rand(2, 3, 4, 5) * 2 - 1
    padded = torch.nn.functional.pad(pictures, (1, 1, 1, 1), "replicate")
    expected = torch.zeros_like(pictures)
    for down, row in enumerate((1, 2, 1)):
        for right, column in enumerate((1, 2, 1)):
            shifted = padded[:, :, down : down + 4, right : right + 5]
            expected += row * column / 16 * shifted
    torch.testing.assert_close(binomial_filter(pictures), expected)


def test_a_decoder_smooths_by_a_share() -> None:
    plain, smooth = tokenizer(), tokenizer(smoothing=0.25)
    codes = torch.randint(0, 8, (2, 3, 2, 2))
    z = plain.quantizer.values(codes)
    before = plain.decoder(z)
    expected = 0.75 * before + 0.25 * binomial_filter(before)
    torch.testing.assert_close(smooth.decoder(z), expected)
    plain.set_smoothing(0.25)
    assert torch.equal(plain.decoder(z), smooth.decoder(z))
    assert plain.config == smooth.config
    assert config_from_dict(plain.config.to_dict()) == plain.config
    with pytest.raises(ValueError, match="smoothing must lie between 0 and 1, not 2"):
        plain.set_smoothing(2)


def test_smoothing_is_in_full_precision() -> None:
    smooth = tokenizer(smoothing=0.25)
    codes = smooth.encode(torch.rand(2, 3, 16, 16) * 2 - 1)
    plain = smooth.decode(codes, smooth=False)
    with torch.autocast("cpu", torch.bfloat16):
        made = smooth.decode(codes), smooth(plain)[0]
        filtered = binomial_filter(plain)
    assert {picture.dtype for picture in made} == {torch.float32}
    assert torch.equal(filtered, binomial_filter(plain))


def test_bytes_there_and_back() -> None:
    levels = torch.arange(256)
    assert torch.equal(to_bytes(to_signed(levels, 256)), levels.to(torch.uint8))
    assert to_bytes(torch.tensor([-3.0, 3.0, math.inf])).tolist() == [0, 255, 255]


def test_codes_of_every_level_fit_a_byte() -> None:
    """As the caches of codes and the files of `encode` store them."""
    codes = tokenizer(levels=256).quantizer.codes(torch.linspace(-20, 20, 1001))
    assert torch.equal(codes.to(torch.uint8).long(), codes)


def test_round_trip_of_the_configuration() -> None:
    config = TokenizerConfig(**SMALL, code_size=2)
    assert config_from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"size": 60}, "multiple of twice the patch"),
        ({"code_size": 5}, "code_size must be 8 or 16"),
        ({"levels": 1}, "levels must be at least 2"),
        ({"levels": 257}, "at most 256, not 257"),
        ({"code_channels": 0}, "code_channels must be at least 1"),
        ({"deep_blocks": -1}, "deep_blocks must not be negative"),
    ],
)
def test_bad_values(values: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TokenizerConfig(**values)
