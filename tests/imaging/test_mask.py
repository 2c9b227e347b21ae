"""Masks in the conventions of image editors, segmentation tools and editing services."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pixelgen.errors import InputError
from pixelgen.imaging import MASK_CONVENTIONS, cut_hole, load_mask, read_mask
from pixelgen.imaging.mask import hidden_by_mask

SIZE = (48, 32)
BOX = (10, 5, 29, 24)  # as Pillow draws it, with both ends
ALL = np.zeros((32, 48), dtype=bool)
EXPECTED = ALL.copy()
EXPECTED[5:25, 10:30] = True


def photo(low: int = 0, high: int = 256) -> Image.Image:
    """Noise between two values, smooth enough to survive compression."""
    values = np.random.default_rng(1).integers(low, high, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(SIZE, Image.Resampling.BILINEAR)


def erased(picture: Image.Image, colour: tuple[int, int, int] = (0, 0, 0)) -> Image.Image:
    """`picture` with a transparent part, of `colour` below it."""
    layer = picture.convert("RGBA")
    ImageDraw.Draw(layer).rectangle(BOX, fill=(*colour, 0))
    return layer


def painted(colour: tuple[int, int, int] = (255, 255, 255), alpha: int = 255) -> Image.Image:
    layer = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    ImageDraw.Draw(layer).rectangle(BOX, fill=(*colour, alpha))
    return layer


def through(picture: Image.Image, kind: str, **options: object) -> Image.Image:
    """`picture` as it is read from a file of this kind."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return read_mask(file)


@pytest.mark.parametrize("picture", [photo(), photo(200, 256), photo(0, 40)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (120, 200, 30)])
def test_the_photo_with_a_part_erased(picture: Image.Image, colour: tuple[int, int, int]) -> None:
    hidden, convention = hidden_by_mask(erased(picture, colour), picture)
    assert convention == "transparent"
    assert (hidden == EXPECTED).all()


def test_a_part_erased_from_what_is_white() -> None:
    """As of a product on white: the opaque part is white, and the photo is there too."""
    product = Image.new("RGB", SIZE, "white")
    ImageDraw.Draw(product).rectangle((14, 9, 25, 20), fill=(90, 40, 10))
    hidden, convention = hidden_by_mask(erased(product), product)
    assert (convention, (hidden == EXPECTED).all()) == ("transparent", True)


def test_white_paint_on_a_transparent_layer() -> None:
    for layer in (painted(), painted(alpha=200), painted().convert("LA")):
        hidden, convention = hidden_by_mask(layer, photo())
        assert (convention, (hidden == EXPECTED).all()) == ("painted", True)
    large = painted().resize((480, 320)).resize(SIZE, Image.Resampling.BICUBIC)  # soft edges
    hidden, convention = hidden_by_mask(large, photo())
    assert (convention, (hidden == EXPECTED).all()) == ("painted", True)


@pytest.mark.parametrize("colour", [(0, 0, 0), (120, 120, 120), (200, 40, 40)])
def test_any_other_opaque_part_is_kept(colour: tuple[int, int, int]) -> None:
    hidden, convention = hidden_by_mask(erased(Image.new("RGB", SIZE, colour)), photo())
    assert (convention, (hidden == EXPECTED).all()) == ("transparent", True)


def test_black_white_and_transparent() -> None:
    layer = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    draw = ImageDraw.Draw(layer)
    draw.rectangle((10, 5, 19, 24), fill=(255, 255, 255, 255))
    draw.rectangle((20, 5, 29, 24), fill=(0, 0, 0, 0))
    hidden, convention = hidden_by_mask(layer, photo())
    assert (convention, (hidden == EXPECTED).all()) == ("white-or-transparent", True)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "RGBA", "LA", "I;16", "I", "CMYK"])
def test_white_on_black(mode: str) -> None:
    mask = Image.fromarray((EXPECTED * 255).astype(np.uint8))
    if mode == "I;16":
        mask = Image.fromarray((EXPECTED * 65535).astype(np.uint16))
    elif mode == "I":
        mask = Image.fromarray((EXPECTED * 65535).astype(np.int32))
    else:
        mask = (mask.convert("RGB") if mode == "CMYK" else mask).convert(mode)
    hidden, convention = hidden_by_mask(mask, photo())
    assert (convention, (hidden == EXPECTED).all()) == ("white", True)


def test_files(tmp_path: Path) -> None:
    picture = photo()
    for kind, options in (("PNG", {}), ("WEBP", {"quality": 80}), ("TIFF", {}), ("GIF", {})):
        mask = through(erased(picture), kind, **options)
        hidden, convention = hidden_by_mask(mask, picture)
        assert (convention, kind) == ("transparent", kind)
        assert (hidden == EXPECTED).mean() > 0.99
        hidden, convention = hidden_by_mask(through(painted(), kind, **options), picture)
        assert (convention, kind) == ("painted", kind)
        assert (hidden == EXPECTED).mean() > 0.99
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = painted().transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "mask.png", exif=exif)
    hidden, convention = hidden_by_mask(load_mask(tmp_path / "mask.png"), picture)
    assert (convention, (hidden == EXPECTED).all()) == ("painted", True)
    with pytest.raises(InputError, match="cannot read"):
        load_mask(tmp_path / "none.png")


def test_all_and_nothing() -> None:
    picture = photo()
    empty = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    for mask, extreme in (
        (empty, "everything that the weights see is hidden"),
        (Image.new("RGBA", SIZE, "white"), "everything that the weights see is hidden"),
        (Image.new("RGB", SIZE, "black"), "nothing that the weights see is hidden"),
        (picture.convert("RGBA"), None),
        (painted(), None),
    ):
        hole = cut_hole(picture, 8, mask=mask)
        assert (hole.extreme or "").startswith(extreme or "")
        assert (hole.extreme is None) == (extreme is None)
    assert cut_hole(picture, 8).convention is None
    assert set(MASK_CONVENTIONS) >= {cut_hole(picture, 8, mask=painted()).convention}


def test_large_masks_are_read_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelgen.imaging.mask._SIDE", 7)
    for mask, convention in ((painted(), "painted"), (erased(photo()), "transparent")):
        hidden, found = hidden_by_mask(mask, photo())
        assert (found, (hidden == EXPECTED).all()) == (convention, True)
