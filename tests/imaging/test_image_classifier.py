"""The classifier that chooses among candidates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen.errors import PixelgenError
from pixelgen.imaging import image_classifier
from pixelgen.imaging.image_classifier import class_log_probs
from pixelgen.metrics.classifiers import Classifier, load_classifier

WEIGHTS = Path(__file__).parents[2] / "weights"
CELL = 64


@pytest.fixture
def forget_network() -> Iterator[None]:
    image_classifier.load_image_classifier.cache_clear()
    yield
    image_classifier.load_image_classifier.cache_clear()


@pytest.fixture(scope="module")
def samples() -> list[Image.Image]:
    """The first picture of each of the 20 rows of the sheet of `imagenet64`."""
    with Image.open(WEIGHTS / "imagenet64" / "samples.png") as sheet:
        grid = sheet.convert("RGB")
    pitch = CELL + 2  # rows are 2 pixels apart
    tops = range(0, grid.height, pitch)
    return [grid.crop((0, top, CELL, top + CELL)) for top in tops]


def test_it_is_the_network_of_the_package(samples: list[Image.Image]) -> None:
    """Weights of 8 bits change log-probabilities little."""
    pixels = torch.tensor(np.stack([np.asarray(image) for image in samples])).permute(0, 3, 1, 2)
    package = Classifier(*load_classifier("lite0", "this test"), size=image_classifier._SIDE)
    expected = package.logits(pixels).log_softmax(1).max(1)
    scores = torch.tensor(class_log_probs(samples, expected.indices.tolist()))
    assert (scores - expected.values).abs().mean() < 0.15


def test_pictures_are_most_clearly_of_their_own_class(samples: list[Image.Image]) -> None:
    labels = [50, 109, 151, 291, 323, 365, 421, 445, 471, 511]
    labels += [567, 621, 682, 735, 774, 821, 866, 909, 945, 970]
    own = class_log_probs(samples, labels)
    another = class_log_probs(samples, labels[1:] + labels[:1])
    assert sum(a > b for a, b in zip(own, another, strict=True)) >= 18


def test_probabilities_of_the_known_classes_sum_to_one(samples: list[Image.Image]) -> None:
    known = [50, 109, 151]
    scores = class_log_probs(samples[:1] * 3, known, among=known)
    assert np.exp(scores).sum() == pytest.approx(1)
    every = class_log_probs(samples[:1] * 3, known)
    assert np.subtract(scores, every) == pytest.approx(scores[0] - every[0], abs=1e-4)


def test_a_picture_is_scored_alone_and_on_one_core(samples: list[Image.Image]) -> None:
    before, scores = torch.get_num_threads(), set()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            scores.add(class_log_probs(samples[:1], [50])[0])
            scores.add(class_log_probs(samples[:3], [50, 50, 50])[0])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert len(scores) == 1


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (300, 20)])
def test_pictures_of_any_size_and_mode(size: tuple[int, int]) -> None:
    colours = Image.new("RGB", size, (120, 120, 120))
    assert class_log_probs([colours.convert("L")], [7]) == class_log_probs([colours], [7])
    assert class_log_probs([colours], [7])[0] < 0


@pytest.mark.usefixtures("forget_network")
def test_broken_weights_are_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (None, b"broken"):
        path = tmp_path / "a.safetensors"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(image_classifier, "_WEIGHTS", path)
        with pytest.raises(
            PixelgenError, match=r"^the classifier of candidates does not load: [^\n]*$"
        ):
            class_log_probs([Image.new("RGB", (8, 8))], [7])
