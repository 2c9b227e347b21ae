"""One list of formats and endings; what cannot be read is named, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pixelgen.errors import InputError
from pixelgen.imaging import picture_endings, read_image
from pixelgen.imaging.formats import known_formats
from pixelgen.jobs.photos import list_photos

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
AVIF = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"
JXL = b"\xff\x0a\xfa\x1f\x41\x91\x08\x06\x01"
JXL_BOX = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "


def test_a_folder_lists_whatever_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    names = []
    for ending in sorted(picture_endings()):
        for name in (f"a{ending}", f"b{ending.upper()}"):
            (tmp_path / name).touch()
            names.append(str(tmp_path / name))
    assert list_photos([str(tmp_path)]) == sorted(names)
    assert picture_endings() >= {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif"),
        *(".tiff", ".bmp", ".jp2", ".j2k", ".jpx", ".pbm", ".pgm", ".ppm", ".pnm", ".qoi"),
        *(".avif", ".heic", ".heif", ".hif", ".jxl"),
    }
    for ending, kind in Image.registered_extensions().items():
        if kind in (*known_formats(), "MPO"):
            assert ending in picture_endings()
    assert not picture_endings() & {".eps", ".pdf", ".ico", ".tga", ".psd"}


@pytest.mark.parametrize(
    ("content", "kind", "remedy"),
    [
        (HEIC, "a HEIC picture", "`pip install '.[heif]'`"),
        (AVIF, "an AVIF picture", "Pillow 11.3"),
        (JXL, "a JPEG XL picture", "pillow-jxl-plugin"),
        (JXL_BOX, "a JPEG XL picture", "pillow-jxl-plugin"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_remedy(
    content: bytes, kind: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = tuple(name for name in known_formats() if name not in ("AVIF", "HEIF", "JXL"))
    monkeypatch.setattr("pixelgen.imaging.read.known_formats", lambda: readable)
    with pytest.raises(InputError, match=kind) as caught:
        read_image(content, name="a.heic")
    assert caught.value.message.startswith("cannot read a.heic: it is ")
    assert remedy in caught.value.hint


def test_a_broken_picture_needs_no_other_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    readable = (*(name for name in known_formats() if name != "AVIF"), "AVIF")
    monkeypatch.setattr("pixelgen.imaging.read.known_formats", lambda: readable)
    with pytest.raises(InputError, match="an AVIF picture, but broken") as caught:
        read_image(AVIF)
    assert caught.value.hint == ""
