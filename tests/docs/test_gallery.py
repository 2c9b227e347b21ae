"""The gallery is what its commands draw, with the weights that are bundled."""

from __future__ import annotations

import re
from pathlib import Path

import gallery
import pytest
from PIL import Image

from pixelgen.checkpoints import Source, bundled
from pixelgen.imaging import picture_text, png_text

from .conftest import DOCS, write_stand_ins


@pytest.fixture
def small_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in the place of the bundled ones, that know the same classes."""
    stand_ins = write_stand_ins(tmp_path / "weights", side=16)
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: stand_ins)


@pytest.fixture
def kept() -> Path:
    """The folder of the pictures in the repository."""
    return DOCS / "gallery"


@pytest.mark.usefixtures("small_weights")
def test_commands_draw_the_pictures(tmp_path: Path) -> None:
    before = Path.cwd()
    gallery.main(tmp_path / "made")
    assert Path.cwd() == before
    pictures = {path.name for path in (tmp_path / "made" / "gallery").iterdir()}
    assert pictures == {shot.picture for shot in gallery.SHOTS}
    page = (tmp_path / "made" / "gallery.md").read_text("utf-8")
    assert "bits/dim" in page


def test_a_command_that_fails_is_told() -> None:
    shot = gallery.Shot("x", "sample --weights nowhere/at-all/here", "x.png", "")
    with pytest.raises(RuntimeError, match="exit code"):
        gallery.draw(shot)


def test_the_page_has_the_commands_and_their_pictures(kept: Path) -> None:
    page = (DOCS / "gallery.md").read_text("utf-8")
    joined = re.sub(r" \\\n +", " ", page)
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        assert max(map(len, block.splitlines())) < 80, "cut off on a page"
    for shot in gallery.SHOTS:
        assert f"pixelgen {shot.words}\n" in joined
        assert f"](gallery/{shot.picture})" in page
        assert shot.text in page
    assert {path.name for path in kept.iterdir()} == {shot.picture for shot in gallery.SHOTS}


def test_pictures_are_of_the_bundled_weights_and_small(kept: Path) -> None:
    revisions = {name: Source(path, name).revision() for name, path in bundled().items()}
    size = 0
    for path in kept.iterdir():
        text = picture_text(path) if path.suffix == ".webp" else png_text(path)
        again = "`python docs/gallery.py` draws it again"
        assert text["revision"] == revisions[text["weights"]], f"{path.name}: {again}"
        with Image.open(path) as image:
            assert min(image.size) >= 32
        size += path.stat().st_size
    assert size < 1.5e6
