"""Codes that are improved for a picture lose less of it, and depend on no other picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.errors import UsageError
from pixelgen.imaging import read_image, square
from pixelgen.metrics.reconstruction import psnr
from pixelgen.models import TokenizerConfig, build_model
from pixelgen.models.likelihood import to_signed
from pixelgen.models.tokenizer import Tokenizer, to_bytes
from pixelgen.pipelines import CodecPipeline, optimised_codes
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.pipelines.optimised_codes import optimise_codes

PORTRAIT = Path(__file__).parents[1] / "assets" / "female-6.jpg"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    torch.manual_seed(0)
    sizes = {"size": 16, "patch": 2, "wide_features": 8, "wide_blocks": 1, "deep_features": 8}
    config = TokenizerConfig(**sizes, output_features=4, code_size=4, code_channels=2)
    model = build_model(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand((3, 3, 16, 16), generator=torch.Generator().manual_seed(1)) * 2 - 1


def lost(tokenizer: Tokenizer, images: Tensor, codes: Tensor) -> Tensor:
    """What `optimise_codes` minimises, of each of `images`."""
    classifier = optimised_codes.load_image_classifier()
    with torch.no_grad():
        pictures = tokenizer.decoder(tokenizer.quantizer.values(codes))
        seen, target = (optimised_codes._see(classifier, x) for x in (pictures, images))
        return optimised_codes._loss(pictures, images, seen, target)


def test_less_is_lost(tokenizer: Tokenizer, images: Tensor) -> None:
    first = tokenizer.encode(images)
    best = optimise_codes(tokenizer, images, 6)
    assert best.shape == first.shape
    assert best.dtype == torch.int64
    assert 0 <= int(best.min()) <= int(best.max()) < tokenizer.config.levels
    before, after = lost(tokenizer, images, first), lost(tokenizer, images, best)
    assert (after <= before).all()
    assert (after < before).any()
    assert torch.equal(optimise_codes(tokenizer, images, 0), first)


def test_of_a_step_that_loses_more_nothing_is_kept(
    tokenizer: Tokenizer, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimised_codes, "_RATE", 1e3)
    best = optimise_codes(tokenizer, images, 3)
    before = lost(tokenizer, images, tokenizer.encode(images))
    assert (lost(tokenizer, images, best) <= before).all()


def test_a_picture_does_not_depend_on_the_others(tokenizer: Tokenizer, images: Tensor) -> None:
    together = optimise_codes(tokenizer, images, 4)
    alone = torch.cat([optimise_codes(tokenizer, one[None], 4) for one in images])
    # Sums are rounded in another order, which may move a number across the edge of a level.
    assert (together == alone).double().mean() > 0.98


def test_nothing_of_the_network_changes(tokenizer: Tokenizer, images: Tensor) -> None:
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    optimised_codes.load_image_classifier.cache_clear()
    optimised_codes._load_classifier.cache_clear()
    with torch.inference_mode():
        inside = optimise_codes(tokenizer, images, 2)
    assert torch.equal(inside, optimise_codes(tokenizer, images, 2))
    assert all(torch.equal(before[n], value) for n, value in tokenizer.state_dict().items())
    assert all(parameter.grad is None for parameter in tokenizer.parameters())


def test_bundled_weights_keep_more_of_a_photo() -> None:
    codec = load_checkpoint("imagenet64").codec
    x = to_signed(to_tensor([square(read_image(PORTRAIT), 64)]), 256)
    first, best = codec.encode(x), optimise_codes(codec, x, 3)
    assert float(lost(codec, x, best)) < 0.97 * float(lost(codec, x, first))
    with torch.no_grad():
        near = psnr(to_bytes(x), to_bytes(codec.decode(best)))
    assert float(near) > 20  # dB: what the classifier sees is not all


def test_steps_by_the_pipeline() -> None:
    loaded = pixelgen.load("imagenet64", "cpu")
    pipe = CodecPipeline(loaded.checkpoint)
    photo = read_image(PORTRAIT)
    codes = pipe.encode([photo, photo], code_steps=1)
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(loaded.encode(photo, code_steps=1).codes[0], codes[0])
    assert not torch.equal(loaded.encode(photo).codes[0], codes[0])
    (shown,) = loaded.reconstruct(photo, code_steps=1).items
    assert shown.image.tobytes() == pipe.decode(codes[:1])[0].tobytes()
    for call in (loaded.encode, loaded.reconstruct, pipe.encode):
        with pytest.raises(UsageError, match="code_steps must be at least 0, not -1"):
            call([photo], code_steps=-1)
    others = pixelgen.load("autoencoder32", "cpu")
    with pytest.raises(UsageError, match="code_steps requires a tokenizer, autoencoder32 recon"):
        others.reconstruct(photo, code_steps=1)
