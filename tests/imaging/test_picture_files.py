"""Pictures of several formats: their pixels, their text, and the statement of what made them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import PixelgenError
from pixelgen.imaging import (
    COMPOSITE,
    PICTURES,
    SOURCE_TYPE,
    TRAINED,
    decoding_limits,
    is_unfinished,
    picture_text,
    same_picture,
    save_animation,
    save_picture,
    save_png,
    unfinished_text,
)

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))
TEXT = {"seed": "7", "Software": "pixelgen <1>", SOURCE_TYPE: TRAINED, "weights": "größe"}
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def source_type(path: Path) -> str | None:
    """What the XMP of a picture says."""
    with Image.open(path) as image:
        packet = image.info.get("xmp", b"")
    if not packet:
        return None
    root = ElementTree.fromstring(packet.decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    (found,) = (one.get(IPTC) for one in root.iter() if one.get(IPTC))
    return found


@pytest.mark.parametrize("suffix", [*PICTURES, ".JPG"])
def test_pixels_and_text_come_back(tmp_path: Path, suffix: str) -> None:
    first = save_picture(tmp_path / f"a{suffix}", NOISE, TEXT)
    second = save_picture(tmp_path / f"b{suffix}", NOISE, TEXT)
    assert first.read_bytes() == second.read_bytes()
    assert picture_text(first) == TEXT
    assert same_picture(first, second)
    with Image.open(first) as image:
        if image.format == "JPEG":
            difference = np.asarray(image, float) - np.asarray(NOISE, float)
            assert np.abs(difference).mean() < 12
        else:
            assert image.convert("RGB").tobytes() == NOISE.tobytes()
    assert picture_text(save_picture(tmp_path / f"grey{suffix}", NOISE.convert("L"), {})) == {}
    with pytest.raises(FileExistsError):
        save_picture(first, NOISE, TEXT)


@pytest.mark.parametrize("suffix", PICTURES)
def test_what_made_a_picture_is_said_in_the_standard_form(tmp_path: Path, suffix: str) -> None:
    for kind in (TRAINED, COMPOSITE):
        path = save_picture(tmp_path / f"{kind}{suffix}", NOISE, TEXT | {SOURCE_TYPE: kind})
        assert source_type(path) == f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"
    assert source_type(save_picture(tmp_path / f"none{suffix}", NOISE, {"seed": "1"})) is None


def test_of_animations_too(tmp_path: Path) -> None:
    for suffix in (".png", ".webp"):
        path = save_animation(tmp_path / f"a{suffix}", [NOISE, NOISE], 8, TEXT)
        assert str(source_type(path)).endswith(f"/{TRAINED}")
        assert picture_text(path) == TEXT


def test_text_for_which_there_is_no_room(tmp_path: Path) -> None:
    text = {"parameters": "9" * 70_000}
    assert picture_text(save_picture(tmp_path / "a.jpg", NOISE, text)) == {}
    assert picture_text(save_picture(tmp_path / "a.webp", NOISE, text)) == text


def test_unfinished_pictures(tmp_path: Path) -> None:
    text = unfinished_text(NOISE, TEXT, 0.5)
    for suffix in PICTURES:
        path = save_picture(tmp_path / f"a{suffix}", NOISE, text)
        assert is_unfinished(path, TEXT) == (suffix not in (".jpg", ".jpeg"))
        assert not is_unfinished(path, TEXT | {"seed": "8"})


def test_a_picture_too_large_for_its_format_is_not_lost(tmp_path: Path) -> None:
    wide = Image.new("L", (16400, 1))
    save_png(tmp_path / "a.png", NOISE, {})
    with pytest.raises(PixelgenError, match=r"ends at 16383: the picture is in .*a-2\.png"):
        save_picture(tmp_path / "a.webp", wide, TEXT)
    assert picture_text(tmp_path / "a-2.png") == TEXT
    assert not (tmp_path / "a.webp").exists()


def test_a_jpeg_shows_transparent_pixels_over_white(tmp_path: Path) -> None:
    clear = NOISE.copy()
    clear.putalpha(0)
    file = save_picture(tmp_path / "a.jpg", clear, TEXT)
    with Image.open(file) as image:
        assert image.getextrema() == ((255, 255),) * 3
    assert picture_text(file) == TEXT


@pytest.mark.parametrize("suffix", [".gif", ".jpg", ".webp", ".tif"])
def test_a_file_that_takes_too_long_to_open_says_nothing(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        save_animation(path, [NOISE], 8, TEXT)
    else:
        save_picture(path, NOISE, TEXT)
    assert picture_text(path) == TEXT
    monkeypatch.setattr(decoding_limits, "MAX_SECONDS", -1)
    assert picture_text(path) == {}
