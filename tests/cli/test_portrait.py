"""`pixelgen portrait`, on random weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pixelgen
from pixelgen.imaging import FaceCropper, png_text, read_image

from .conftest import Pipe, Run

PORTRAITS = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))
FACE, OTHER = PORTRAITS[:2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two people in one photo, the larger one on the right; nobody; no whole file; no file."""
    folder = tmp_path_factory.mktemp("photos")
    names = {name: folder / name for name in ("pair.png", "blank.png", "dot.png", "cut.jpg")}
    small, large = read_image(FACE), read_image(OTHER)
    both = Image.new("RGB", (600, 360), "grey")
    both.paste(small.resize((180, 180)), (10, 90))
    both.paste(large.resize((340, 340)), (230, 10))
    both.save(names["pair.png"])
    Image.new("RGB", (90, 60)).save(names["blank.png"])
    Image.new("RGB", (1, 1)).save(names["dot.png"])
    names["cut.jpg"].write_bytes(FACE.read_bytes()[:2000])
    return names


def parts(sheet: Path, *lefts: int) -> list[bytes]:
    """The pictures of 16×16 pixels in the first row of a sheet."""
    with Image.open(sheet) as image:
        return [image.crop((left, 0, left + 16, 16)).tobytes() for left in lefts]


def test_the_source_stands_at_the_left_of_its_portraits(run: Run, face_weights: Path) -> None:
    words = ["portrait", FACE, "-n", 3, "--seed", 3, "--weights", face_weights]
    outcome = run(*words, "-o", "a.png")
    assert (outcome.code, outcome.out) == (0, "a.png\n"), outcome.err
    assert outcome.err.startswith("3 pictures in ")
    assert "seed 3" in outcome.err
    assert "similarity" in outcome.err
    with Image.open("a.png") as sheet:
        assert sheet.size == (16 + 6 + 3 * 18 - 2, 16)
    expected = pixelgen.load(face_weights, "cpu").portrait([read_image(FACE)], n=3, seed=3)
    source, *portraits = parts(Path("a.png"), 0, 22, 40, 58)
    assert source == FaceCropper(16).crop(read_image(FACE)).image.tobytes()
    assert portraits == [image.tobytes() for image in expected.images]
    run(*words, "-o", "b.png", "--batch-size", 2)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_eight_in_a_row_and_larger_sheets(run: Run, face_weights: Path) -> None:
    words = ["portrait", FACE, "--seed", 3, "--weights", face_weights]
    run(*words, "-o", "8.png")
    run(*words, "-o", "10.png", "-n", 10)
    run(*words, "-o", "x.png", "--scale", 3)
    run(*words, "-o", "y.png", "--scale", 3, "--resample", "lanczos")
    small, rows, large, smooth = (read_image(f"{name}.png") for name in ("8", "10", "x", "y"))
    assert (small.size, rows.size) == ((164, 16), (110, 34))
    assert large.size == smooth.size == (492, 48)
    assert large.resize(small.size, Image.Resampling.NEAREST).tobytes() == small.tobytes()
    assert smooth.tobytes() != large.tobytes()


def test_separate_files_hold_the_portraits_alone(run: Run, face_weights: Path) -> None:
    words = ["portrait", FACE, "-n", 2, "--seed", 1, "--weights", face_weights]
    run(*words, "-o", "grid.png")
    outcome = run(*words, "-o", "one.png", "--separate")
    assert outcome.out.split() == ["one-1.png", "one-2.png"]
    alone = [Image.open(name).tobytes() for name in outcome.out.split()]
    assert alone == parts(Path("grid.png"), 22, 40)
    assert png_text(Path("one-2.png"))["Synthetic"] == (
        "All faces in this picture were drawn by a model."
    )
    assert json.loads(png_text(Path("one-2.png"))["parameters"])["picture"] == 1


def test_the_picture_says_how_it_was_made(run: Run, face_weights: Path) -> None:
    run("portrait", FACE, "-n", 2, "--weights", face_weights, "--scale", 2, "-o", "a.png")
    text = png_text(Path("a.png"))
    about = {"Software", "Synthetic", "DigitalSourceType"}
    assert set(text) == {*about, "seed", "weights", "revision", "parameters"}
    assert text["Synthetic"] == (
        "All faces in this picture were drawn by a model, save the source photos beside them."
    )
    assert text["weights"] == "faces"
    assert text["revision"].startswith("sha256:")
    facts = json.loads(text["parameters"])
    assert [crop[:7] for crop in facts.pop("crops")] == ["sha256:"]
    assert facts == {
        "n": 2,
        "candidates": 1,
        "temperature": 1.0,
        "top_p": 1.0,
        "guidance": 1.0,
        "photos": [FACE.name],
        "face": None,
        "align": True,
        "grid": True,
        "scale": 2,
        "resample": "nearest",
    }


def test_json(run: Run, face_weights: Path, photos: dict[str, Path]) -> None:
    pair = photos["pair.png"]
    words = ["portrait", pair, FACE, "-n", 3, "--seed", 5, "--weights", face_weights]
    outcome = run(*words, "--json", "-q", "-o", "a.png")
    facts = json.loads(outcome.out)
    assert outcome.err == ""
    assert facts["files"] == ["a.png"]
    assert facts["photos"] == [str(pair), str(FACE)]
    assert (facts["seed"], facts["weights"], facts["device"]) == (5, "faces", "cpu")
    assert len(facts["similarity"]) == len(facts["bits_per_dim"]) == 3
    assert all(-1 <= near <= 1 for near in facts["similarity"])
    expected: dict[str, object] = {
        "n": 3,
        "temperature": 1.0,
        "top_p": 1.0,
        "guidance": 1.0,
        "candidates": 1,
    }
    expected |= {"photos": ["pair.png", FACE.name], "face": None, "align": True}
    assert len(facts["parameters"].pop("crops")) == 2
    assert facts["parameters"] == expected


def test_candidates(run: Run, face_weights: Path) -> None:
    words = ["portrait", FACE, "--seed", 5, "--weights", face_weights, "-n", 3, "--json", "-q"]
    some = json.loads(run(*words, "-o", "a.png").out)
    best = json.loads(run(*words, "--candidates", 4, "-o", "b.png").out)
    assert sum(best["similarity"]) > sum(some["similarity"])
    assert best["parameters"] == some["parameters"] | {"candidates": 4}
    assert read_image("b.png").size == read_image("a.png").size
    outcome = run(*words[:-2], "--candidates", 2, "-o", "c.png", "--animate", "c.gif")
    assert (outcome.code, outcome.out) == (0, "c.png\nc.gif\n")
    assert outcome.err.endswith(", each the nearest of 2\n")
    with Image.open("c.gif") as growing:
        assert growing.size == read_image("c.png").size
    outcome = run(*words, "--candidates", 10**6, "-o", "d.png")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_default_names_tell_and_never_overwrite(run: Run, face_weights: Path) -> None:
    words = ["portrait", FACE, "-n", 1, "--seed", 1, "--weights", face_weights]
    stem = f"pixelgen-portrait-{FACE.stem}-s1"
    assert [run(*words).out for _ in range(2)] == [f"{stem}.png\n", f"{stem}-2.png\n"]
    strange = Path("写真" + 200 * "x" + ".jpg")
    strange.write_bytes(FACE.read_bytes())
    outcome = run("portrait", strange, *words[2:])
    assert outcome.out == f"pixelgen-portrait-{40 * 'x'}-s1.png\n"


def test_a_named_file_is_replaced_only_by_force(run: Run, face_weights: Path) -> None:
    words = ["--seed", 1, "-n", 1, "--weights", face_weights, "-o", "a.png"]
    assert run("portrait", FACE, *words).code == 0
    before = Path("a.png").read_bytes()
    assert run("portrait", FACE, *words).code == 0  # this very picture
    outcome = run("portrait", OTHER, *words)
    assert (outcome.code, outcome.err) == (2, "error: a.png exists (--force replaces it)\n")
    assert Path("a.png").read_bytes() == before
    assert run("portrait", OTHER, *words, "--force").code == 0
    assert Path("a.png").read_bytes() != before


def test_of_several_faces_the_largest(
    run: Run, face_weights: Path, photos: dict[str, Path]
) -> None:
    pair = photos["pair.png"]
    words = ["portrait", pair, "-n", 1, "--seed", 1, "--weights", face_weights]
    outcome = run(*words, "-o", "a.png")
    note = f"note: {pair} has 2 faces, the largest is used; "
    note += "the option face (1 to 2) chooses another\n"
    assert (outcome.code, outcome.err[: len(note)]) == (0, note)
    assert run(*words, "-o", "b.png", "-q").err == ""
    for number in (1, 2):
        assert "note" not in run(*words, "--face", number, "-o", f"{number}.png").err
    first, second, max_pixels_read = (parts(Path(f"{name}.png"), 0) for name in ("1", "2", "a"))
    assert first == max_pixels_read != second


def test_an_aligned_face_is_taken_as_it_is(run: Run, face_weights: Path) -> None:
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save("crop.png")
    words = ["portrait", "crop.png", "-n", 1, "--weights", face_weights, "-o", "a.png"]
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == (
        "error: no face found in crop.png; faces narrower than about 3 pixels are missed "
        "(--no-align for an already aligned crop)\n"
    )
    assert run(*words, "--no-align").code == 0
    assert parts(Path("a.png"), 0) == [Image.open("crop.png").tobytes()]


def test_several_photos_of_one_person(run: Run, face_weights: Path) -> None:
    words = ["-n", 1, "--seed", 1, "--weights", face_weights, "-o"]
    outcome = run("portrait", FACE, OTHER, *words, "both.png")
    assert (outcome.code, outcome.out) == (0, "both.png\n")
    run("portrait", OTHER, FACE, *words, "swapped.png")
    run("portrait", FACE, *words, "one.png")
    first, second, drawn = parts(Path("both.png"), 0, 18, 40)
    assert parts(Path("swapped.png"), 0, 18, 40) == [second, first, drawn]
    assert parts(Path("one.png"), 0, 22)[0] == first


def test_stdin_and_stdout(run: Run, pipe: Pipe, face_weights: Path) -> None:
    words = ["portrait", "-n", 1, "--seed", 1, "-q", "--weights", face_weights]
    outcome = pipe(*words, "-", "-o", "-", stdin=FACE.read_bytes())
    assert (outcome.code, outcome.err) == (0, "")
    assert run(*words, FACE, "-o", "a.png").code == 0
    with Image.open(io.BytesIO(outcome.out)) as piped, Image.open("a.png") as named:
        assert piped.tobytes() == named.tobytes()
        assert json.loads(piped.info["parameters"])["photos"] == ["stdin"]


def test_a_photo_of_any_kind(run: Run, face_weights: Path) -> None:
    with Image.open(FACE) as photo:
        photo.convert("RGBA").save("a.png")
        photo.convert("CMYK").save("b.jpg")
        photo.convert("L").save("c.gif", save_all=True, append_images=[Image.new("L", (9, 9))])
    for name in ("a.png", "b.jpg", "c.gif"):
        outcome = run("portrait", name, "-n", 1, "--weights", face_weights, "-o", f"{name}.png")
        assert outcome.code == 0, outcome.err


def test_weights_that_are_not_bundled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.bundled", dict)
    outcome = run("portrait", FACE)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: no weights called faces64 (bundled: none; ")
    assert outcome.err.count("\n") == 1


BAD = [
    (["missing.jpg"], 3, "cannot read missing.jpg: No such file or directory"),
    (["FACE", "missing.jpg"], 3, "cannot read missing.jpg"),
    (["blank.png"], 3, "no face found in "),
    (["FACE", "blank.png", "--json"], 3, "no face found in "),
    (["dot.png"], 3, "no face found in "),
    (["cut.jpg"], 3, "cannot read "),
    (["."], 3, "cannot read .: it is a folder"),
    ([__file__], 3, "it is not a picture in a known format"),
    (["-"], 3, "cannot read stdin: it is empty"),
    (["-", "-"], 2, "stdin holds one picture"),
    ([], 2, "Missing argument"),
    (["FACE", "--face", "2"], 2, "has 1 face, no number 2"),
    (["FACE", "--face", "0"], 2, "face must be at least 1, not 0"),
    (
        ["FACE", "--face", "1", "--no-align"],
        2,
        "an aligned photo has one face (--face or",
    ),
    (["FACE", "-n", "0"], 2, "n must be at least 1, not 0"),
    (["FACE", "-n", str(2**70)], 2, "n must be below 2^63"),
    (["FACE"] * 95 + ["-n", "1", "--scale", "64"], 2, "96 pictures of 1024×1024 pixels are too"),
    (["FACE", "-n", "1000000"], 2, "1000000 pictures of 16×16 pixels are too many"),
    (["FACE", "-n", "100", "--scale", "64"], 2, "100 pictures of 1024×1024 pixels"),
    (["FACE", "--seed", "-1"], 2, "seed must be at least 0"),
    (["FACE", "--batch-size", "0"], 2, "batch_size must be at least 1"),
    (["FACE", "--temperature", "0"], 2, "temperature must be above 0"),
    (["FACE", "--top-p", "2"], 2, "top_p must be above 0 and at most 1"),
    (["FACE", "--guidance", "nan"], 2, "guidance must be finite"),
    (["FACE", "--scale", "0"], 2, "--scale"),
    (["FACE", "--device", "gpu"], 2, "no device 'gpu'"),
    (["FACE", "--weights", "nowhere"], 2, "no weights called nowhere"),
    (["FACE", "--weights", "CLASSES"], 2, "tiny has no face embedder"),
    (["FACE", "-o", "a.gif"], 2, "a.gif is neither a folder nor a .png file"),
    (["FACE", "-o", "no/a.png"], 2, "no folder no"),
    (["FACE", "-o", "-", "--json"], 2, "stdout cannot take both"),
    (["FACE", "-o", "-", "--separate"], 2, "stdout takes one picture"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(b[0])[-30:] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run,
    weights: Path,
    face_weights: Path,
    photos: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    says: str,
) -> None:
    def too_late(*_: object) -> None:
        raise AssertionError("weights were loaded first")

    monkeypatch.setattr("pixelgen.pipelines.PortraitPipeline.from_pretrained", too_late)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO()))
    named = {"FACE": FACE, "CLASSES": weights, **photos}
    given = [named.get(word, word) for word in words]
    given += [] if "--weights" in words else ["--weights", face_weights]
    outcome = run("portrait", *given)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []
