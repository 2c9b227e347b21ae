"""`pixelgen score`, on random weights."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pixelgen
from pixelgen.imaging import png_text, read_image

from .conftest import Run


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures of different sizes, and something else."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    for name, size in (("a.png", (8, 8)), ("b.PNG", (20, 31)), ("c.webp", (64, 40))):
        image = Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8))
        image.save(folder / name, lossless=True)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_the_most_surprising_first(run: Run, pixel_weights: Path, photos: Path) -> None:
    loaded = pixelgen.load(pixel_weights, "cpu")
    names = ["a.png", "b.PNG", "c.webp"]
    scores = loaded.score([read_image(photos / name) for name in names])
    expected = {str(photos / name): one for name, one in zip(names, scores, strict=True)}
    for given in ([photos], [photos / name for name in names[::-1]]):
        outcome = run("score", *given, "--weights", pixel_weights)
        assert outcome.code == 0
        header, *lines = outcome.out.splitlines()
        assert header.split() == ["bits/dim", "bits", "picture"]
        rows = [line.split() for line in lines]
        assert {name for _, _, name in rows} == set(expected)
        totals = [float(bits) for _, bits, _ in rows]
        assert totals == sorted(totals, reverse=True)
        for each, bits, name in rows:
            assert float(each) == pytest.approx(expected[name].bits_per_dim, abs=1e-4)
            assert float(bits) == pytest.approx(expected[name].bits, abs=0.1)
        assert outcome.err.startswith("3 pictures in ")
        assert outcome.err.endswith("s, pixels, no class\n")
    assert list(Path().iterdir()) == []


def test_json(run: Run, pixel_weights: Path, photos: Path) -> None:
    words = ["--weights", pixel_weights, "--class", "zebra", "--classify", "--map", "m.png"]
    outcome = run("score", photos, *words, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    facts = json.loads(outcome.out)
    assert set(facts) == {
        *("weights", "revision", "device", "unit", "values", "class", "fit", "map", "seconds"),
        *("classification", "pictures"),
    }
    assert (facts["unit"], facts["values"], facts["class"]) == ("bits/dim", 192, 340)
    assert (facts["weights"], facts["map"], facts["fit"]) == ("pixels", "m.png", "crop")
    totals = [one["bits"] for one in facts["pictures"]]
    assert totals == sorted(totals, reverse=True)
    for one in facts["pictures"]:
        assert set(one) == {"picture", "bits_per_dim", "bits", "classes"}
        assert one["bits"] == pytest.approx(192 * one["bits_per_dim"], rel=1e-4)
        assert {c["index"] for c in one["classes"]} == {8, 207, 340}
        assert sum(c["probability"] for c in one["classes"]) == pytest.approx(1)
        (zebra,) = (c for c in one["classes"] if c["name"] == "zebra")
        assert zebra["bits_per_dim"] == pytest.approx(one["bits_per_dim"], abs=1e-4)


def test_classes_are_ranked_below_their_picture(
    run: Run, pixel_weights: Path, photos: Path
) -> None:
    outcome = run("score", photos / "a.png", "--classify", "--weights", pixel_weights)
    _, first, *ranked = outcome.out.splitlines()
    assert first.endswith("a.png")
    assert len(ranked) == 3
    shares = [float(line.split("%")[0]) for line in ranked]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert any(line.endswith("207 golden retriever") for line in ranked)
    assert outcome.err.startswith(
        "ranked as if each picture were of one of the 3 classes; how often that is right was not "
        "measured for these weights"
    )


def test_codes(run: Run, code_weights: Path, photos: Path) -> None:
    outcome = run("score", photos, "--weights", code_weights, "--map", "m.png")
    assert outcome.out.split()[:2] == ["bits/code", "bits"]
    assert "map in m.png" in outcome.err
    heat = np.asarray(Image.open("m.png"))[48 : 48 + 256, 272 : 272 + 256]
    # One colour for every code: 4×4 cells of 64 pixels.
    assert (heat == heat[::64, ::64].repeat(64, 0).repeat(64, 1)).all()


def test_the_map(run: Run, pixel_weights: Path, photos: Path) -> None:
    words = ["score", photos, "--weights", pixel_weights, "--map", "m.png"]
    assert run(*words).code == 0
    before = Path("m.png").read_bytes()
    text = png_text(Path("m.png"))
    assert text["weights"] == "pixels"
    assert text["revision"].startswith("sha256:")
    parameters = json.loads(text["parameters"])
    assert parameters.pop("content").startswith("sha256:")
    names = ["a.png", "b.PNG", "c.webp"]  # their folder is not the reader's business
    assert parameters == {"pictures": names, "class": None, "fit": "crop"}
    # The same map may be written again, another one only by force.
    assert run(*words).code == 0
    assert Path("m.png").read_bytes() == before
    outcome = run(*words, "--class", 8)
    assert (outcome.code, outcome.err) == (2, "error: m.png exists (--force replaces it)\n")
    assert Path("m.png").read_bytes() == before
    assert run(*words, "--class", 8, "--force", "-q").err == ""
    assert Path("m.png").read_bytes() != before
    Path("maps").mkdir()
    assert "maps/pixelgen-score.png" in run(*words[:-1], "maps").err


def test_stdin(
    run: Run, pixel_weights: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO((photos / "a.png").read_bytes()))
    )
    outcome = run("score", "-", "--weights", pixel_weights, "--json")
    (one,) = json.loads(outcome.out)["pictures"]
    assert one["picture"] == "stdin"


def test_in_a_folder_what_cannot_be_read_is_passed_over(
    run: Run, pixel_weights: Path, photos: Path
) -> None:
    Path("mixed").mkdir()
    Path("mixed/broken.jpg").write_text("no picture")
    words = ["--weights", pixel_weights, "-q"]
    outcome = run("score", "mixed", *words)
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.endswith("error: none of the pictures can be read\n")
    Path("mixed/good.png").write_bytes((photos / "a.png").read_bytes())
    outcome = run("score", "mixed", *words[:-1])
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].endswith("mixed/good.png")
    assert outcome.err.startswith("note: cannot read mixed/broken.jpg")
    outcome = run("score", "mixed/good.png", "mixed/broken.jpg", *words)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (3, "", 1)


BAD = [
    ([], 2, "Missing argument"),
    (["missing.png"], 3, "cannot read missing.png: No such file or directory"),
    (["PHOTO", "missing.png", "--map", "m.png"], 3, "cannot read missing.png"),
    (["NOTES"], 3, "notes.txt: it is not a picture"),
    (["."], 3, "no pictures in the folder ."),
    (["-", "-"], 2, "stdin holds one picture"),
    (["PHOTO", "--class", "3"], 2, "pixels was not trained on class 3"),
    (["PHOTO", "--class", "zzz"], 2, "no class 'zzz'"),
    (["PHOTO", "--class", "8", "--weights", "GREY"], 2, "grey takes no class"),
    (["PHOTO", "--classify", "--weights", "GREY"], 2, "grey knows no classes to rank"),
    (["PHOTO", "--weights", "nowhere"], 2, "no weights called nowhere"),
    (["PHOTO", "--weights", "no-one/nothing"], 4, "weights no-one/nothing"),
    (["PHOTO", "--weights", "TOK"], 2, "tok is a tokenizer: it has no likelihood"),
    (["PHOTO", "--map", "-"], 2, "stdout carries the figures"),
    (["PHOTO", "--map", "x.bmp"], 2, "x.bmp is neither a folder nor a .png file"),
    (["PHOTO", "--map", "no/x.png"], 2, "no folder no"),
    (["PHOTO", "--fit", "pad"], 2, "--fit"),
    (["PHOTO", "--device", "gpu"], 2, "no device 'gpu'"),
    (["PHOTO", "--batch-size", "0"], 2, "batch_size must be at least 1"),
]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights without classes, and weights that draw nothing."""
    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import GatedPixelCNNConfig, TokenizerConfig, build_model

    folder = tmp_path_factory.mktemp("others")
    grey = GatedPixelCNNConfig(
        channels=1, height=4, width=4, layers=0, features=6, output_features=6
    )
    tok = TokenizerConfig(size=16, patch=2, wide_features=8, deep_features=8, code_size=4)
    for name, config in (("grey", grey), ("tok", tok)):
        save_checkpoint(folder / name, build_model(config))
    return {"GREY": str(folder / "grey"), "TOK": str(folder / "tok")}


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(b[0])[:40] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run,
    pixel_weights: Path,
    photos: Path,
    others: dict[str, str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    named = {"PHOTO": str(photos / "a.png"), "NOTES": str(photos / "notes.txt"), **others}
    given = [named.get(word, word) for word in words]
    if "--weights" not in words:
        given += ["--weights", str(pixel_weights)]
    outcome = run("score", *given)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []


def test_grey_weights(run: Run, photos: Path, others: dict[str, str]) -> None:
    outcome = run("score", photos / "a.png", "--weights", others["GREY"], "--json")
    assert json.loads(outcome.out)["values"] == 16
