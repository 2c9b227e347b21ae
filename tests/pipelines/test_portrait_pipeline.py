"""Portraits and interpolations of tiny random weights: what depends on what."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.imaging.alignment import TEMPLATE
from pixelgen.imaging.faces import Face
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.pipelines import PortraitPipeline, PortraitRequest, Weights
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.portrait_pipeline import best_of_each
from pixelgen.sampling import SamplingOptions


@pytest.fixture(scope="module")
def loaded(face_weights: Path) -> Weights:
    return pixelgen.load(face_weights, "cpu")


def photo(seed: int, side: int = 16) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8))


def same(first: list[Image.Image], second: list[Image.Image]) -> bool:
    return [i.tobytes() for i in first] == [i.tobytes() for i in second]


def test_portraits_depend_on_the_photo_and_the_seed_alone(loaded: Weights) -> None:
    result = loaded.portrait([photo(1)], n=5, seed=3, aligned=True)
    assert [i.size for i in result.images] == [(16, 16)] * 5
    assert same(result.sources, [photo(1)])
    assert len({i.tobytes() for i in result.images}) == 5
    assert all(-1 <= s <= 1 for s in result.similarity)
    assert all(0 < b < 5 for b in result.bits_per_dim)
    expected = {"n": 5, "temperature": 1.0, "top_p": 1.0, "guidance": 1.0, "candidates": 1}
    assert result.parameters == expected
    again = loaded.portrait([photo(1)], n=5, seed=3, aligned=True, batch_size=2)
    assert same(result.images, again.images)
    assert not same(result.images, loaded.portrait([photo(2)], n=5, seed=3, aligned=True).images)
    assert not same(result.images, loaded.portrait([photo(1)], n=5, seed=4, aligned=True).images)
    guided = loaded.portrait([photo(1)], n=5, seed=3, aligned=True, guidance=3.0)
    assert not same(result.images, guided.images)
    assert loaded.portrait([photo(1)], aligned=True).seed >= 0


def test_of_candidates_the_most_like_the_person_are_kept(loaded: Weights) -> None:
    drawn = loaded.portrait([photo(1)], n=6, seed=3, aligned=True)
    made = loaded.portrait([photo(1)], n=2, candidates=3, seed=3, aligned=True, batch_size=4)
    kept = [max(range(g, g + 3), key=drawn.similarity.__getitem__) for g in (0, 3)]
    assert same(made.images, [drawn.images[i] for i in kept])
    assert made.similarity == pytest.approx([drawn.similarity[i] for i in kept])
    assert made.bits_per_dim == pytest.approx([drawn.bits_per_dim[i] for i in kept])
    assert made.parameters["candidates"] == 3
    assert same(
        made.images[:1], loaded.portrait([photo(1)], 1, candidates=3, seed=3, aligned=True).images
    )
    with pytest.raises(PixelgenError, match="candidates must be a whole number above 0, not 0"):
        loaded.portrait([photo(1)], candidates=0, aligned=True)


def test_the_weights_say_how_many_candidates(loaded: Weights) -> None:
    made = replace(loaded.checkpoint.config, sampling=SamplingOptions(candidates=4))
    assert PortraitRequest.for_person(made, "w", 1, 3).candidate_count == 12
    assert PortraitRequest.for_person(made, "w", 1, 3, candidates=2).candidate_count == 6
    path = PortraitRequest.for_path(made, "w", 2, 3)
    assert (path.candidate_count, path.parameters()["candidates"]) == (12, 4)
    for wrong in (0, -1, 1.5, "4", True, math.inf):
        with pytest.raises(ValueError, match="candidates"):
            SamplingOptions(candidates=wrong)  # type: ignore[arg-type]


def test_of_several_ways_the_nearest_to_its_places_is_kept(loaded: Weights) -> None:
    photos = [photo(1), photo(2)]
    first = loaded.interpolate(photos, steps=3, seed=1, aligned=True, candidates=1)
    made = loaded.interpolate(photos, steps=3, seed=1, aligned=True, candidates=5)
    again = loaded.interpolate(photos, steps=3, seed=1, aligned=True, candidates=5, batch_size=4)
    assert same(made.images, again.images)
    assert sum(made.similarity) >= sum(first.similarity)
    assert made.parameters["candidates"] == 5
    assert len(made.images) == len(made.similarity) == len(made.bits_per_dim) == 3
    # Alike in their random numbers, as the frames of one way are: the same face at all places
    # gives the same picture.
    still = loaded.interpolate([photo(1), photo(1)], steps=3, seed=1, aligned=True, candidates=5)
    assert same(still.images, [still.images[0]] * 3)
    found = [
        loaded.interpolate(photos, steps=3, seed=1, aligned=True, candidates=k) for k in (2, 3, 4)
    ]
    best = max([first, *found, made], key=lambda one: sum(one.similarity))
    assert same(best.images, made.images)


def test_nearest() -> None:
    assert best_of_each([0.1, 0.3, 0.2, 0.5, 0.5, 0.4, 0.9], 3) == [1, 3]
    assert best_of_each([0.1, 0.3], 1) == [0, 1]
    assert best_of_each([], 2) == []


def test_of_several_photos_the_mean_counts(loaded: Weights) -> None:
    both = loaded.portrait([photo(1), photo(2)], n=2, seed=0, aligned=True)
    swapped = loaded.portrait([photo(2), photo(1)], n=2, seed=0, aligned=True)
    assert same(both.images, swapped.images)
    assert len(both.sources) == 2
    twice = loaded.portrait([photo(1), photo(1)], n=2, seed=0, aligned=True)
    assert same(twice.images, loaded.portrait([photo(1)], n=2, seed=0, aligned=True).images)


def test_frames_share_their_random_numbers(loaded: Weights) -> None:
    there = loaded.interpolate([photo(1), photo(2)], steps=5, seed=7, aligned=True)
    back = loaded.interpolate([photo(2), photo(1)], steps=5, seed=7, aligned=True, batch_size=1)
    assert same(there.images, back.images[::-1])
    assert there.parameters["steps"] == 5
    # The ends are what portraits with the same numbers show.
    assert same(there.images[:1], loaded.portrait([photo(1)], n=1, seed=7, aligned=True).images)
    still = loaded.interpolate([photo(1), photo(1)], steps=4, seed=7, aligned=True)
    assert len({i.tobytes() for i in still.images}) == 1


def test_paths() -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    straight = interpolate_path(points, 5, slerp=False)
    torch.testing.assert_close(straight[1], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(straight[::2], points)
    arc = interpolate_path(points, 5, slerp=True)
    torch.testing.assert_close(arc.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(arc[1], torch.tensor([math.sqrt(0.5)] * 2))
    same_place = interpolate_path(points[:1].repeat(2, 1), 3, slerp=True)
    torch.testing.assert_close(same_place, points[:1].repeat(3, 1))
    assert torch.equal(interpolate_path(points, 1, slerp=False), points[:1])


class Finder:
    """Finds the faces that it is told of."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, image: Image.Image) -> list[Face]:
        return self.faces


def face(x: float, y: float, scale: float) -> Face:
    a, b, c, d, e = ((x + scale * u, y + scale * v) for u, v in TEMPLATE)
    return Face((x, y, x + 64 * scale, y + 64 * scale), 0.9, (a, b, c, d, e))


def test_faces_are_found_and_aligned(face_weights: Path) -> None:
    checkpoint = load_checkpoint(face_weights)
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
    assert isinstance(caught.value, InputError)


def test_pictures_may_be_smaller_than_faces(loaded: Weights, tmp_path: Path) -> None:
    config = GatedPixelCNNConfig(
        height=8, width=8, features=6, layers=0, output_features=6, vector=6
    )
    save_checkpoint(tmp_path / "pixels", build_model(config), embedder=loaded.checkpoint.embedder)
    small = pixelgen.load(tmp_path / "pixels", "cpu")
    result = small.portrait([photo(1)], n=2, seed=0, aligned=True)
    assert [i.size for i in result.images] == [(8, 8)] * 2
    assert [i.size for i in result.sources] == [(16, 16)]
    assert len(result.similarity) == 2


def test_weights_without_the_null_vector(loaded: Weights, tmp_path: Path) -> None:
    made = loaded.checkpoint
    save_checkpoint(
        tmp_path / "strict",
        made.model,
        tokenizer=made.codec,
        embedder=made.embedder,
        training={"class_dropout": 0.0},
    )
    strict = pixelgen.load(tmp_path / "strict", "cpu")
    assert len(strict.portrait([photo(1)], n=1, aligned=True, guidance=1.0).images) == 1
    with pytest.raises(PixelgenError, match="strict allows no guidance") as caught:
        strict.portrait([photo(1)], aligned=True, guidance=2.0)
    assert isinstance(caught.value, UsageError)
    assert not {"complete", "score"} & set(strict.can)
    says = "strict draws from faces alone: it was not trained without them"
    with pytest.raises(UsageError, match=says):
        strict.complete(photo(1), keep="top:50%")
    with pytest.raises(UsageError, match=says):
        strict.score(photo(1))


def test_nothing_to_guide_by(loaded: Weights) -> None:
    with pytest.raises(UsageError, match="faces allows no guidance: it has no condition to guide"):
        loaded.complete(photo(1), keep="top:50%", guidance=2.0)


def test_a_request_is_of_so_many_photos(loaded: Weights) -> None:
    config = loaded.checkpoint.config
    request = PortraitRequest.for_path(config, "faces", 2, 3, slerp=True, seed=1)
    assert (request.count, request.face_size) == (3, 16)
    assert request.parameters()["slerp"] is True
    with pytest.raises(ValueError, match="1 crops for a request of 2 photos"):
        PortraitPipeline(loaded.checkpoint).run(request, [photo(1)])


def test_what_cannot_be_done(loaded: Weights, weights: Path) -> None:
    with pytest.raises(PixelgenError, match="tiny has no face embedder"):
        PortraitPipeline.from_pretrained(weights)
    with pytest.raises(PixelgenError, match="a photo must be given"):
        loaded.portrait([])
    with pytest.raises(PixelgenError, match="at least 2 photos"):
        loaded.interpolate([photo(1)], aligned=True)
    with pytest.raises(PixelgenError, match="n must be at least 1"):
        loaded.portrait([photo(1)], n=0, aligned=True)
    with pytest.raises(PixelgenError, match="steps must be at least 3, not 2"):
        loaded.interpolate([photo(1), photo(2), photo(3)], steps=2, aligned=True)
    with pytest.raises(PixelgenError, match="temperature must be above 0"):
        loaded.portrait([photo(1)], temperature=0, aligned=True)
    with pytest.raises(TypeError, match="tempreture"):
        loaded.portrait([photo(1)], tempreture=1, aligned=True)  # type: ignore[call-arg]
