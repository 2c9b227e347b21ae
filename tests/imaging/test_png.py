"""PNG files: their text, their names, never half of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pixelgen.errors import PixelgenError
from pixelgen.imaging import png_bytes, png_text, save_png
from pixelgen.imaging.png import allow_any_size

RED = Image.new("RGB", (3, 2), "red")
TEXT = {"seed": "7", "weights": "größe", "parameters": '{"a": 1}'}


def test_text_and_bytes() -> None:
    assert png_bytes(RED, TEXT) == png_bytes(RED, TEXT)


def test_text_comes_back(tmp_path: Path) -> None:
    assert png_text(save_png(tmp_path / "a.png", RED, TEXT)) == TEXT
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert png_text(tmp_path / "b.png") == png_text(tmp_path / "c.png") == {}


def test_an_existing_file(tmp_path: Path) -> None:
    first = save_png(tmp_path / "a.png", RED, {})
    before = first.read_bytes()
    with pytest.raises(FileExistsError):
        save_png(first, RED, TEXT)
    assert save_png(first, RED, TEXT, "number") == tmp_path / "a-2.png"
    assert first.read_bytes() == before
    assert save_png(first, RED, TEXT, "replace") == first
    assert png_text(first) == TEXT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.png", "a.png"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PixelgenError, match="cannot write"):
        save_png(tmp_path / "no" / "a.png", RED, {})


def test_the_limit_of_pillow_is_restored_whoever_leaves_last() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    first, second = allow_any_size(), allow_any_size()
    # As in two threads: the second comes before the first has gone, and goes after it.
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert Image.MAX_IMAGE_PIXELS is None
    second.__exit__(None, None, None)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert limit is not None
