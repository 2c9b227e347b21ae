"""The figures in docs/tables.md come from the files of a comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tables
from PIL import Image

from pixelgen.comparison.results import Comparison, Row
from pixelgen.evaluation.results import BitsPerDim

from .conftest import DOCS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished comparison of one model."""
    row = Row(
        "pixelcnn", "PixelCNN", "trained", bound=False, test=BitsPerDim(3.5, 0.01),
        train=BitsPerDim(3.4, 0.02), published_test=3.14, flops=2e13, sampler="incremental",
        seconds_per_sample=0.5, curve=((1e12, 4.5), (2e13, 3.5)),
    )  # fmt: skip
    comparison = Comparison(
        data="cifar10", split="test", budget="2e13 FLOP", paper=False, training_pictures=50000,
        test_pictures=10000, test_total=10000, train_measured=2000, classes=10,
        published="cifar10", samples=2, device="cpu", threads=1, rows=(row,),
    )  # fmt: skip
    (tmp_path / "table.json").write_text(json.dumps(comparison.to_dict()), encoding="utf-8")
    Image.new("RGB", (6, 4), (10, 200, 30)).save(tmp_path / "samples.png")
    return tmp_path


def test_figures_are_put_between_their_marks(folder: Path) -> None:
    page = folder / "page.md"
    first, last = tables.marks("one")
    page.write_text(f"# A\n\n{first}\nold\n{last}\n\nB\n", encoding="utf-8")
    for _ in range(2):  # the second time changes nothing
        tables.main(folder, "one", page)
        text = page.read_text("utf-8")
        assert text.startswith(f"# A\n\n{first}\n\n| model | test |")
        assert text.endswith(
            f"![Samples of PixelCNN, a row each](page/one-samples.webp)\n\n{last}\n\nB\n"
        )
        assert "| PixelCNN | 3.500 ± 0.010 | 3.400 ± 0.020 | 3.14 |" in text
        assert "old" not in text
        assert "in turns on one machine (cpu, 1 thread);" in text
        assert "- parameters: weights that a mask always sets to 0 are counted, too.\n" in text
    assert "PixelCNN" in (folder / "page" / "one-curves.svg").read_text("utf-8")
    with Image.open(folder / "page" / "one-samples.webp") as sheet:
        assert sheet.size == (12, 8)
        assert sheet.convert("RGB").getpixel((11, 7)) == (10, 200, 30)


def test_a_page_without_marks(folder: Path) -> None:
    page = folder / "page.md"
    page.write_text("# A\n", encoding="utf-8")
    with pytest.raises(ValueError, match="the page has no lines <!-- table: one -->"):
        tables.main(folder, "one", page)
    assert not (folder / "page").exists()


def test_the_page_has_all_figures_that_it_shows() -> None:
    text = (DOCS / "tables.md").read_text("utf-8")
    names = re.findall(r"<!-- table: ([\w-]+) -->", text)
    assert len(names) == len(set(names)) > 0
    for name in names:
        assert text.count(tables.marks(name)[1]) == 1
    shown = set(re.findall(r"\((tables/[\w.-]+)\)", text))
    there = DOCS / "tables"
    assert (
        shown == {f"tables/{path.name}" for path in there.iterdir()}
        if there.exists()
        else not shown
    )
