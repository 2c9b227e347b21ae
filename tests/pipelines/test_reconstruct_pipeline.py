"""Pictures drawn anew by random auto-encoders: what depends on what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import ReconstructionMetrics, cut_tiles
from pixelgen.models import TokenizerConfig, build_model
from pixelgen.models.likelihood import bits_per_dim, to_signed
from pixelgen.models.tokenizer import to_bytes
from pixelgen.pipelines import (
    CodecPipeline,
    InterpolationRequest,
    ReconstructPipeline,
    ReconstructResult,
    SamplingProgress,
    Weights,
)
from pixelgen.pipelines.conversion import to_tensor


@pytest.fixture(scope="module")
def loaded(autoencoders: Path) -> Weights:
    return pixelgen.load(autoencoders, "cpu")


def photo(seed: int, width: int = 8, height: int = 8) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


def rows(result: ReconstructResult) -> list[list[bytes]]:
    return [[image.tobytes() for image in row] for row in result.rows()]


def test_every_bottleneck_gives_a_mean_and_samples(loaded: Weights) -> None:
    images = [photo(1), photo(2)]
    result = loaded.reconstruct(images, n=4, seed=3)
    assert [i.tobytes() for i in result.sources] == [i.tobytes() for i in images]
    assert [[made.bottleneck for made in row] for row in result.by_source] == [[2, 5], [2, 5]]
    for image, row in zip(images, result.by_source, strict=True):
        x = to_tensor([image])
        for made in row:
            assert made.bottleneck is not None
            model = loaded.checkpoint.autoencoders[made.bottleneck]
            h = model.encode(to_signed(x, 256))
            mean = to_bytes(model.decode(h))
            assert torch.equal(to_tensor([made.image]), mean)
            assert made.bits_per_dim == pytest.approx(
                float(bits_per_dim(model.log_prob(x.long(), h))), abs=1e-4
            )
            assert made.likeness == ReconstructionMetrics.compare(image, made.image)
            assert len({sample.tobytes() for sample in made.samples}) == 4
            assert made.samples_likeness == [
                ReconstructionMetrics.compare(image, s) for s in made.samples
            ]
    assert [len(row) for row in result.rows()] == [11, 11]
    assert result.parameters == {
        "bottlenecks": [2, 5], "n": 4, "temperature": 0.9, "top_p": 1.0, "guidance": 1.0,
    }  # fmt: skip


def test_only_pictures_options_and_seed_decide(loaded: Weights) -> None:
    images = [photo(1), photo(2)]
    options: dict[str, Any] = {"n": 2, "seed": 3, "guidance": 2.0}
    first = loaded.reconstruct(images, **options, batch_size=3)
    assert rows(loaded.reconstruct(images, **options, batch_size=1)) == rows(first)
    assert rows(loaded.reconstruct(images[:1], **options)) == rows(first)[:1]
    only = loaded.reconstruct(images, **options, bottlenecks=[5])
    assert [row[1:] for row in rows(only)] == [row[4:] for row in rows(first)]
    drawn = loaded.reconstruct(images, 2)
    again = loaded.reconstruct(images, 2, seed=drawn.seed)
    assert rows(again) == rows(drawn)
    for change in ({"seed": 4}, {"temperature": 0.5}, {"guidance": 1.0}):
        other = loaded.reconstruct(images, **{**options, **change})
        assert rows(other)[0][:2] == rows(first)[0][:2]
        assert rows(other)[0][2] != rows(first)[0][2]


def test_pieces_of_a_photo(loaded: Weights) -> None:
    image = photo(5, 20, 13)
    result = loaded.reconstruct([photo(1), image], n=2, seed=3, cut="patches")
    assert [i.size for i in result.sources] == [(8, 8), (20, 13)]
    assert {i.size for i in result.rows()[1]} == {(20, 13)}
    pieces = cut_tiles(image, 8)
    alone = loaded.reconstruct([photo(1), *pieces], n=2, seed=3)
    for place, whole in enumerate(result.by_source[1]):
        parts = [row[place] for row in alone.by_source[1:]]
        assert whole.bits_per_dim == pytest.approx(np.mean([p.bits_per_dim for p in parts]))
        for made, of in (
            (whole.image, [p.image for p in parts]),
            (whole.samples[1], [p.samples[1] for p in parts]),
        ):
            assert cut_tiles(made, 8)[0].tobytes() == of[0].tobytes()
            assert cut_tiles(made, 8)[4].tobytes()[:12] == of[4].tobytes()[:12]
    with pytest.raises(PixelgenError, match="longest requires patches"):
        loaded.reconstruct([image], n=1, longest=10)
    shrunk = loaded.reconstruct([image], n=1, cut="patches", longest=10)
    assert shrunk.sources[0].size == (10, 6)


def test_cuts(loaded: Weights) -> None:
    image = photo(6, 30, 20)
    crop, stretch = (
        loaded.reconstruct([image], 1, cut=cut).sources[0] for cut in ("crop", "stretch")
    )
    assert crop.size == stretch.size == (8, 8)
    assert crop.tobytes() != stretch.tobytes()
    assert loaded.reconstruct([image.convert("L")], 1).sources[0].mode == "RGB"


def test_progress_counts_all_samples(loaded: Weights) -> None:
    seen: list[tuple[int, float]] = []

    def on_step(moment: SamplingProgress) -> None:
        if moment.done == moment.positions:
            seen.append((moment.first, moment.share))

    loaded.reconstruct([photo(1), photo(2)], n=2, batch_size=3, on_step=on_step)
    assert seen == [(0, 3 / 8), (3, 4 / 8), (4, 7 / 8), (7, 1)]


def test_no_pictures(loaded: Weights) -> None:
    result = loaded.reconstruct([])
    assert (result.sources, result.by_source, result.rows()) == ([], [], [])


def test_interpolation_goes_from_one_to_the_other(loaded: Weights) -> None:
    a, b = photo(1, 12, 9), photo(2)
    result = loaded.interpolate([a, b], steps=5, seed=3)
    assert result.bottleneck == 5
    assert [len(result.images), len(result.means), len(result.bits_per_dim)] == [5, 5, 5]
    ends = loaded.reconstruct([a, b], n=1, seed=3, bottlenecks=[5])
    assert [i.tobytes() for i in result.sources] == [i.tobytes() for i in ends.sources]
    for end, row in ((0, ends.by_source[0]), (-1, ends.by_source[1])):
        assert result.means[end].tobytes() == row[0].image.tobytes()
    assert result.images[0].tobytes() == ends.by_source[0][0].samples[0].tobytes()
    assert len({i.tobytes() for i in result.images}) == 5
    # One stream of random numbers: the same code gives the same picture, whatever its place.
    still = loaded.interpolate([a, a], steps=3, seed=3)
    assert {i.tobytes() for i in still.images} == {result.images[0].tobytes()}
    turned = loaded.interpolate([b, a], steps=5, seed=3)
    assert turned.images[-1].tobytes() == result.images[0].tobytes()
    small = loaded.interpolate([a, b], steps=5, bottleneck=2, seed=3)
    assert small.bottleneck == 2
    assert small.means[0].tobytes() != result.means[0].tobytes()
    assert small.parameters["steps"] == 5
    # Through a third picture, and never fewer frames than pictures.
    path = loaded.interpolate([a, b, a], steps=5, seed=3)
    assert [path.images[i].tobytes() for i in (0, 2, 4)] == [
        result.images[i].tobytes() for i in (0, 4, 0)
    ]
    for images, steps, says in (([a], 5, "at least 2 photos"), ([a, b, a], 2, "at least 3, not")):
        with pytest.raises(PixelgenError, match=says):
            loaded.interpolate(images, steps=steps)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"size": 8, "patch": 2, "wide_features": 8, "wide_blocks": 1, "deep_features": 8}
    config = TokenizerConfig(**sizes, output_features=4, code_size=2, code_channels=2)
    return save_checkpoint(tmp_path_factory.mktemp("weights") / "tok", build_model(config))


def test_by_a_tokenizer(tokenizer: Path) -> None:
    loaded = pixelgen.load(tokenizer, "cpu")
    image = photo(4, 20, 13)
    result = loaded.reconstruct([image])
    expected = CodecPipeline.from_pretrained(tokenizer, "cpu").reconstruct([image])
    ((made,),) = result.by_source
    assert made.image.tobytes() == expected[0].tobytes()
    assert (made.bottleneck, made.samples, made.bits_per_dim) == (None, [], None)
    assert (result.seed, result.parameters) == (None, {"code_steps": 0})
    assert loaded.reconstruct([image], cut="patches").rows()[0][1].size == (20, 13)
    with pytest.raises(PixelgenError, match="n requires auto-encoders, tok reconstructs by its"):
        loaded.reconstruct([image], n=2)
    with pytest.raises(PixelgenError, match="tok has no auto-encoder"):
        InterpolationRequest.from_options(loaded.config, loaded.name, 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bottlenecks": [3]}, r"auto has no bottleneck of 3 numbers"),
        ({"n": 0}, "n must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_bad_requests(loaded: Weights, options: dict[str, Any], says: str) -> None:
    with pytest.raises(PixelgenError, match=says) as caught:
        loaded.reconstruct([photo(1)], **options)
    assert isinstance(caught.value, UsageError)
    if "bottlenecks" in options:
        with pytest.raises(PixelgenError, match=says):
            loaded.interpolate([photo(1), photo(2)], bottleneck=3)


def test_weights_that_reconstruct_nothing(weights: Path) -> None:
    with pytest.raises(PixelgenError, match="tiny has no tokenizer"):
        ReconstructPipeline.from_pretrained(weights, "cpu")


def test_guidance_where_h_was_never_left_out(autoencoders: Path, tmp_path: Path) -> None:
    first, second = load_checkpoint(autoencoders).autoencoders.values()
    for training in ({"class_dropout": 0.0}, {"others": [{"class_dropout": 0.0}]}):
        save_checkpoint(tmp_path / "w", first, others=[second], training=training)
        loaded = pixelgen.load(tmp_path / "w", "cpu")
        with pytest.raises(PixelgenError, match="w allows no guidance"):
            loaded.reconstruct([photo(1)], guidance=2.0)
        with pytest.raises(PixelgenError, match="w allows no guidance"):
            loaded.interpolate([photo(1), photo(2)], guidance=2.0)
        assert loaded.reconstruct([photo(1)], guidance=1.0).by_source
