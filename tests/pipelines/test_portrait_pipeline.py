"""Portraits and interpolations of tiny random weights: what depends on what."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.imaging.alignment import TEMPLATE
from pixelgen.imaging.faces import Face
from pixelgen.models import (
    FaceEmbedderConfig,
    GatedPixelCNNConfig,
    TokenizerConfig,
    build_model,
)
from pixelgen.pipelines import PortraitPipeline
from pixelgen.pipelines.portrait_pipeline import path_through


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"size": 16, "patch": 2, "wide_features": 8, "wide_blocks": 1, "deep_features": 8}
    codec = build_model(
        TokenizerConfig(
            **sizes, deep_blocks=1, output_features=4, code_size=4, code_channels=2, levels=5
        )
    )
    embedder = build_model(
        FaceEmbedderConfig(**sizes, deep_blocks=1, place_features=4, embedding=6)
    )
    model = build_model(
        GatedPixelCNNConfig(
            channels=2,
            height=4,
            width=4,
            levels=5,
            features=8,
            layers=1,
            kernel=3,
            first_kernel=3,
            output_features=8,
            channel_order="head",
            head_features=4,
            vector=6,
        )
    )
    for parameter in model.parameters():  # a vector that makes a difference
        torch.nn.init.normal_(parameter, std=0.3)
    return save_checkpoint(
        tmp_path_factory.mktemp("weights") / "faces", model, tokenizer=codec, embedder=embedder
    )


@pytest.fixture(scope="module")
def pipe(folder: Path) -> PortraitPipeline:
    return PortraitPipeline.from_pretrained(folder, "cpu")


def photo(seed: int, side: int = 16) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8))


def same(first: list[Image.Image], second: list[Image.Image]) -> bool:
    return [i.tobytes() for i in first] == [i.tobytes() for i in second]


def test_portraits_depend_on_the_photo_and_the_seed_alone(pipe: PortraitPipeline) -> None:
    result = pipe([photo(1)], n=5, seed=3, aligned=True)
    assert [i.size for i in result.images] == [(16, 16)] * 5
    assert same(result.sources, [photo(1)])
    assert len({i.tobytes() for i in result.images}) == 5
    assert all(-1 <= s <= 1 for s in result.similarity)
    assert all(0 < b < 5 for b in result.bits_per_dim)
    expected = {"n": 5, "temperature": 1.0, "top_p": 1.0, "guidance": 1.0}
    assert result.parameters == expected
    again = pipe([photo(1)], n=5, seed=3, aligned=True, batch_size=2)
    assert same(result.images, again.images)
    assert not same(result.images, pipe([photo(2)], n=5, seed=3, aligned=True).images)
    assert not same(result.images, pipe([photo(1)], n=5, seed=4, aligned=True).images)
    guided = pipe([photo(1)], n=5, seed=3, aligned=True, guidance=3.0)
    assert not same(result.images, guided.images)
    assert pipe([photo(1)], aligned=True).seed >= 0


def test_of_several_photos_the_mean_counts(pipe: PortraitPipeline) -> None:
    both = pipe([photo(1), photo(2)], n=2, seed=0, aligned=True)
    swapped = pipe([photo(2), photo(1)], n=2, seed=0, aligned=True)
    assert same(both.images, swapped.images)
    assert len(both.sources) == 2
    twice = pipe([photo(1), photo(1)], n=2, seed=0, aligned=True)
    assert same(twice.images, pipe([photo(1)], n=2, seed=0, aligned=True).images)


def test_frames_share_their_random_numbers(pipe: PortraitPipeline) -> None:
    there = pipe.interpolate([photo(1), photo(2)], 5, seed=7, aligned=True)
    back = pipe.interpolate([photo(2), photo(1)], 5, seed=7, aligned=True, batch_size=1)
    assert same(there.images, back.images[::-1])
    assert there.parameters["steps"] == 5
    # The ends are what portraits with the same numbers show.
    assert same(there.images[:1], pipe([photo(1)], n=1, seed=7, aligned=True).images)
    still = pipe.interpolate([photo(1), photo(1)], 4, seed=7, aligned=True)
    assert len({i.tobytes() for i in still.images}) == 1


def test_paths() -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    straight = path_through(points, 5, slerp=False)
    torch.testing.assert_close(straight[1], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(straight[::2], points)
    arc = path_through(points, 5, slerp=True)
    torch.testing.assert_close(arc.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(arc[1], torch.tensor([math.sqrt(0.5)] * 2))
    same_place = path_through(points[:1].repeat(2, 1), 3, slerp=True)
    torch.testing.assert_close(same_place, points[:1].repeat(3, 1))
    assert torch.equal(path_through(points, 1, slerp=False), points[:1])


class Finder:
    """Finds the faces that it is told of."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, image: Image.Image) -> list[Face]:
        return self.faces


def face(x: float, y: float, scale: float) -> Face:
    a, b, c, d, e = ((x + scale * u, y + scale * v) for u, v in TEMPLATE)
    return Face((x, y, x + 64 * scale, y + 64 * scale), 0.9, (a, b, c, d, e))


def test_faces_are_found_and_aligned(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    picture = photo(3, 64)
    finder = Finder(face(0, 0, 0.5), face(32, 32, 0.25))
    pipe = PortraitPipeline(checkpoint, detector=finder)
    first, second = pipe.crop(picture), pipe.crop(picture, face=2)
    # The second face is exactly as large as the crop: no pixel is interpolated.
    assert np.abs(np.asarray(second, int) - np.asarray(picture, int)[32:48, 32:48]).max() <= 1
    assert first.size == (16, 16)
    assert first.tobytes() != second.tobytes()
    with pytest.raises(PixelgenError, match=r"me\.jpg has 2 faces, no number 3"):
        pipe.crop(picture, face=3, name="me.jpg")
    with pytest.raises(PixelgenError, match="no face found in the photo") as caught:
        PortraitPipeline(checkpoint, detector=Finder()).crop(picture)
    assert caught.value.exit_code == 3


def test_what_cannot_be_done(pipe: PortraitPipeline, weights: Path) -> None:
    with pytest.raises(PixelgenError, match="tiny has no face embedder"):
        PortraitPipeline.from_pretrained(weights)
    with pytest.raises(PixelgenError, match="a photo must be given"):
        pipe([])
    with pytest.raises(PixelgenError, match="at least 2 photos"):
        pipe.interpolate([photo(1)], aligned=True)
    with pytest.raises(PixelgenError, match="n must be at least 1"):
        pipe([photo(1)], n=0, aligned=True)
    with pytest.raises(PixelgenError, match="steps must be at least 1"):
        pipe.interpolate([photo(1), photo(2)], 0, aligned=True)
    with pytest.raises(PixelgenError, match="temperature must be above 0"):
        pipe([photo(1)], temperature=0, aligned=True)
