"""Triplets are mined as stated, whole people are held out, and an embedder learns."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelgen.checkpoints import load_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.evaluation.evaluate import evaluate
from pixelgen.metrics import verification
from pixelgen.metrics.verification import verify
from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.publishing.export import export
from pixelgen.training.batches import IdentityBatches
from pixelgen.training.loop import train
from pixelgen.training.recipe import load_recipe
from pixelgen.training.tasks.face_embedder import (
    PeopleClassifier,
    erased,
    recoloured,
    triplet_loss,
)

from .conftest import recipe_at

RECIPE = """
seed = 3
[model]
model = "face_embedder"
size = 8
patch = 2
wide_features = 8
wide_blocks = 1
deep_features = 8
deep_blocks = 1
place_features = 4
embedding = 4
[data]
path = "{data}"
label = "label"
crop = 8
flip = false
holdout = 32
[triplets]
shots = 4
[optimiser]
batch = 16
lr = 3e-3
warmup = 5
ema = 0.9
[schedule]
steps = 120
[intervals]
samples = 100
"""


def points(*degrees: float) -> torch.Tensor:
    """Points on a circle."""
    angles = torch.tensor(degrees) * math.pi / 180
    return torch.stack((angles.cos(), angles.sin()), 1)


def apart(a: float, b: float) -> float:
    return 2 - 2 * math.cos(math.radians(a - b))


def test_the_semi_hard_negative_is_the_nearest_beyond_the_pair() -> None:
    # Anchor 0, its positive 20; the others at 10 (nearer: hard), 30 (semi-hard), 90 (easy).
    embeddings, people = points(0, 20, 10, 30, 90), torch.tensor([1, 1, 2, 3, 4])
    from_0 = apart(0, 20) - apart(0, 30) + 0.2
    # Seen from 20, 10 and 30 are nearer than 0: the nearest beyond is 90.
    from_20 = apart(20, 0) - apart(20, 90) + 0.2
    expected = (max(from_0, 0) + max(from_20, 0)) / 2
    assert float(triplet_loss(embeddings, people, 0.2)) == pytest.approx(expected, abs=1e-6)


def test_the_hard_negative_is_the_nearest_of_all() -> None:
    embeddings, people = points(0, 20, 10, 30, 90), torch.tensor([1, 1, 2, 3, 4])
    excess = apart(0, 20) - apart(0, 10) + 0.2  # seen from 0 as from 20
    loss = triplet_loss(embeddings, people, 0.2, "hard")
    assert float(loss) == pytest.approx(excess, abs=1e-6)


def test_all_others_count_the_nearer_the_more() -> None:
    embeddings, people = points(0, 20, 10, 90), torch.tensor([1, 1, 2, 3])
    expected = 0.0
    for anchor, positive in ((0, 20), (20, 0)):
        excesses = [apart(anchor, positive) - apart(anchor, other) + 0.2 for other in (10, 90)]
        expected += 0.1 * math.log(1 + sum(math.exp(e / 0.1) for e in excesses)) / 2
    loss = triplet_loss(embeddings, people, 0.2, "all")
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    # No less than the largest excess, and no loss at all where everybody else is far.
    assert loss > triplet_loss(embeddings, people, 0.2, "hard")
    far = triplet_loss(points(0, 1, 180), torch.tensor([1, 1, 2]), 0.2, "all")
    assert float(far) == pytest.approx(0, abs=1e-6)


def test_where_nobody_is_beyond_the_farthest_other_is_taken() -> None:
    embeddings, people = points(0, 90, 10, 20), torch.tensor([1, 1, 2, 3])
    from_0 = apart(0, 90) - apart(0, 20) + 0.2
    from_90 = apart(90, 0) - apart(90, 10) + 0.2
    expected = (from_0 + from_90) / 2
    assert float(triplet_loss(embeddings, people, 0.2)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("people", [[1, 2, 3], [1, 1, 1]])
def test_without_triplets_the_loss_is_zero_and_differentiable(people: list[int]) -> None:
    embeddings = points(0, 20, 40).requires_grad_()
    loss = triplet_loss(embeddings, torch.tensor(people), 0.2)
    loss.backward()
    assert loss == 0
    assert embeddings.grad is not None
    assert (embeddings.grad == 0).all()


@pytest.mark.parametrize("at_once", [1, 700, 2**22])
def test_verification_is_that_of_all_pairs(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_AT_ONCE", at_once)
    draw = torch.Generator().manual_seed(0)
    people = torch.arange(60) // 3
    embeddings = torch.nn.functional.normalize(
        torch.randn(20, 5, generator=draw)[people] + 0.8 * torch.randn(60, 5, generator=draw)
    )
    found = verify(embeddings, people)
    near = embeddings @ embeddings.t()
    first, second = np.triu_indices(60, 1)
    scores, same = near.numpy()[first, second], (people[first] == people[second]).numpy()
    wins = (scores[same][:, None] > scores[~same][None]).mean()
    assert found.auc == pytest.approx(wins, abs=1e-5)
    assert (found.pairs, found.others) == (60, 1710)
    threshold = np.sort(scores[~same])[-17]
    assert found.accepted == pytest.approx((scores[same] > threshold).mean(), abs=1e-9)
    assert verify(points(0, 1, 90, 91), torch.tensor([1, 1, 2, 2])).auc == 1.0
    with pytest.raises(ValueError, match="pairs of one person"):
        verify(points(0, 20), torch.tensor([1, 2]))


def test_batches_hold_several_pictures_of_a_person() -> None:
    who = torch.tensor([7] * 5 + [3] + [9] * 2 + [4] * 9)
    images = torch.arange(17, dtype=torch.uint8).view(17, 1, 1, 1)
    batches = IdentityBatches(images, who, torch.arange(17), shots=4, seed=1, flip=False)
    assert sorted(batches.rows.tolist()) == [i for i in range(17) if i != 5]
    seen = set()
    for step in range(50):
        batch = batches.draw(step, 0, 12)
        assert batch.classes is not None
        people = batch.classes.view(3, 4)
        assert (people == people[:, :1]).all()
        assert set(people[:, 0].tolist()) == {7, 9, 4}
        numbers = batch.x.flatten().long()
        assert torch.equal(who[numbers], batch.classes)
        for row in numbers.view(3, 4).tolist():
            assert len(set(row)) == (2 if who[row[0]] == 9 else 4)
        seen.update(numbers.tolist())
    assert seen == set(batches.rows.tolist())
    again = batches.draw(7, 0, 12)
    assert torch.equal(again.x, batches.draw(7, 99, 12).x)
    assert not torch.equal(again.x, batches.draw(7, 0, 12, rank=1, ranks=2).x)
    with pytest.raises(ValueError, match="fewer than two people"):
        IdentityBatches(images, who, torch.tensor([0, 1, 5]), shots=4, seed=1, flip=False)


@pytest.mark.parametrize(("favour", "share"), [(0.0, 1.0), (0.5, 2.0), (1.0, 4.0)])
def test_people_of_many_pictures_can_be_favoured(favour: float, share: float) -> None:
    who = torch.tensor([0] * 8 + [1] * 2 + [2] * 2 + [3] * 2)
    images = torch.zeros(14, 1, 1, 1, dtype=torch.uint8)
    batches = IdentityBatches(
        images, who, torch.arange(14), shots=2, seed=1, flip=False, favour=favour
    )
    drawn = [batches.draw(step, 0, 2).classes for step in range(4000)]
    counts = torch.bincount(torch.cat([people[:1] for people in drawn if people is not None]))
    assert float(counts[0] / counts[1:].double().mean()) == pytest.approx(share, rel=0.12)


def test_colours_change_and_stay_in_range() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 8, 8) * 2 - 1
    changed = recoloured(images, 0.3)
    assert not torch.equal(changed, images)
    assert changed.abs().max() <= 1
    assert (changed - images).abs().max() < 0.8
    assert torch.equal(recoloured(images, 0), images)


def test_erased_rectangles() -> None:
    torch.manual_seed(0)
    images = torch.ones(200, 3, 20, 20)
    holes = erased(images, 0.5) == 0
    share = holes.flatten(1).any(1).double().mean()
    assert 0.35 < float(share) < 0.65
    for hole in holes[holes.flatten(1).any(1)]:
        assert torch.equal(hole[0], hole[1])
        rows, columns = hole[0].any(1), hole[0].any(0)
        assert torch.equal(hole[0], rows[:, None] & columns[None])
        for places in (rows, columns):
            assert 3 <= int(places.sum()) <= 10
            first = int(places.long().argmax())
            assert places[first : first + int(places.sum())].all()
    assert torch.equal(erased(images, 0), images)


def test_the_own_person_must_win_by_a_margin() -> None:
    classifier = PeopleClassifier(3, 2, margin=0.25, scale=10)
    with torch.no_grad():
        classifier.vectors.copy_(3 * points(0, 90, 180))  # their lengths do not matter
    loss = classifier(points(30, 100), torch.tensor([0, 1]))
    expected = 0.0
    for angle, own in ((30, 0), (100, 90)):
        cosines = [math.cos(math.radians(angle - other)) for other in (0, 90, 180)]
        margins = [0.25 * (other == own) for other in (0, 90, 180)]
        logits = [10 * (c - m) for c, m in zip(cosines, margins, strict=True)]
        right = 10 * (math.cos(math.radians(angle - own)) - 0.25)
        expected += (math.log(sum(map(math.exp, logits))) - right) / 2
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-5)


def test_a_face_and_its_mirror_image_have_one_embedding() -> None:
    torch.manual_seed(0)
    config = FaceEmbedderConfig(size=8, patch=2, wide_features=8, deep_features=8, mirror=True)
    embedder, faces = FaceEmbedder(config), torch.rand(4, 3, 8, 8) * 2 - 1
    plain = embedder(faces)  # in training
    assert not torch.allclose(plain, embedder(faces.flip(-1)))
    embedder.eval()
    embeddings = embedder(faces)
    torch.testing.assert_close(embeddings, embedder(faces.flip(-1)))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(4))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Path:
    """12 "people", 8 pictures each: a pattern of their own under another light every time."""
    draw = np.random.default_rng(0)
    patterns = draw.integers(0, 160, (12, 5, 5, 3)).repeat(2, 1).repeat(2, 2)
    pictures, people = [], []
    for person, pattern in enumerate(patterns):
        for _ in range(8):
            light = draw.integers(0, 40) + draw.integers(0, 30, (10, 10, 3))
            pictures.append((pattern + light).astype(np.uint8))
            people.append(person)
    return write_pictures(tmp_path_factory.mktemp("faces"), "train", pictures, people, classes=12)


LOSSES = {
    "triplets": [],
    "both": ["triplets.people=0.2", "triplets.erase=0.2"],
    "people": ["triplets.people=0.2", "triplets.weight=0"],
}


@pytest.mark.parametrize("losses", LOSSES)
def test_it_learns_and_is_exported(faces: Path, tmp_path: Path, losses: str) -> None:
    recipe_at(tmp_path / "r.toml", RECIPE, data=faces)
    recipe, run = load_recipe(tmp_path / "r.toml", LOSSES[losses]), tmp_path / "run"
    outcome = train(recipe, run)
    assert outcome.counters.held_out is not None
    assert outcome.counters.held_out > 0.85  # of people that it has never seen
    assert len(list((run / "samples").iterdir())) == 1
    loaded = load_checkpoint(export(run, tmp_path / "weights"))
    assert loaded.config.kind == "face-embedder"
    assert "face_embedder" in (tmp_path / "weights" / "README.md").read_text(encoding="utf-8")
    with torch.inference_mode():
        embeddings = loaded.embedder(torch.rand(5, 3, 8, 8) * 2 - 1)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5))
    figures = evaluate(loaded, faces, "train")
    assert figures.main is None
    assert figures.verification is not None
    assert figures.verification.auc > 0.9
    assert figures.verification.pairs == 12 * 28
    broken = copy.deepcopy(loaded.embedder)
    for parameter in broken.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(PixelgenError, match="outputs of the network are not finite"):
        evaluate(replace(loaded, network=broken), faces, "train")
    measured = {"data": "d", "split": "s", **asdict(figures)}
    (tmp_path / "e.json").write_text(json.dumps(measured), encoding="utf-8")
    export(run, tmp_path / "weights", evaluation=tmp_path / "e.json", overwrite=True)
    card = (tmp_path / "weights" / "README.md").read_text(encoding="utf-8")
    assert "| ROC AUC of verification, all pairs, s split, 96 pictures | 0." in card
    for part in ("model", "codec"):
        with pytest.raises(PixelgenError):
            getattr(loaded, part)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.label=nobody", "has no column 'nobody'"),
        ("data.crop=9", "the embedder takes"),
        ("data.holdout=96", "data.holdout is 96"),
        ("data.holdout=95", "data.holdout of 95 pictures holds out all 12 people"),
        ("data.holdout=8", "holds out too few people"),
        ("triplets.shots=1", "shots must be at least 2"),
        ("triplets.weight=0", "weight or people must be positive"),
        ("triplets.people_margin=2", "people_margin must lie in 0 … 2"),
        ("losses.perceptual=0.1", "losses.* requires a tokenizer"),
    ],
)
def test_what_does_not_fit(faces: Path, tmp_path: Path, override: str, says: str) -> None:
    recipe_at(tmp_path / "r.toml", RECIPE, data=faces)
    with pytest.raises(PixelgenError, match=says):
        train(load_recipe(tmp_path / "r.toml", [override]), tmp_path / "run")


def test_vectors_that_are_no_numbers_are_no_failure() -> None:
    found = verify(torch.full((4, 2), torch.nan), torch.tensor([1, 1, 2, 2]))
    assert math.isnan(found.auc)
