"""Tables of parameters and fields say what the source says."""

from __future__ import annotations

import pytest

griffe = pytest.importorskip("griffe")

PACKAGE = '''
from dataclasses import dataclass, field
from typing import TypedDict

@dataclass
class Base:
    size: int = 3
    """How large."""

@dataclass
class More(Base):
    """More."""

    parts: list[str] = field(default_factory=list)
    """Parts, a|b or `c|d`."""
    name: str = field(kw_only=True)
    """Its name."""
    hidden: int = 0

class Given(TypedDict, total=False):
    size: int | None

def draw(photo: str | None, n: int = 8, odd=1, **given: Unpack[Given]):
    """Draws."""

def _private(n: int): ...
'''


def test_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    import parameter_tables

    monkeypatch.setattr(parameter_tables, "FUNCTIONS", {"module": ("draw", "_private")})
    monkeypatch.setattr(parameter_tables, "SHARED", ("module.Given",))
    monkeypatch.setattr(parameter_tables, "OVERRIDES", {"module.Given": "module.Base"})
    with griffe.temporary_visited_package("module", {"__init__.py": PACKAGE}) as module:
        parameter_tables.ParameterTables().on_package(pkg=module)
    assert module["draw"].docstring.value.splitlines() == [
        "Draws.",
        "",
        "| parameter | type | default | meaning |",
        "|---|---|---|---|",
        "| `photo` | <code>str &#124; None</code> | required | "
        "a path, a PIL picture, a tensor or an array |",
        "| `n` | <code>int</code> | <code>8</code> | "
        "pictures: in all, of each class, or of each bottleneck |",
        "| `odd` |  | <code>1</code> | see above |",
        "| `size` | <code>int &#124; None</code> |  | How large. |",
    ]
    assert module["_private"].docstring is None
    assert module["More"].docstring.value.splitlines()[4:] == [
        "| `size` | <code>int</code> | <code>3</code> | How large. |",
        "| `parts` | <code>list[str]</code> | <code>[]</code> | Parts, a&#124;b or `c|d`. |",
        "| `name` | <code>str</code> | required | Its name. |",
    ]
    assert "parts" not in module["More"].members


def test_meanings_are_of_parameters() -> None:
    """What is no parameter any more has none."""
    import parameter_tables

    used = set()
    for module in parameter_tables.FUNCTIONS:
        file = parameter_tables.ROOT / f"{module.replace('.', '/')}.py"
        loaded = griffe.visit(module, filepath=file, code=file.read_text("utf-8"))
        for each in parameter_tables.objects(loaded):
            if isinstance(each, griffe.Function) and parameter_tables.has_table(each):
                used |= {parameter.name for parameter in each.parameters}
    assert set(parameter_tables.MEANINGS) <= used
