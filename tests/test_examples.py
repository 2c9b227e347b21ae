"""The scripts in `examples/`, run as a user runs them but for the weights, which are small."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "tests" / "assets"

# @ stands before the fixtures that make weights.
RUNS = {
    "class_sheet": ["made.png", "golden retriever", "340"],
    "morph": ["made.gif", "hen", "zebra"],
    "fill_in": ["a.jpg", "made.png"],
    "rank_photos": ["made.png", "a.jpg", "b.jpg"],
    "likeliest": ["made.png", "207"],
    "many_jobs": ["folder", "made.png", "hen"],
    "portraits": ["@face_weights", "a.jpg", "made.png"],
    "reconstruct_photo": ["@autoencoders", "a.jpg", "made.png"],
    "swap_codes": ["@code_weights", "a.jpg", "b.jpg", "made.png"],
}


@pytest.fixture(autouse=True)
def _here(once: None, tmp_path: Path, pixel_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with photos, and weights of 8×8 pictures in the place of the bundled ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "pixelgen.checkpoints.source.bundled", lambda: {"imagenet32": pixel_weights}
    )
    shutil.copy(ASSETS / "male-12.jpg", "a.jpg")
    shutil.copy(ASSETS / "female-6.jpg", "b.jpg")


def test_none_is_left_out() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_example(
    name: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        str(request.getfixturevalue(word[1:])) if word.startswith("@") else word
        for word in RUNS[name]
    ]
    script = ROOT / "examples" / f"{name}.py"
    monkeypatch.setattr("sys.argv", [str(script), *words])
    runpy.run_path(str(script), run_name="__main__")
    (made,) = Path().glob("made.*")
    with Image.open(made) as image:
        assert image.width > image.height / 2 > 0
        assert len(image.convert("RGB").getcolors(2**20) or ()) > 10
    said = capsys.readouterr().out
    if name == "likeliest":
        drawn, scored = (float(word) for word in said.split() if word[0].isdigit())
        assert drawn == pytest.approx(scored, abs=2e-4)
