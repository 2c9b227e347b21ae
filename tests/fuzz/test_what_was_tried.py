"""Whether that was enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from .commands import leaves
from .sandbox import TALLY


def test_enough_over_all_commands(request: pytest.FixtureRequest) -> None:
    here = Path(__file__).parent
    every = {path.name for path in here.glob("test_*.py")}
    asked = {item.path.name for item in request.session.items if item.path.parent == here}
    if TALLY.chosen or asked != every or hasattr(request.config, "workerinput"):
        pytest.skip("a part of it was asked for")
    assert TALLY.files == every - {Path(__file__).name}
    assert TALLY.inputs >= 1000
    assert TALLY.commands >= {*leaves()}
