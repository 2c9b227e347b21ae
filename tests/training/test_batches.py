"""Batches are a function of the seed and the position alone."""

from __future__ import annotations

import pytest
import torch

from pixelgen.training.batches import Batches, hold_out


def numbered(n: int, **options: object) -> Batches:
    """Pictures of two columns that hold their own number: (number, 0), or (0, number) flipped."""
    images = torch.zeros(n, 1, 1, 2, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(1, n + 1)
    values = {"seed": 1, "flip": True, "null_class": 5, "class_dropout": 0.25, **options}
    return Batches(images[None], torch.arange(n) % 5, torch.arange(n), **values)  # type: ignore[arg-type]


def numbers(x: torch.Tensor) -> list[int]:
    return x.sum((1, 2, 3)).tolist()


def test_an_epoch_shows_every_picture_once_and_the_next_in_another_order() -> None:
    batches = numbered(30)
    seen = [n for step in range(20) for n in numbers(batches.draw(step, 3 * step, 3).x)]
    assert sorted(seen[:30]) == sorted(seen[30:]) == list(range(1, 31))
    assert seen[:30] != seen[30:]


def test_batches_may_straddle_epochs() -> None:
    batches = numbered(10)
    seen = [n for step in range(10) for n in numbers(batches.draw(step, 7 * step, 7).x)]
    assert all(sorted(seen[i : i + 10]) == list(range(1, 11)) for i in range(0, 70, 10))


def test_a_fresh_reader_draws_the_same_batch_in_any_order() -> None:
    first, second = numbered(30), numbered(30)
    late = second.draw(9, 72, 8)
    for step in range(10):
        early = first.draw(step, 8 * step, 8)
    assert torch.equal(early.x, late.x)
    assert early.classes is not None
    assert late.classes is not None
    assert torch.equal(early.classes, late.classes)


def test_processes_share_one_batch() -> None:
    whole = numbered(30).draw(4, 24, 6)
    parts = [numbered(30).draw(4, 24, 3, rank, 2) for rank in range(2)]
    assert torch.equal(whole.x, torch.cat([p.x for p in parts]))


def test_half_are_flipped_and_a_share_loses_its_class() -> None:
    batch = numbered(100).draw(0, 0, 4000)
    flipped = (batch.x[..., 1] > 0).float().mean()
    assert batch.classes is not None
    dropped = (batch.classes == 5).float().mean()
    assert abs(flipped - 0.5) < 0.04
    assert abs(dropped - 0.25) < 0.04
    plain = numbered(100, flip=False, class_dropout=0.0).draw(0, 0, 200)
    assert plain.classes is not None
    assert plain.x[..., 1].sum() == 0
    assert (plain.classes < 5).all()


def test_every_view_of_a_picture_is_drawn() -> None:
    views = torch.arange(1, 13, dtype=torch.uint8).view(3, 4, 1, 1, 1)
    options = {"seed": 1, "flip": False}
    batch = Batches(views, None, torch.arange(4), **options).draw(0, 0, 400)  # type: ignore[arg-type]
    counts = batch.x.flatten().bincount(minlength=13)[1:]
    assert counts.sum() == 400
    assert counts.min() > 15
    halves = [
        Batches(views, None, torch.arange(4), **options).draw(0, 0, 200, rank, 2)  # type: ignore[arg-type]
        for rank in range(2)
    ]
    assert torch.equal(batch.x, torch.cat([half.x for half in halves]))


def test_cuts_move_by_the_jitter_and_no_further() -> None:
    picture = torch.arange(64, dtype=torch.uint8).view(1, 1, 1, 8, 8)
    options = {"seed": 1, "flip": False, "crop": 4}
    still = Batches(picture, None, torch.arange(1), **options).draw(0, 0, 5).x  # type: ignore[arg-type]
    assert (still[:, 0, 0, 0] == 2 * 8 + 2).all()
    batches = Batches(picture, None, torch.arange(1), jitter=1, **options)  # type: ignore[arg-type]
    corners = batches.draw(0, 0, 300).x[:, 0, 0, 0]
    assert sorted(set(corners.tolist())) == [9, 10, 11, 17, 18, 19, 25, 26, 27]
    assert not torch.equal(corners, batches.draw(1, 300, 300).x[:, 0, 0, 0])


def test_held_out_pictures_are_apart_and_fixed() -> None:
    kept, held = hold_out(50, 10, seed=2)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(50))
    assert len(held) == 10
    assert torch.equal(held, hold_out(50, 10, seed=2)[1])
    assert not torch.equal(held, hold_out(50, 10, seed=3)[1])


def test_networks_are_given_int64() -> None:
    batch = numbered(30).draw(0, 0, 6)
    x, classes = batch.inputs("cpu")
    assert x is not None
    assert x.dtype == torch.int64
    assert torch.equal(x, batch.x.long())
    assert classes is batch.classes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_puts_the_same_batches_together() -> None:
    options = {"flip": True, "jitter": 1}
    here, there = numbered(30, **options), numbered(30, **options).to(torch.device("cuda"))
    assert there.views.is_cuda
    for step in range(3):
        assert torch.equal(here.draw(step, 6 * step, 6).x, there.draw(step, 6 * step, 6).x.cpu())
