"""GIF, WebP and PNG animations: their frames, their pace, their text, never half of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelgen.imaging import animation_bytes, picture_text, save_animation

TEXT = {"seed": "7", "weights": "größe", "parameters": '{"a": 1}' + 300 * " "}
DRAW = np.random.default_rng(0)
FRAMES = [
    Image.fromarray(DRAW.integers(0, 256, (8, 12, 3), dtype=np.uint8), mode="RGB") for _ in range(3)
]


def frames_of(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        shown = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            shown.append(image.convert("RGB"))
        return shown


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_pace_and_text_come_back(tmp_path: Path, suffix: str) -> None:
    path = save_animation(tmp_path / f"a{suffix}", FRAMES, 8, TEXT)
    assert path.read_bytes() == animation_bytes(FRAMES, suffix, 8, TEXT)
    # 96 pixels have no more than the 256 colours that a frame of a GIF can have.
    assert [f.tobytes() for f in frames_of(path)] == [f.tobytes() for f in FRAMES]
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        image.seek(1)
        image.load()
        assert image.info["duration"] == {".gif": 120}.get(suffix, 125)
    assert picture_text(path) == TEXT


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_damaged_text_is_none(tmp_path: Path, suffix: str) -> None:
    whole = animation_bytes(FRAMES, suffix, 8, TEXT)
    path = tmp_path / f"a{suffix}"
    start = max(whole.rfind(b"EXIF"), 0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in start + DRAW.integers(0, min(len(whole) - start, 64), 3):
            damaged[place] = DRAW.integers(256)
        path.write_bytes(damaged)
        assert isinstance(picture_text(path), dict)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_the_last_frame_is_held(tmp_path: Path, suffix: str) -> None:
    path = save_animation(tmp_path / f"a{suffix}", FRAMES, 10, TEXT, hold=1.5)
    durations = []
    with Image.open(path) as image:
        for number in range(len(FRAMES)):
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
    assert durations == [100, 100, 1600]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_a_single_frame_and_grey_ones(tmp_path: Path, suffix: str) -> None:
    grey = Image.new("L", (4, 3), 7)
    path = save_animation(tmp_path / f"A{suffix.upper()}", [grey], 50, TEXT)
    assert frames_of(path)[0].getpixel((3, 2)) == (7, 7, 7)
    assert picture_text(path) == TEXT


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    FRAMES[0].save(tmp_path / "plain.gif")
    FRAMES[0].save(tmp_path / "said.gif", comment=b"made by hand")
    FRAMES[0].save(tmp_path / "listed.gif", comment=b"[1]")
    FRAMES[0].save(tmp_path / "plain.webp")
    FRAMES[0].save(tmp_path / "a.png")
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    files = [*tmp_path.iterdir(), tmp_path / "missing.gif"]
    assert [picture_text(path) for path in files] == [{}] * 7


def test_an_existing_file(tmp_path: Path) -> None:
    first = save_animation(tmp_path / "a.gif", FRAMES, 8, {})
    with pytest.raises(FileExistsError):
        save_animation(first, FRAMES, 8, TEXT)
    assert save_animation(first, FRAMES, 8, TEXT, "number") == tmp_path / "a-2.gif"
    assert picture_text(first) == {}
    assert save_animation(first, FRAMES, 8, TEXT, "replace") == first
    assert picture_text(first) == TEXT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.gif", "a.gif"]
