"""Published figures, which stand beside those of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pixelgen.toml import parse_toml

PublishedSet = Literal["cifar10", "imagenet32", "imagenet64"]
"""The data sets with published figures."""


@dataclass(frozen=True)
class Published:
    """A published figure, in bits per dimension."""

    key: str
    """The name of the recipe of this model."""
    title: str
    """The model's name in the literature."""
    test: float | None = None
    """None: there is none for the data set."""
    train: float | None = None
    bound: bool = False
    """The figures are upper bounds."""
    source: str = ""
    """Where it was published."""


@cache
def _rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = parse_toml(Path(__file__).with_suffix(".toml").read_bytes())[
        "row"
    ]
    return rows


def published_figures(data: PublishedSet | None) -> dict[str, Published]:
    """The models of the literature by key, in the order of their tables, with their figures of
    `data`; without figures for None."""
    figures: dict[str, Published] = {}
    for row in _rows():
        found = row.get(data or "", {})
        assert isinstance(found, dict)  # see published.toml
        figures[str(row["key"])] = Published(
            key=str(row["key"]),
            title=str(row["title"]),
            test=found.get("test"),
            train=found.get("train"),
            bound=bool(row.get("bound", False)),
            source=str(row.get("source", "")),
        )
    return figures


def guess_published_set(data: str, size: int) -> PublishedSet | None:
    """The data set whose published figures fit data of that name and pictures of that side, by the
    name; None where it says neither."""
    name = Path(data).name.lower()
    if "cifar" in name and "100" not in name and size == 32:
        return "cifar10"
    if "imagenet" in name and size in (32, 64):
        return "imagenet32" if size == 32 else "imagenet64"
    return None
