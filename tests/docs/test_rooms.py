"""The drawing of the rooms is that of the contract and of the page."""

from __future__ import annotations

import re

import rooms

from .conftest import DOCS

PACKAGE = DOCS.parent / "pixelgen"


def test_the_committed_drawing_is_what_the_code_draws() -> None:
    kept = (DOCS / "architecture.svg").read_text("utf-8")
    assert rooms.svg() == kept, "`python docs/rooms.py` draws it again"


def test_every_room_is_in_the_drawing_and_described() -> None:
    drawn = [name for layer in rooms.layers() for name in layer]
    there = {path.name for path in PACKAGE.iterdir() if list(path.glob("*.py"))}
    there |= {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == there
    assert set(drawn) <= set(rooms.descriptions())
    assert drawn == sorted(drawn, key=list(rooms.descriptions()).index), "one order in both"


def test_lines_fit_into_the_drawing() -> None:
    for _, text in rooms.descriptions().values():
        assert len(text) < 84, text
    assert not re.search(r"[\x00-\x08`]", rooms.svg())
