"""Whether that was enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from .commands import leaves
from .sandbox import TALLY


def test_enough_over_all_commands() -> None:
    mine = Path(__file__)
    others = {path.name for path in mine.parent.glob("test_*.py")} - {mine.name}
    if not others <= TALLY.files:
        pytest.skip("not all of it was run")
    assert TALLY.inputs >= 1000
    assert {*leaves()} <= TALLY.commands
