"""`pixelgen faces`: boxes on stdout, or aligned faces in a folder."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelgen.errors import REINSTALL_HINT
from pixelgen.imaging import align, mtcnn, png_text, read_image
from pixelgen.imaging.mtcnn import MtcnnDetector

from .conftest import Pipe, Run

PORTRAITS = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, the larger one on the right."""
    small, large = (read_image(path) for path in PORTRAITS[:2])
    both = Image.new("RGB", (600, 360), "grey")
    both.paste(small.resize((180, 180)), (10, 90))
    both.paste(large.resize((340, 340)), (230, 10))
    path = tmp_path_factory.mktemp("photos") / "pair.png"
    both.save(path)
    return path


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "blank.png"
    Image.new("RGB", (90, 60)).save(path)
    return path


def test_a_line_for_each_face(run: Run, pair: Path) -> None:
    outcome = run("faces", pair, PORTRAITS[0])
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines] == [
        [str(pair), "1"],
        [str(pair), "2"],
        [str(PORTRAITS[0]), "1"],
    ]
    boxes = [[int(edge) for edge in line[2].split()] for line in lines]
    assert boxes[0][0] > 230 > 190 > boxes[1][2]
    assert all(0.9 < float(line[3]) <= 1 for line in lines)
    assert list(Path().iterdir()) == []


def test_aligned_faces_in_a_folder(run: Run, pair: Path) -> None:
    Path("out").mkdir()
    outcome = run("faces", pair, "-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "out/pair-1.png\nout/pair-2.png\n"
    photo = read_image(pair)
    for number, face in enumerate(MtcnnDetector().detect(photo), start=1):
        path = Path(f"out/pair-{number}.png")
        assert read_image(path).tobytes() == align(photo, face.landmarks).tobytes()
        facts = json.loads(png_text(path)["parameters"])
        assert facts == {"photo": "pair.png", "face": number, "size": 64}
    assert run("faces", PORTRAITS[0], "-o", ".", "--size", 100).code == 0
    assert read_image(f"{PORTRAITS[0].stem}-1.png").size == (100, 100)


def test_nothing_is_overwritten_without_force(run: Run, tmp_path: Path) -> None:
    other = tmp_path / PORTRAITS[0].name
    other.write_bytes(PORTRAITS[1].read_bytes())
    name = PORTRAITS[0].stem
    # Two photos of one name never replace each other's faces, not even with --force.
    for force in ([], ["--force"]):
        Path(f"{name}-1-2.png").unlink(missing_ok=True)
        outcome = run("faces", PORTRAITS[0], other, "-o", ".", *force)
        assert outcome.out == f"{name}-1.png\n{name}-1-2.png\n"
    before = Path(f"{name}-1.png").read_bytes()
    assert run("faces", other, "-o", ".").out == f"{name}-1-3.png\n"
    assert Path(f"{name}-1.png").read_bytes() == before
    assert run("faces", other, "-o", ".", "--force").out == f"{name}-1.png\n"
    assert Path(f"{name}-1.png").read_bytes() != before


def test_json(run: Run, pair: Path, blank: Path) -> None:
    outcome = run("faces", pair, blank, "--json", "--quiet", "-o", ".")
    assert (outcome.code, outcome.err) == (0, "")
    two, none = json.loads(outcome.out)["photos"]
    assert (two["photo"], two["error"]) == (str(pair), None)
    assert [face["number"] for face in two["faces"]] == [1, 2]
    assert [face["file"] for face in two["faces"]] == ["pair-1.png", "pair-2.png"]
    for face in two["faces"]:
        assert (len(face["box"]), np.shape(face["landmarks"])) == (4, (5, 2))
        assert 0.9 < face["score"] <= 1
        assert 0 < face["residual"] < 4
    assert none == {
        "photo": str(blank),
        "faces": [],
        "error": f"no face found in {blank}; faces narrower than about 10 pixels are missed",
    }
    assert "file" not in json.loads(run("faces", pair, "--json").out)["photos"][0]["faces"][0]


def test_stdin(pipe: Pipe) -> None:
    outcome = pipe("faces", "-", "-o", ".", stdin=PORTRAITS[0].read_bytes())
    assert (outcome.code, outcome.out, outcome.err) == (0, b"stdin-1.png\n", "")


def test_the_other_photos_are_done(run: Run, pair: Path, blank: Path) -> None:
    outcome = run("faces", blank, pair)
    assert (outcome.code, outcome.out.count("\n")) == (0, 2)
    assert outcome.err == (
        f"note: no face found in {blank}; faces narrower than about 10 pixels are missed\n"
    )
    assert run("faces", blank, pair, "-q").err == ""
    outcome = run("faces", "missing.jpg", pair, "-q")
    assert (outcome.code, outcome.out.count("\n")) == (3, 2)
    assert outcome.err == (
        "warning: cannot read missing.jpg: No such file or directory\n"
        "error: 1 of 2 photos could not be read\n"
    )
    outcome = run("faces", blank, blank, "--quiet")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == "error: no face found in any of 2 photos\n"


BAD = [
    (["BLANK"], 3, "no face found in "),
    (["BLANK", "--json"], 3, "no face found in "),
    (["missing.jpg"], 3, "cannot read missing.jpg: No such file or directory"),
    ([__file__], 3, "it is not a picture in a known format"),
    (["-"], 3, "cannot read stdin: it is empty"),
    (["-", "-"], 2, "stdin holds one picture"),
    ([], 2, "Missing argument"),
    (["PHOTO", "-o", "no"], 2, "no folder no"),
    (["PHOTO", "-o", "x.png"], 2, "no folder x.png"),
    (["PHOTO", "-o", "-"], 2, "no folder -"),
    (["PHOTO", "-o", ".", "--size", "0"], 2, "--size"),
    (["PHOTO", "--size", "64"], 2, "size requires output (-o DIR)"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(b[0])[-30:] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run,
    blank: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO()))
    words = [{"PHOTO": str(PORTRAITS[0]), "BLANK": str(blank)}.get(word, word) for word in words]
    outcome = run("faces", *words)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []


def test_a_photo_on_its_side_is_one_line(run: Run) -> None:
    photo = read_image(PORTRAITS[0])
    photo.transpose(Image.Transpose.ROTATE_90).save("side.png")
    outcome = run("faces", "side.png")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == (
        "error: no upright face in side.png, but one when it is rotated by 90° clockwise\n"
    )


def test_a_missing_detector_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mtcnn, "_WEIGHTS", tmp_path / "missing.safetensors")
    cached: Any = mtcnn._load_networks
    monkeypatch.setattr(mtcnn, "_load_networks", cached.__wrapped__)  # loads it again
    outcome = run("faces", PORTRAITS[0])
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: the face detector does not load: ")
    assert outcome.err.endswith(f"({REINSTALL_HINT})\n")
    assert outcome.err.count("\n") == 1
