"""Embedders are rotated onto each other, and averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.cli.app import main
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.models.likelihood import to_signed
from pixelgen.pipelines import PortraitPipeline
from pixelgen.publishing.export import export_weights
from pixelgen.training.embedder_alignment import average_embedders, rotation_between

FACES = torch.randint(0, 256, (24, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
CONFIG = FaceEmbedderConfig(
    size=8, patch=2, wide_features=8, wide_blocks=1, deep_features=8, deep_blocks=1,
    place_features=4, embedding=4, mirror=True,
)  # fmt: skip


def embedder(seed: int, config: FaceEmbedderConfig = CONFIG) -> FaceEmbedder:
    torch.manual_seed(seed)
    network = FaceEmbedder(config).eval()
    with torch.no_grad():  # embeddings that differ from face to face
        network.out.bias.copy_(-network.out(F.silu(torch.zeros(network.out.in_features))))
        network.out.weight.mul_(20)
    return network


def raw(images: list[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in images]


def see(network: FaceEmbedder) -> torch.Tensor:
    with torch.inference_mode():
        return network(to_signed(FACES, 256)).clone()


def turned(network: FaceEmbedder, seed: int) -> tuple[FaceEmbedder, torch.Tensor]:
    """A network whose embeddings are those of `network`, rotated."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    copy = FaceEmbedder(network.config).eval()
    copy.load_state_dict(network.state_dict())
    with torch.no_grad():
        copy.out.weight.copy_(turn @ copy.out.weight)
        copy.out.bias.copy_(turn @ copy.out.bias)
    return copy, turn


def test_a_rotated_embedder_is_found_to_be_the_same() -> None:
    first = embedder(0)
    other, turn = turned(first, 1)
    torch.testing.assert_close(see(other), see(first) @ turn.t(), atol=1e-5, rtol=0)
    average = average_embedders([first, other], FACES)
    torch.testing.assert_close(see(average), see(first), atol=1e-5, rtol=0)
    assert len(average.ensemble) == 1


def test_an_ensemble_is_the_mean_of_aligned_embeddings() -> None:
    networks = [embedder(0), embedder(1), embedder(2, replace(CONFIG, patch=4, mirror=False))]
    first, second, third = map(see, networks)
    average = average_embedders(networks, FACES)
    total = first + second @ rotation_between(second, first).t()
    total = total + third @ rotation_between(third, first).t()
    torch.testing.assert_close(see(average), F.normalize(total, dim=1), atol=1e-5, rtol=0)
    torch.testing.assert_close(see(average).norm(dim=1), torch.ones(24))
    # An ensemble and a third network are one ensemble of three.
    pair = average_embedders(networks[:2], FACES)
    step = average_embedders([pair, networks[2]], FACES)
    assert [other.config.patch for other in step.ensemble] == [2, 4]
    # What was given is unchanged.
    assert torch.equal(see(networks[1]), second)


def test_an_ensemble_is_saved(tmp_path: Path) -> None:
    average = average_embedders([embedder(0), embedder(1)], FACES)
    save_checkpoint(tmp_path / "weights", average, dtype="float32")
    loaded = load_checkpoint(tmp_path / "weights").embedder
    assert loaded.config == average.config
    assert torch.equal(see(loaded), see(average))
    assert torch.equal(see(loaded.first()), see(embedder(0)))
    assert loaded.first().first().config == CONFIG


def test_configurations_of_ensembles() -> None:
    config = replace(CONFIG, ensemble=(replace(CONFIG, patch=4),))
    assert FaceEmbedderConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="must have the same size and embedding"):
        replace(CONFIG, ensemble=(replace(CONFIG, embedding=5),))
    with pytest.raises(ValueError, match="cannot be an ensemble itself"):
        replace(CONFIG, ensemble=(config,))
    nested: dict[str, Any] = CONFIG.to_dict()
    for _ in range(2000):
        nested = {**CONFIG.to_dict(), "ensemble": [nested]}
    with pytest.raises(ValueError, match="cannot be an ensemble itself"):
        FaceEmbedderConfig.from_dict(nested)
    for bad in (3, "x", [3]):
        with pytest.raises(ValueError, match="ensemble must be a list of configurations"):
            FaceEmbedderConfig.from_dict({**CONFIG.to_dict(), "ensemble": bad})
    with pytest.raises(ValueError, match="unknown key 'pach'"):
        FaceEmbedderConfig.from_dict({**CONFIG.to_dict(), "ensemble": [{"pach": 4}]})


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """40 faces of 10 people, 16×16."""
    pictures = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    people = [i // 4 for i in range(40)]
    return write_pictures(tmp_path_factory.mktemp("faces"), "train", list(pictures), people)


def test_export_of_an_ensemble(face_weights: Path, faces: Path, tmp_path: Path) -> None:
    before = load_checkpoint(face_weights)
    torch.manual_seed(5)
    other = FaceEmbedder(replace(before.embedder.config, patch=4)).eval()
    save_checkpoint(tmp_path / "other", other, training={"steps": 3})
    folder = tmp_path / "both"
    words = [str(face_weights), "--ensemble", str(tmp_path / "other"), "--faces", str(faces)]
    with pytest.raises(SystemExit) as ended:
        main(["export", *words, "-o", str(folder)])
    assert ended.value.code == 0
    both = load_checkpoint(folder)
    assert both.config.embedder is not None
    assert [network.patch for network in both.config.embedder.ensemble] == [4]
    assert both.config.training["parts"]["embedder 2"] == {"steps": 3}
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(tensor, both.network.state_dict()[name])
    # A third, and an embedder alone.
    again = export_weights(
        str(folder), tmp_path / "third", ensemble=[str(tmp_path / "other")], faces=faces
    )
    third = load_checkpoint(again).config
    assert third.embedder is not None
    assert len(third.embedder.ensemble) == 2
    assert set(third.training["parts"]) == {"embedder 2", "embedder 3"}
    alone = export_weights(
        str(tmp_path / "other"), tmp_path / "alone", ensemble=[str(face_weights)], faces=faces
    )
    assert len(load_checkpoint(alone).embedder.ensemble) == 1


def test_portraits_given_one_network_are_chosen_by_all(
    face_weights: Path, faces: Path, tmp_path: Path
) -> None:
    plain = load_checkpoint(face_weights)
    torch.manual_seed(7)
    other = FaceEmbedder(plain.embedder.config).eval()
    save_checkpoint(tmp_path / "other", other)
    folder = export_weights(
        str(face_weights), tmp_path / "w", ensemble=[str(tmp_path / "other")], faces=faces
    )
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    options: dict[str, Any] = {"seed": 3, "aligned": True}
    drawn = pixelgen.load(face_weights, "cpu").portrait([photo], n=12, **options).images
    weights = pixelgen.load(folder, "cpu")
    every = weights.portrait([photo], n=12, **options)
    assert raw(every.images) == raw(drawn)
    chosen = weights.portrait([photo], n=3, candidates=4, **options)
    best = [max(range(i, i + 4), key=every.similarity.__getitem__) for i in (0, 4, 8)]
    assert raw(chosen.images) == [raw(drawn)[i] for i in best]
    pipe = PortraitPipeline.from_pretrained(folder, "cpu")
    cosines = (pipe.embed(drawn) * pipe.embed([photo])).sum(1)
    torch.testing.assert_close(torch.tensor(every.similarity), cosines)
    path = weights.interpolate([photo, drawn[0]], steps=3, candidates=2, **options)
    assert raw(path.images) != raw(every.images[:3])
    # Bits are given the first network, too.
    first, second = (evaluate(load_checkpoint(w), faces, "train") for w in (face_weights, folder))
    assert first.conditional == second.conditional
    assert first.verification != second.verification


def test_what_makes_no_ensemble(
    face_weights: Path, pixel_weights: Path, faces: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "no"
    for options in ({"ensemble": [str(face_weights)]}, {"faces": faces}):
        with pytest.raises(UsageError, match="and faces to align them by"):
            export_weights(str(face_weights), folder, **options)
    with pytest.raises(UsageError, match="has no face embedder"):
        export_weights(str(pixel_weights), folder, ensemble=[str(face_weights)], faces=faces)
    save_checkpoint(tmp_path / "small", embedder(0))
    with pytest.raises(UsageError, match="the same size and embedding"):
        export_weights(str(face_weights), folder, ensemble=[str(tmp_path / "small")], faces=faces)
    with pytest.raises(PixelgenError, match="no weights"):
        export_weights(str(face_weights), folder, ensemble=["unknown"], faces=faces)
    with pytest.raises(ValueError, match="4 faces or more are needed, not 3"):
        average_embedders([embedder(0), embedder(1)], FACES[:3])
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run), "--ensemble", "x", "-o", str(folder)])
    assert ended.value.code == 2
    assert "--ensemble and --faces are for weights, not for runs" in capsys.readouterr().err
    assert not folder.exists()
