"""Faces are found in any picture, and land where all training faces are."""

from __future__ import annotations

import cmath
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pixelgen.cli.errors import exit_code_of
from pixelgen.cli.hints import HINTS
from pixelgen.errors import InputError, PixelgenError
from pixelgen.imaging import (
    Face,
    FaceCropper,
    align,
    find_face,
    read_image,
    residual,
    square,
)
from pixelgen.imaging.alignment import TEMPLATE, similarity_transform
from pixelgen.imaging.mtcnn import MtcnnDetector, _suppress_overlaps

PORTRAITS = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector()


def placed(turn: complex, shift: complex) -> list[tuple[float, float]]:
    """The landmarks of a face that the template became by turn · z + shift."""
    points = [turn * complex(x, y) + shift for x, y in TEMPLATE]
    return [(z.real, z.imag) for z in points]


def dotted(size: tuple[int, int], points: list[tuple[float, float]], width: float) -> Image.Image:
    """Soft white dots on black."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * width**2)) for px, py in points]
    return Image.fromarray((255 * np.sum(dots, axis=0)).clip(0, 255).astype(np.uint8))


def centre_of_light(image: Image.Image, near: tuple[float, float]) -> tuple[float, float]:
    light = np.asarray(image.convert("L")).astype(float)
    y, x = np.mgrid[: image.height, : image.width] + 0.5
    light[np.hypot(x - near[0], y - near[1]) > 5 * image.width / 64] = 0
    return float((x * light).sum() / light.sum()), float((y * light).sum() / light.sum())


def most_apart(a: Image.Image, b: Image.Image) -> int:
    """The largest difference of two pictures of one size, 0 … 255."""
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max())


TURNS = [1, 3.7, 0.4, cmath.rect(2, 0.5), cmath.rect(5.3, -2.5), cmath.rect(0.8, math.pi / 2)]


@pytest.mark.parametrize("turn", TURNS)
def test_a_known_similarity_is_undone(turn: complex) -> None:
    turn, shift = complex(turn), complex(31.5, -80)
    landmarks = placed(turn, shift)
    back, start = similarity_transform(landmarks)
    assert back == pytest.approx(1 / turn)
    assert start == pytest.approx(-shift / turn)
    assert residual(landmarks) == pytest.approx(0, abs=1e-9)


def test_the_similarity_is_that_of_umeyama() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        given = np.array(TEMPLATE) * draw.uniform(0.2, 9) + draw.normal(0, 3, (5, 2))
        goal = np.array(TEMPLATE)
        # Equations 34 … 43 of the paper, for points that need no reflection.
        middle, aim = given.mean(0), goal.mean(0)
        u, d, vt = np.linalg.svd((goal - aim).T @ (given - middle) / 5)
        assert np.linalg.det(u) * np.linalg.det(vt) > 0
        scale = d.sum() / ((given - middle) ** 2).sum(1).mean()
        matrix = scale * u @ vt
        start = aim - matrix @ middle
        misses = given @ matrix.T + start - goal
        turn, shift = similarity_transform([(x, y) for x, y in given.tolist()])
        assert [turn.real, -turn.imag, turn.imag, turn.real] == pytest.approx(matrix.ravel())
        assert [shift.real, shift.imag] == pytest.approx(start)
        rms = math.sqrt((misses**2).sum(1).mean())
        assert residual([(x, y) for x, y in given.tolist()]) == pytest.approx(rms)


def test_the_residual_is_measured_in_the_template() -> None:
    landmarks = placed(cmath.rect(7, 0.3), complex(5, 9))
    worse = [(x, y + 14 * (i == 2)) for i, (x, y) in enumerate(landmarks)]
    # A nose that is 2 template pixels off, less what the fit takes up of it.
    assert 0.5 < residual(worse) < 2 / math.sqrt(5)


@pytest.mark.parametrize("turn", TURNS[:4] + TURNS[5:])
@pytest.mark.parametrize(("size", "margin"), [(64, 0), (64, 4), (128, 0), (32, 2)])
def test_landmarks_land_on_the_template(turn: complex, size: int, margin: int) -> None:
    landmarks = placed(turn, complex(300, 300) - turn * complex(32, 32))
    made = align(dotted((600, 600), landmarks, 1.5 * abs(turn)), landmarks, size, margin)
    assert (made.mode, made.size) == ("RGB", (size + 2 * margin, size + 2 * margin))
    for x, y in TEMPLATE:
        goal = (x * size / 64 + margin, y * size / 64 + margin)
        assert centre_of_light(made, goal) == pytest.approx(goal, abs=0.15 * size / 64)


def test_a_face_that_is_aligned_stays_as_it_is() -> None:
    photo = read_image(PORTRAITS[0]).resize((64, 64))
    assert most_apart(align(photo, TEMPLATE), photo) <= 1
    ring = align(photo, TEMPLATE, margin=4)
    assert most_apart(ring.crop((4, 4, 68, 68)), photo) <= 1


def test_what_leaves_the_picture_is_mirrored() -> None:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ring = align(Image.fromarray(pixels), TEMPLATE, margin=80)
    padded = np.pad(pixels, ((80, 80), (80, 80), (0, 0)), mode="reflect")
    assert most_apart(ring, Image.fromarray(padded)) <= 1
    assert align(Image.new("RGB", (1, 1), "red"), TEMPLATE, 8).getpixel((7, 7)) == (255, 0, 0)


def test_a_large_face_is_averaged_before_it_is_shrunk() -> None:
    board = Image.fromarray((np.indices((640, 640)).sum(0) % 2 * 255).astype(np.uint8))
    made = np.asarray(align(board, placed(cmath.rect(9, 0.2), complex(40, -60)))).astype(int)
    assert np.abs(made - 127.5).max() < 3


@pytest.mark.parametrize(
    "landmarks",
    [[(5, 5)] * 5, list(TEMPLATE[:4]), [*TEMPLATE[:4], (math.nan, 1)], [*TEMPLATE, (1, 1)]],
)
def test_landmarks_of_no_face(landmarks: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        align(Image.new("RGB", (9, 9)), landmarks)


@pytest.mark.parametrize("path", PORTRAITS, ids=lambda path: path.stem)
def test_portraits(detector: MtcnnDetector, path: Path) -> None:
    (face,) = detector.detect(read_image(path))
    x0, y0, x1, y1 = face.box
    assert -20 < x0 < x1 < 276
    assert -20 < y0 < y1 < 276
    assert all(x0 < x < x1 and y0 < y < y1 for x, y in face.landmarks)
    assert 0.9 < face.score <= 1
    assert face.area == (x1 - x0) * (y1 - y0)
    assert residual(face.landmarks) < 4
    (again,) = detector.detect(align(read_image(path), face.landmarks, margin=4))
    for found, goal in zip(again.landmarks, TEMPLATE, strict=True):
        assert math.dist(found, (goal[0] + 4, goal[1] + 4)) < 6


@pytest.mark.parametrize("path", PORTRAITS, ids=lambda path: path.stem)
def test_another_implementation_finds_the_same(detector: MtcnnDetector, path: Path) -> None:
    expected = json.loads(path.with_name("faces.json").read_text("utf-8"))[path.name]
    (face,) = detector.detect(read_image(path))
    assert face.box == pytest.approx(expected["box"], abs=0.01)
    assert face.score == pytest.approx(expected["score"], abs=1e-5)
    for found, goal in zip(face.landmarks, expected["landmarks"], strict=True):
        assert found == pytest.approx(goal, abs=0.01)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_that_was_held_otherwise(detector: MtcnnDetector, orientation: int) -> None:
    upright = read_image(PORTRAITS[0])
    turned = upright.transpose(
        {
            3: Image.Transpose.ROTATE_180,
            6: Image.Transpose.ROTATE_90,
            8: Image.Transpose.ROTATE_270,
        }[orientation]
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    photo = read_image(buffer.getvalue())
    assert detector.detect(photo) == detector.detect(upright)


def test_the_largest_face_comes_first(detector: MtcnnDetector) -> None:
    small, large = (read_image(path) for path in PORTRAITS[:2])
    both = Image.new("RGB", (600, 360), "grey")
    both.paste(small.resize((180, 180)), (10, 90))
    both.paste(large.resize((340, 340)), (230, 10))
    first, second = detector.detect(both)
    assert first.area > second.area
    assert first.box[0] > 230 > 190 > second.box[2]
    assert find_face(both, None, detector) == find_face(both, 1, detector) == first
    assert find_face(both, 2, detector) == second
    for index in (0, 3, -1):
        with pytest.raises(PixelgenError, match=f"a.png has 2 faces, no number {index}") as caught:
            find_face(both, index, detector, name="a.png")
        assert (exit_code_of(caught.value), caught.value.hint) == (2, "face must be 1 to 2")
        assert HINTS[caught.value.code] == "--face N"


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "LA"])
def test_pictures_of_any_mode(detector: MtcnnDetector, mode: str) -> None:
    photo = read_image(PORTRAITS[1])
    (face,) = detector.detect(photo)
    (other,) = detector.detect(photo.convert(mode))
    assert math.dist(face.box[:2], other.box[:2]) < 12
    assert residual(other.landmarks) < 4
    assert align(photo.convert(mode), other.landmarks).mode == "RGB"


@pytest.mark.parametrize("side", [24, 64, 3000])
def test_landmarks_are_of_the_picture_as_it_was_given(detector: MtcnnDetector, side: int) -> None:
    photo = read_image(PORTRAITS[2])
    (face,) = detector.detect(photo)
    (other,) = detector.detect(photo.resize((side, side), Image.Resampling.LANCZOS))
    for here, there in zip(face.landmarks, other.landmarks, strict=True):
        assert math.dist(here, (there[0] * 256 / side, there[1] * 256 / side)) < 12


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (1, 4000), (4000, 1), (300, 200)])
def test_blank_and_tiny_pictures_have_no_face(
    detector: MtcnnDetector, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    noise = Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8))
    for image in (Image.new("RGB", size), Image.new("RGB", size, "white"), noise):
        assert detector.detect(image) == []
        with pytest.raises(PixelgenError, match="no face found in the picture") as caught:
            find_face(image, detector=detector)
        assert isinstance(caught.value, InputError)
        assert caught.value.hint.startswith("set aligned")
        assert "--no-align" in HINTS[caught.value.code]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(18000, 1000), (5400, 3600)])
def test_small_faces_of_large_photos(detector: MtcnnDetector, size: tuple[int, int]) -> None:
    """Faces of about 1 % of the longer side, as of a person in a landscape."""
    width = size[0] // 34  # of the portrait; its face is a third of that
    photo = read_image(PORTRAITS[2])
    (expected,) = detector.detect(photo)
    scene = Image.new("RGB", size, "grey")
    scene.paste(photo.resize((width, width), Image.Resampling.LANCZOS), (700, 300))
    (face,) = detector.detect(scene)
    assert detector.smallest_face(*size) < face.box[2] - face.box[0] < 0.02 * size[0]
    for found, goal in zip(face.landmarks, expected.landmarks, strict=True):
        here = (700 + goal[0] * width / 256, 300 + goal[1] * width / 256)
        assert math.dist(found, here) < 0.04 * width


def test_the_second_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def search(self: MtcnnDetector, image: Image.Image, scale: float) -> list[Face]:
        searched.append(scale)
        return []

    monkeypatch.setattr(MtcnnDetector, "_search", search)
    detector = MtcnnDetector()
    for size in ((640, 480), (1024, 1024), (2000, 100), (3000, 2000), (9000, 300), (5, 9000)):
        searched.clear()
        detector.detect(Image.new("RGB", size))
        first, *more = searched
        assert more == [] or first < more[0] <= 1
        assert math.prod(size) * searched[-1] ** 2 < 4_000_001
        assert detector.smallest_face(*size) == pytest.approx(20 / searched[-1])
        assert (len(more) == 1) == (max(size) > 1024)


def test_many_windows_that_look_like_faces_are_bounded() -> None:
    draw = np.random.default_rng(0)
    corner = draw.uniform(0, 1e6, (30_000, 2))
    boxes, scores = np.concatenate([corner, corner + 20], axis=1), draw.uniform(0, 1, 30_000)
    keep = _suppress_overlaps(boxes, scores, 0.5)
    assert len(keep) <= 2000
    assert scores[keep].min() > 0.9


@pytest.mark.parametrize("turn", ["90° clockwise", "90° anticlockwise", "180°"])
@pytest.mark.parametrize("path", PORTRAITS, ids=lambda path: path.stem)
def test_photos_on_their_side(detector: MtcnnDetector, path: Path, turn: str) -> None:
    degrees = {"90° clockwise": -90, "90° anticlockwise": 90, "180°": 180}[turn]
    photo = read_image(path).rotate(-degrees)
    with pytest.raises(InputError, match=f"no upright face in me, but one .* {turn}") as e:
        find_face(photo, None, detector, name="me")
    assert e.value.hint == "rotate the picture first"
    with pytest.raises(InputError, match=turn):
        FaceCropper(32, detector).crop(photo)
    assert find_face(photo.rotate(degrees), None, detector).score > 0.99


@pytest.mark.parametrize(("turned", "accepted"), [(0.95, True), (0.985, True), (0.997, False)])
def test_a_face_that_is_much_likelier_after_a_turn_is_not_upright(
    turned: float, accepted: bool
) -> None:
    class Unsure:
        def detect(self, image: Image.Image) -> list[Face]:
            score = 0.9 if image.width > image.height else turned
            return [Face((0, 0, image.width, image.height), score, TEMPLATE)]

    def find() -> Face:
        return find_face(Image.new("RGB", (90, 60)), None, Unsure())

    if accepted:
        assert find().score == 0.9
    else:
        with pytest.raises(InputError, match="no upright face in the picture, but one when"):
            find()


def test_nothing_found_says_how_small_a_face_may_be(detector: MtcnnDetector) -> None:
    for size, pixels in (((300, 200), 20), ((64, 64), 10), ((3000, 200), 20)):
        with pytest.raises(InputError, match=f"narrower than about {pixels} pixels") as caught:
            find_face(Image.new("RGB", size), None, detector)
        assert caught.value.code == "no-face-found"


def test_faces_are_cut_out_of_photos(detector: MtcnnDetector) -> None:
    photo = read_image(PORTRAITS[0])
    wide = Image.new("RGB", (520, 256))
    wide.paste(photo.resize((200, 200)), (0, 0))
    wide.paste(read_image(PORTRAITS[1]), (264, 0))
    cropper = FaceCropper(32)
    first, second = cropper.crop(wide), cropper.crop(wide, face=2)
    assert (first.face_count, second.face_count) == (2, 2)
    for number, crop in ((1, first), (2, second)):
        face = find_face(wide, number, detector)
        assert crop.image.tobytes() == align(wide, face.landmarks, 32).tobytes()
    whole = FaceCropper(32, detector).crop(photo, aligned=True)
    assert whole.face_count == 0
    assert whole.image.tobytes() == square(photo, 32).tobytes()
    with pytest.raises(PixelgenError, match="no face found in me"):
        cropper.crop(Image.new("L", (30, 30)), name="me")


def test_another_detector_will_do() -> None:
    class Fixed:
        def detect(self, image: Image.Image) -> list[Face]:
            return [Face((0, 0, image.width, image.height), 1.0, TEMPLATE)]

    assert find_face(Image.new("RGB", (64, 64)), detector=Fixed()).landmarks == TEMPLATE


def test_nothing_else_of_torch_is_changed() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    MtcnnDetector().detect(read_image(PORTRAITS[0]))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_broken_weights_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pixelgen.imaging.mtcnn._WEIGHTS", tmp_path / "a.safetensors")
    for content in (None, b"", {}, {"proposal.face.bias": torch.zeros(3)}):
        if isinstance(content, bytes):
            (tmp_path / "a.safetensors").write_bytes(content)
        elif content is not None:
            save_file(content, tmp_path / "a.safetensors")
        with pytest.raises(PixelgenError, match="the face detector does not load") as caught:
            MtcnnDetector()
        assert "\n" not in caught.value.message
        assert caught.value.hint.startswith("`pip install --force-reinstall --no-deps .`")
