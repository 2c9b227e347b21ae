"""Jobs know neither standard streams nor the options of the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixelgen import jobs

FILES = sorted(Path(jobs.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_streams_and_no_flags(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.findall(r"\bsys\.(?:std\w+|argv)|\bprint\(", text)
    assert not re.findall(r"[\"' (]--[a-z][\w-]*", text)
