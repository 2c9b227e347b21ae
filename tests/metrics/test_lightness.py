"""L* of known greys, and whose faces are compared to whose."""

from __future__ import annotations

import pytest
import torch

from pixelgen.metrics.lightness import face_lightness, match_lightness


@pytest.mark.parametrize(
    ("level", "lightness"), [(0, 0.0), (119, 50.03), (188, 76.25), (255, 100.0)]
)
def test_greys_have_the_lightness_of_cie_1976(level: int, lightness: float) -> None:
    grey = torch.full((1, 3, 64, 64), level, dtype=torch.uint8)
    assert float(face_lightness(grey)) == pytest.approx(lightness, abs=0.02)


def test_only_the_middle_of_the_face_counts() -> None:
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    picture[..., 24:52, 20:44] = 255
    assert float(face_lightness(picture)) == pytest.approx(100)
    assert float(face_lightness(255 - picture)) == 0


def test_the_darkest_fifth_is_chosen_by_the_photos() -> None:
    photos = torch.tensor([60.0, 50.0, 20.0, 70.0, 80.0]).double()
    found = match_lightness(photos + torch.tensor([1.0, -1.0, 8.0, 1.0, -1.0]), photos)
    assert found is not None
    assert found.darkest.value == pytest.approx(8)
    assert found.others.value == pytest.approx(1)
    assert found.shift.value == pytest.approx(8 / 5)


def test_few_people_have_no_darkest_fifth() -> None:
    assert match_lightness(torch.ones(4).double(), torch.ones(4).double()) is None
