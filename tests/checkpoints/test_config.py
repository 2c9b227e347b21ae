"""What `config.json` says about weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixelgen.checkpoints import CheckpointConfig, read_config
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.models import GatedPixelCNNConfig

KINDS = {
    "weights": ("pixelcnn", "a PixelCNN", True, False),
    "code_weights": ("coded-pixelcnn", "a PixelCNN of codes", True, True),
    "face_weights": ("coded-pixelcnn", "a PixelCNN of codes", True, True),
    "autoencoders": ("autoencoder", "an autoencoder", False, False),
}


@pytest.mark.parametrize("fixture", KINDS)
def test_kinds(fixture: str, request: pytest.FixtureRequest) -> None:
    config = read_config(request.getfixturevalue(fixture), fixture)
    found = (config.kind, config.kind_with_article, config.can_sample, config.can_encode)
    assert found == KINDS[fixture]
    assert CheckpointConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_sampling_is_refused_with_what_to_do_instead(autoencoders: Path) -> None:
    error = read_config(autoencoders, "auto").cannot_sample_error("auto")
    assert isinstance(error, UsageError)
    assert error.message.startswith("auto is an autoencoder: it samples only reconstructions")
    assert (error.hint, error.code) == ("use ReconstructPipeline", "only-reconstructs")


@pytest.mark.parametrize(
    ("classes", "labels", "says"),
    [
        (1, (), "0 labels for a model of 1 class"),
        (2, (5,), "1 label for a model of 2 classes"),
        (0, (5, 6), "2 labels for a model of 0 classes"),
    ],
)
def test_labels_are_counted_in_words(classes: int, labels: tuple[int, ...], says: str) -> None:
    model = GatedPixelCNNConfig(height=4, width=4, classes=classes)
    with pytest.raises(ValueError, match=f"^{says}$"):
        CheckpointConfig(model=model, labels=labels)


@pytest.mark.parametrize(
    ("labels", "names", "of_imagenet"),
    [
        ((), (), False),
        ((8, 207), (), True),
        ((0, 1), ("bus", "cat"), False),
        ((8, 1000), (), False),
    ],
)
def test_classes_of_imagenet_have_its_numbers_and_no_names(
    labels: tuple[int, ...], names: tuple[str, ...], of_imagenet: bool
) -> None:
    model = GatedPixelCNNConfig(classes=len(labels))
    config = CheckpointConfig(model=model, labels=labels, class_names=names)
    assert config.has_imagenet_classes == of_imagenet


def test_a_newer_format_asks_for_a_newer_pixelgen(weights: Path, tmp_path: Path) -> None:
    values = json.loads((weights / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"format": 2}))
    with pytest.raises(PixelgenError, match="format 2 is newer than this pixelgen") as caught:
        read_config(tmp_path, "w")
    assert caught.value.hint == "`git pull`, then `pip install .` in a clone of pixelgen"


@pytest.mark.parametrize("change", ["value", "key", "list"])
def test_half_of_a_character_is_refused(change: str, weights: Path, tmp_path: Path) -> None:
    half = "\ud800"
    data = {"value": {"path": half}, "key": {half: 1}, "list": {"path": [[half]]}}[change]
    values = json.loads((weights / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"data": data}))
    with pytest.raises(PixelgenError, match="a string in it is not valid Unicode"):
        read_config(tmp_path, "w")
