"""Pictures with a colour profile become sRGB; those of sRGB stay as they are, to the byte."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from pixelgen.imaging import read_image, square, to_rgb

from .profiles import SPACES, encode_srgb, grey_profile, profile, srgb_of

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("space", [*SPACES])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_colours_are_those_of_the_profile(space: str, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    read = read_image(stored(PHOTO, kind, icc_profile=profile(space), **options))
    assert read.mode == "RGB"
    assert not read.info
    away = np.abs(pixels(read) - srgb_of(np.asarray(PHOTO), space))
    assert away.mean() < 0.6
    # Dark linear values are far apart in sRGB, and rounded to 8 bits by the conversion.
    assert np.quantile(away, 0.99) < 3
    assert np.abs(pixels(read) - pixels(PHOTO)).mean() > 3


def test_colours_of_pictures_in_memory_and_of_crops() -> None:
    photo = PHOTO.copy()
    photo.info["icc_profile"] = profile("Adobe RGB")
    converted = to_rgb(photo)
    assert "icc_profile" not in converted.info
    assert np.abs(pixels(converted) - srgb_of(np.asarray(PHOTO), "Adobe RGB")).mean() < 0.6
    assert square(photo, 8).tobytes() == square(converted, 8).tobytes()
    assert square(photo, 40).tobytes() == square(converted, 40).tobytes()


def test_the_profile_counts_where_a_picture_shows_through() -> None:
    clear = PHOTO.copy()
    clear.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    read = pixels(read_image(stored(clear, icc_profile=profile("Display P3"))))
    alpha = np.asarray(clear.getchannel("A"))[..., None] / 255
    expected = srgb_of(np.asarray(PHOTO), "Display P3") * alpha + 255 * (1 - alpha)
    assert np.abs(read - expected).mean() < 1


def test_greys_have_profiles_of_their_own() -> None:
    grey = Image.linear_gradient("L")
    expected = encode_srgb((pixels(grey) / 255) ** 1.8)
    for image in (grey, Image.fromarray((pixels(grey) * 257).astype(np.uint16))):
        read = pixels(read_image(stored(image, icc_profile=grey_profile(1.8))))
        assert np.abs(read - expected[..., None]).max() < 2
    # A profile of other colours than those of the picture says nothing about it.
    assert (pixels(read_image(stored(PHOTO, icc_profile=grey_profile(1.8)))) == pixels(PHOTO)).all()


@pytest.mark.parametrize("profile", [SRGB, b"", b"\xff" * 300, SRGB[:200]])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16", "CMYK"])
def test_srgb_and_broken_profiles_change_nothing(profile: bytes, mode: str) -> None:
    image = PHOTO.convert("L") if mode == "I;16" else PHOTO
    image = image.convert("RGB").quantize(7) if mode == "P" else image.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    plain = read_image(stored(image, kind))
    assert read_image(stored(image, kind, icc_profile=profile)).tobytes() == plain.tobytes()
