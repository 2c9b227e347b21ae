"""Jobs know neither standard streams nor the options of the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pixelgen import jobs

FILES = sorted(Path(jobs.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_streams_and_no_flags(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.findall(r"\bsys\.(?:std\w+|argv)", text)
    assert "print" not in {
        node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)
    }
    assert not re.findall(r"[\"' (]--[a-z][\w-]*", text)
