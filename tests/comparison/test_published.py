"""The published figures, and which of them data are set beside."""

from __future__ import annotations

import pytest

from pixelgen.comparison.published import guess_published_set, published_figures
from pixelgen.training.recipe_files import table_recipes


def test_figures_of_cifar10() -> None:
    figures = published_figures("cifar10")
    tests = {key: figure.test for key, figure in figures.items() if figure.test is not None}
    assert tests == {
        "uniform": 8.00, "gaussian": 4.70, "nice": 4.48, "deep_diffusion": 4.20, "draw": 4.13,
        "deep_gmm": 4.00, "conv_draw": 3.58, "ride": 3.47, "pixelcnn": 3.14, "row_lstm": 3.07,
        "diagonal_bilstm": 3.00, "gated_pixelcnn": 3.03, "pixelcnn_pp": 2.92,
    }  # fmt: skip
    assert {key for key, figure in figures.items() if figure.bound} == {
        "deep_diffusion", "draw", "conv_draw", "pixelvae",
    }  # fmt: skip
    assert figures["gated_pixelcnn"].train == 2.90
    assert all(figure.test is None for figure in published_figures(None).values())


def test_imagenet() -> None:
    assert published_figures("imagenet32")["gated_pixelcnn"].test == 3.83
    assert published_figures("imagenet64")["pixelrnn"].test == 3.63
    assert published_figures("imagenet64")["pixelvae"].test == 3.66


@pytest.mark.parametrize(
    ("data", "size", "found"),
    [
        ("../cifar10", 32, "cifar10"),
        ("uoft-cs/cifar10", 32, "cifar10"),
        ("uoft-cs/cifar100", 32, None),
        ("../shared/data/imagenet64", 64, "imagenet64"),
        ("../shared/data/imagenet64", 32, "imagenet32"),
        ("../shared/data/imagenet64", 16, None),
        ("photos", 32, None),
    ],
)
def test_by_the_name_of_the_data(data: str, size: int, found: str | None) -> None:
    assert guess_published_set(data, size) == found


@pytest.mark.parametrize("key", ["pixelcnn", "row_lstm", "diagonal_bilstm", "gated_pixelcnn"])
def test_recipes_have_the_names_of_figures(key: str) -> None:
    assert key in table_recipes()
    assert key in published_figures("cifar10")
