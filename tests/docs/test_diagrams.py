"""The diagrams show what the networks do, and would show what they must not do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diagrams
import pytest
import torch
from diagrams import COARSE, EARLIER, LATER, LEAK, NONE, NOW, SEEN, SELF, UNSEEN
from svg import Panel, Sheet
from torch import Tensor

from .conftest import DOCS


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def colours(sheet: Sheet) -> list[Counter[str]]:
    """How many cells of each colour the panels have, in order."""
    return [
        Counter(name for row in panel.colours for name in row)
        for panels in sheet.rows
        for panel in panels
    ]


@pytest.fixture(scope="module")
def sheets() -> dict[str, Sheet]:
    """All diagrams."""
    return {name: draw() for name, draw in diagrams.DIAGRAMS.items()}


def test_committed_diagrams_are_what_the_code_draws(
    sheets: dict[str, Sheet], tmp_path: Path
) -> None:
    drawn = {f"{name}.svg": sheet.svg() for name, sheet in sheets.items()}
    kept = {path.name: path.read_text("utf-8") for path in (DOCS / "diagrams").iterdir()}
    assert drawn == kept, "`python docs/diagrams.py` draws them again"
    diagrams.main(tmp_path, ["masks"])
    assert (tmp_path / "masks.svg").read_text("utf-8") == drawn["masks.svg"]


def test_method_shows_all() -> None:
    text = (DOCS / "method.md").read_text("utf-8")
    assert set(re.findall(r"diagrams/([\w-]+)\.svg", text)) == set(diagrams.DIAGRAMS)


def test_masks(sheets: dict[str, Sheet]) -> None:
    kernel_a, kernel_b, channels_a, channels_b = colours(sheets["masks"])
    assert (kernel_a[SEEN], kernel_b[SEEN]) == (12, 13)  # two rows and a half, and the centre
    assert (channels_a[SEEN], channels_b[SEEN]) == (3, 6)


def test_stacks(sheets: dict[str, Sheet]) -> None:
    vertical, moved, first, later = colours(sheets["stacks"])
    assert vertical[LEAK] == 2  # of its own row, to the right
    assert (moved[SEEN], moved[LEAK], moved[SELF]) == (15, 0, 0)
    assert (first[SEEN], first[LEAK], first[SELF]) == (2, 0, 0)
    assert (later[SEEN], later[LEAK], later[SELF]) == (2, 0, 1)


def test_blind_spot(sheets: dict[str, Sheet]) -> None:
    *_, blind, first, _, _, whole = colours(sheets["blind-spot"])
    size, (i, j) = diagrams.SIZE, diagrams.AT
    wedge = sum(max(0, size - 1 - j - up) for up in range(1, i + 1))
    assert wedge > 0
    assert blind == {SELF: 1, UNSEEN: wedge, SEEN: i * size + j - wedge, LATER: whole[LATER]}
    assert whole == {SELF: 1, SEEN: i * size + j, LATER: size * size - i * size - j - 1}
    assert first[UNSEEN] > 0


def test_recurrent_fields(sheets: dict[str, Sheet]) -> None:
    size, (i, j) = diagrams.SIZE, diagrams.AT
    before = i * size + j
    one, four, published, complete = colours(sheets["recurrent"])
    # With all kernels of 3, u rows up a position sees u columns to the right at most.
    right = sum(max(0, size - 1 - j - up) for up in range(1, i + 1))
    assert four[UNSEEN] >= right > 0
    assert one[UNSEEN] > four[UNSEEN]
    assert (published[UNSEEN], published[SEEN]) == (1, before - 1)  # the end of the row above
    assert (complete[UNSEEN], complete[SEEN], complete[LEAK]) == (0, before, 0)


def test_skewing(sheets: dict[str, Sheet]) -> None:
    rows, left, right, skewed = sheets["skewing"].rows[0]
    height, width = 5, 7
    for panel, step in (
        (rows, lambda i, _: i),
        (left, lambda i, j: i + j),
        (right, lambda i, j: i + width - 1 - j),
    ):
        assert panel.texts == [[str(step(i, j) + 1) for j in range(width)] for i in range(height)]
    # A diagonal has become a column: all numbers of a column are its own.
    assert len(skewed.texts[0]) == height + width - 1
    for t, column in enumerate(zip(*skewed.texts, strict=True)):
        assert {*column} - {""} == {str(t + 1)}
    for panel in (left, right, skewed):
        found = Counter(name for row in panel.colours for name in row)
        assert (found[NOW], found[EARLIER]) == (height, height * (height - 1) // 2)
        assert found[NONE] == (height * (height - 1) if panel is skewed else 0)


def test_scales(sheets: dict[str, Sheet]) -> None:
    order, first, later = sheets["scales"].rows[0]
    assert order.texts[0] == ["1", "10", "2", "13", "3", "16"]  # 9 of the sub-sampled picture
    assert Counter(n for row in order.colours for n in row) == {COARSE: 9, LATER: 27}
    before = int(order.texts[2][3]) - 1
    a, b = (Counter(n for row in panel.colours for n in row) for panel in (first, later))
    assert a == {SEEN: 4, SELF: 1, LATER: 31}
    assert b == {SEEN: before, SELF: 1, LATER: 35 - before}
    assert later.colours[4][4] == SEEN  # below and to the right: of the sub-sampled picture


def test_resolution_fields(sheets: dict[str, Sheet]) -> None:
    one, even, odd = colours(sheets["resolutions"])
    assert one[UNSEEN] > 0
    assert (even[UNSEEN], even[SEEN], even[LEAK]) == (0, 6 * 16 + 8, 0)
    # The blocks of full resolution reach 6 columns: 2 are left over on the left, 1 on the right.
    assert (odd[UNSEEN], odd[SEEN], odd[LEAK]) == (3, 7 * 16 + 5, 0)


def test_order_is_strictly_triangular(sheets: dict[str, Sheet]) -> None:
    ((panel,),) = sheets["order"].rows
    for here, row in enumerate(panel.colours):
        assert row == [SEEN] * here + [LATER] * (len(row) - here)


def test_patches(sheets: dict[str, Sheet]) -> None:
    plain, patched = sheets["patches"].rows[0]
    assert [int(n) for row in plain.texts for n in row] == list(range(1, 17))
    assert patched.texts[0] == ["1", "2", "5", "6"]
    assert patched.texts[1] == ["3", "4", "7", "8"]


def open_mask(inputs: int, outputs: int, *_: Any, **__: Any) -> Tensor:
    """A mask that hides nothing."""
    return torch.ones(outputs, inputs)


def test_a_mask_that_hides_too_little_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagrams, "LAYERS", (0,))
    assert not any(c[LEAK] for c in colours(diagrams.blind_spot()))
    monkeypatch.setattr("pixelgen.models.pixelcnn.channel_mask", open_mask)
    baseline, gated = colours(diagrams.blind_spot())
    assert (baseline[LEAK], gated[LEAK]) == (1, 0)  # itself


def test_masks_that_are_not_applied_are_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagrams, "LAYERS", (0,))
    monkeypatch.setattr(
        "pixelgen.models.masked_conv.MaskedConv2d.masked_weight", lambda conv: conv.weight
    )
    baseline, gated = colours(diagrams.blind_spot())
    assert (baseline[LEAK], gated[LEAK]) == (5, 1)


def test_groups_that_see_too_much_are_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelgen.models.masked_conv.channel_mask", open_mask)
    (found,) = colours(diagrams.order())
    assert found[LEAK] > 0


def test_vertical_maps_that_are_not_moved_down_are_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelgen.models.gated_pixelcnn.shift_down", lambda x: x)
    field = diagrams.field(diagrams.gated(0), diagrams.AT)[0]
    found = Counter(n for row in diagrams.raster(field, diagrams.AT, (LEAK, SELF)) for n in row)
    assert found[LEAK] == 2  # itself, and its neighbour to the right


def test_a_mask_that_hides_too_much_is_orange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagrams, "LAYERS", (9,))
    monkeypatch.setattr("pixelgen.models.gated_pixelcnn.shift_down", lambda x: torch.zeros_like(x))
    assert colours(diagrams.blind_spot())[1][UNSEEN] > 0


def test_sheets_are_sound_and_repeatable() -> None:
    panel = Panel("a < b\nsecond", [["x", "y"]], [["1", ""]], ("r",), ("s", "t"))
    sheet = Sheet({"x": ("#000000", "black & white"), "y": ("#ffffff", "")}, [[panel]])
    text = sheet.svg()
    assert text == sheet.svg()
    assert "a &lt; b" in text
    assert "black &amp; white" in text
    assert len(re.findall(r'<path class="[xy]"', text)) == 2
