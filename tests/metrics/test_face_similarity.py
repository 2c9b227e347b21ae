"""Figures of likeness in cases where they are known."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from pixelgen.metrics.bootstrap import estimate, mean, ratio
from pixelgen.metrics.face_similarity import (
    LabelledEmbeddings,
    diversity,
    match_identities,
    nearer,
    recognised,
)

PEOPLE = 30


def crowd(
    each: int, seed: int, who: torch.Tensor | None = None, spread: float = 0.5
) -> LabelledEmbeddings:
    """Vectors around a place for every person, `each` of them; `who` says whose place it is."""
    places = torch.randn(PEOPLE, 8, generator=torch.Generator().manual_seed(0))
    label = torch.arange(PEOPLE).repeat_interleave(each)
    shown = label if who is None else who
    noise = torch.randn(len(label), 8, generator=torch.Generator().manual_seed(seed))
    return LabelledEmbeddings(places[shown] + spread * noise, label)


def test_a_perfect_model_is_as_good_as_photos() -> None:
    gallery = crowd(6, 1)
    real, made = match_identities(crowd(1, 2), gallery), match_identities(crowd(8, 3), gallery)
    assert made.auc.value > 0.95
    assert abs(made.auc.value - real.auc.value) < 0.03
    assert made.rank1.value > 0.8
    assert made.diversity is not None
    assert made.diversity.value == pytest.approx(1, abs=0.05)
    assert real.diversity is None


def test_anybody_is_nobody() -> None:
    anyone = torch.randint(PEOPLE, (8 * PEOPLE,), generator=torch.Generator().manual_seed(1))
    random = match_identities(crowd(8, 2, anyone), crowd(6, 1))
    assert random.auc.standard_error is not None
    assert abs(random.auc.value - 0.5) < 4 * random.auc.standard_error
    assert random.rank1.standard_error is not None
    assert abs(random.rank1.value - 1 / PEOPLE) < 4 * random.rank1.standard_error + 0.01
    assert random.diversity is not None
    assert random.diversity.value > 1.5


def test_a_copy_has_no_diversity() -> None:
    gallery, source = crowd(6, 1), crowd(1, 2)
    copies = LabelledEmbeddings(
        source.vectors.repeat_interleave(8, 0), source.who.repeat_interleave(8)
    )
    once, often = match_identities(source, gallery), match_identities(copies, gallery)
    assert asdict(often.auc) == pytest.approx(asdict(once.auc))
    assert asdict(often.rank1) == pytest.approx(asdict(once.rank1))
    assert often.diversity is not None
    assert often.diversity.value == 0


def test_the_chance_of_being_nearer_by_hand() -> None:
    gallery = LabelledEmbeddings(torch.tensor([[0.0], [2.0], [10.0]]), torch.tensor([4, 4, 7]))
    pictures = LabelledEmbeddings(torch.tensor([[1.0], [9.0], [3.0]]), torch.tensor([4, 7, 7]))
    # Of 4: pairs 1, 1, foreign 9. Of 7: pairs 1, 7, foreign 9, 7, 3, 1.
    expected = [[1, 3.5 / 4], [1, (3.5 + 1.5) / 8]]
    torch.testing.assert_close(
        nearer(pictures, gallery), torch.tensor(expected, dtype=torch.float64)
    )
    # The mean of 4 is at 1, that of 7 at 10.
    assert recognised(pictures, gallery).tolist() == [1, 0.5]
    assert match_identities(pictures, gallery).rank1.value == 0.75


def test_everybody_counts_the_same() -> None:
    """More photos or pictures of one person, at the same places, change nothing."""
    gallery = LabelledEmbeddings(torch.tensor([[0.0], [5.0], [9.0]]), torch.tensor([0, 1, 2]))
    pictures = LabelledEmbeddings(torch.tensor([[4.0], [5.0], [3.0]]), torch.tensor([0, 1, 2]))
    plain = match_identities(pictures, gallery)
    more = torch.tensor([0, 0, 0, 0, 1, 2])
    doubled = LabelledEmbeddings(pictures.vectors[more], pictures.who[more])
    again = match_identities(doubled, gallery)
    assert asdict(again.auc) == pytest.approx(asdict(plain.auc))
    assert asdict(again.rank1) == pytest.approx(asdict(plain.rank1))


def test_agrees_with_the_library_where_everybody_has_as_many() -> None:
    from torchmetrics.functional.classification import binary_auroc

    gallery, pictures = crowd(5, 1, spread=1.5), crowd(3, 2, spread=1.5)
    near = -torch.cdist(pictures.vectors, gallery.vectors)
    same = pictures.who[:, None] == gallery.who[None]
    expected = float(binary_auroc(near.flatten().sigmoid(), same.flatten().int()))
    assert match_identities(pictures, gallery).auc.value == pytest.approx(expected, abs=1e-5)


def test_the_error_is_the_spread_over_other_people() -> None:
    draw = torch.Generator().manual_seed(0)
    shares = torch.rand(200, 40, generator=draw)
    errors = torch.tensor([mean(row).standard_error for row in shares])
    assert float(errors.mean()) == pytest.approx(float(shares.mean(1).std()), rel=0.15)
    assert mean(shares[0]) == mean(shares[0])
    assert mean(shares[0, :1]).standard_error is None
    found = ratio(shares[0], 2 * shares[0])
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(0, abs=1e-12)
    assert ratio(shares[0], torch.zeros(40)) is None
    # Draws of people of whom none has a denominator say nothing.
    some = torch.tensor([0.0, 1.0, 1.0])
    found = ratio(some * torch.tensor([0.0, 2.0, 4.0]), some)
    assert found is not None
    assert found.value == 3
    assert found.standard_error == pytest.approx(0.751, abs=0.05)  # that of the other 26 of 27
    assert mean(torch.tensor([1.0, torch.nan])).standard_error is None
    assert estimate(3, lambda weights: weights.sum(1)).standard_error == 0


def test_diversity_is_of_people_with_two_of_both() -> None:
    gallery = LabelledEmbeddings(torch.tensor([[0.0], [4.0], [1.0]]), torch.tensor([0, 0, 1]))
    pictures = LabelledEmbeddings(
        torch.tensor([[1.0], [3.0], [5.0], [50.0]]), torch.tensor([0, 0, 1, 1])
    )
    found = diversity(pictures, gallery)
    assert found is not None
    assert found.value == 0.5
    assert diversity(LabelledEmbeddings(pictures.vectors[2:], pictures.who[2:]), gallery) is None
