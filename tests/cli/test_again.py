"""`pixelgen info` and `pixelgen again`: from a picture to what made it, and back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

import pixelgen
from pixelgen.imaging import png_text, same_pixels

from .conftest import Run

ASSETS = Path(__file__).parents[1] / "assets"
A, B = "male-12.jpg", "female-6.jpg"
OPTIONS = ["--temperature", 0.9, "--top-p", 0.95]
GUIDED = [*OPTIONS, "--guidance", 2, "--guidance-schedule", "0.2:0.9"]
COMMANDS: dict[str, tuple[str, list[object]]] = {
    "sample": ("pixel_weights", ["-c", 8, "-c", 207, "-n", 2, *GUIDED, "--candidates", 2]),
    "portrait": ("face_weights", [A, B, "-n", 2, "--no-align", *GUIDED, "--candidates", 2]),
    "interpolate classes": ("pixel_weights", ["-c", 8, "-c", 207, "--steps", 3]),
    "interpolate faces": (
        "face_weights",
        [A, B, "--steps", 3, "--no-align", "--slerp", *GUIDED, "--candidates", 2],
    ),
    "interpolate pictures": ("autoencoders", [A, B, "--steps", 3, "--bottleneck", 2]),
    "complete": (
        "pixel_weights",
        [
            A,
            "--box",
            "20,20,60,60",
            "--fit",
            "stretch",
            "-c",
            8,
            "-n",
            2,
            *GUIDED,
            "--refine",
            2,
            "--raw",
        ],
    ),
    "complete masked": ("pixel_weights", [A, "--mask", "mask.png", "-n", 1]),
    "reconstruct": (
        "autoencoders",
        [A, "--patches", "--max-side", 12, "-n", 2, "--bottleneck", 2, *OPTIONS],
    ),
}


@pytest.fixture
def draw(run: Run, request: pytest.FixtureRequest) -> Any:
    """Runs a command of `COMMANDS` where its photos are, and says where its weights are."""
    for name in (A, B):
        shutil.copy(ASSETS / name, name)
    with Image.open(A) as photo:
        mask = Image.new("L", photo.size)
    mask.paste(255, (20, 20, 80, 80))
    mask.save("mask.png")

    def draw(name: str, *more: object) -> Path:
        fixture, given = COMMANDS[name]
        weights: Path = request.getfixturevalue(fixture)
        words = [name.split()[0], *given, "--weights", weights, "--device", "cpu"]
        outcome = run(*words, "--seed", 5, *more)
        assert outcome.code == 0, outcome.err
        return weights

    return draw


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_picture(name: str, run: Run, draw: Any) -> None:
    weights = draw(name, "-o", "x.png", "--scale", 2)
    outcome = run("again", "x.png", "--weights", weights, "-o", "y.png", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert "the same pixels as x.png" in outcome.err
    assert same_pixels(Path("x.png"), Path("y.png"))
    assert Path("x.png").read_bytes() == Path("y.png").read_bytes()


def test_one_of_several(run: Run, draw: Any) -> None:
    weights = draw("sample", "-o", "x.png", "--separate")
    common = ["again", "x-3.png", "--weights", weights]
    outcome = run(*common, "-o", "y.png")
    assert "the same pixels as x-3.png" in outcome.err
    facts = json.loads(run(*common, "-n", 3, "--seed", 7, "-o", "new.png", "--json").out)
    assert (facts["classes"], facts["seed"]) == ([207] * 3, 7)
    assert facts["parameters"]["guidance"] == 2
    assert len(facts["files"]) == 3
    facts = json.loads(run(*common, "-n", 2, "--grid", "-o", "grid.png", "--json").out)
    assert facts["seed"] != 5
    facts = json.loads(run(*common, "--guidance", 3, "-o", "z.png", "--json").out)
    assert (facts["seed"], facts["picks"], facts["parameters"]["guidance"]) == (5, [3], 3)
    assert not same_pixels(Path("x-3.png"), Path("z.png"))


def test_an_animation(run: Run, draw: Any) -> None:
    weights = draw("interpolate classes", "-o", "x.gif", "--ping-pong", "--fps", 5)
    outcome = run("again", "x.gif", "--weights", weights)
    assert (outcome.code, outcome.out) == (0, "x-again.gif\n"), outcome.err
    assert Path("x.gif").read_bytes() == Path("x-again.gif").read_bytes()
    assert run("again", "x.gif", "--weights", weights, "-o", "frames.jpg").code == 0
    Path("folder").mkdir()
    outcome = run("again", "x.gif", "--weights", weights, "-o", "folder")
    assert outcome.out == f"{Path('folder', 'x-again.gif')}\n", outcome.err
    assert Path("x.gif").read_bytes() == Path("folder", "x-again.gif").read_bytes()


def test_photos_may_have_names_that_no_job_takes(run: Run, draw: Any) -> None:
    weights = draw("portrait", "-o", "x.png")
    new = ("line\nbreak.jpg", os.fsdecode(b"caf\xe9.jpg"))
    for old, name in zip((A, B), new, strict=True):
        try:
            Path(old).rename(name)
        except (OSError, ValueError):
            pytest.skip("the file system does not take these names")
    photos = (word for name in new for word in ("--photo", name))
    outcome = run("again", "x.png", *photos, "--weights", weights, "-o", "y.png")
    assert outcome.code == 0, outcome.err
    assert same_pixels(Path("x.png"), Path("y.png"))


def test_a_photo_whose_name_is_not_utf8(run: Run, pixel_weights: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        shutil.copy(ASSETS / A, name)
    except (OSError, ValueError):
        pytest.skip("the file system does not take this name")
    common = ["--weights", pixel_weights, "--device", "cpu"]
    outcome = run("complete", name, "--keep", "top:50%", "-n", 1, *common, "-o", "x.png")
    assert outcome.code == 0, outcome.err
    assert " 'caf?.jpg' " in run("info", "x.png").out
    assert json.loads(run("info", "x.png", "--json").out)["job"]["image"] == name
    outcome = run("again", "x.png", *common, "-o", "y.png")
    assert (outcome.code, "the same pixels as x.png" in outcome.err) == (0, True)


def test_a_picture_that_is_replaced_is_compared_to_nothing(run: Run, draw: Any) -> None:
    weights = draw("sample", "-o", "x.png")
    with Image.open("x.png") as image:
        info = PngImagePlugin.PngInfo()
        for key, value in png_text(Path("x.png")).items():
            info.add_itxt(key, value)
        image.transpose(Image.Transpose.ROTATE_90).save("x.png", pnginfo=info)
    outcome = run("again", "x.png", "--weights", weights, "-o", "x.png", "--force")
    assert (outcome.code, "pixels" in outcome.err.replace(str(weights), "")) == (0, False)


def test_photos_have_no_effect_on_pictures_without_them(run: Run, draw: Any) -> None:
    weights = draw("sample", "-o", "x.png")
    outcome = run("again", "x.png", "--weights", weights, "-o", "y.png", "--photo", A)
    assert (outcome.code, outcome.err) == (2, "error: x.png was drawn without photos\n")
    assert not Path("y.png").exists()


def test_text_of_a_file_makes_no_lines_of_its_own(run: Run) -> None:
    info = PngImagePlugin.PngInfo()
    forged = {"weights": "w\nseed        9\u2028seed        9", "revision": "r"}
    for key, value in (forged | {"parameters": '{"classes": [8], "n": 1}'}).items():
        info.add_itxt(key, value)
    Image.new("RGB", (4, 4)).save("x.png", pnginfo=info)
    lines = run("info", "x.png").out.splitlines()
    assert [line.split()[0] for line in lines] == ["drawn", "weights", "revision"]


def test_info(run: Run, draw: Any) -> None:
    draw("portrait", "-o", "x.jpg", "--separate")
    outcome = run("info", "x-2.jpg")
    assert outcome.code == 0, outcome.err
    line = next(line for line in outcome.out.splitlines() if line.startswith("drawn by"))
    assert line.split(maxsplit=2)[2].startswith(f"pixelgen portrait {A} {B} ")
    assert all(f" {word} " in f"{line} " for word in ("--no-align", "--separate", "--top-p 0.95"))
    assert "number 2 of the command" in outcome.out
    assert "trainedAlgorithmicMedia" in outcome.out
    facts = json.loads(run("info", "x-2.jpg", "--json").out)
    assert (facts["command"], facts["seed"], facts["pick"]) == ("portrait", 5, 2)
    assert facts["job"]["photos"] == [A, B]


def test_python_and_batches_take_the_job(run: Run, draw: Any, tmp_path: Path) -> None:
    weights = draw("sample", "-o", "x.png")
    job = pixelgen.picture_info("x.png").job
    assert job is not None
    assert len([*pixelgen.run_jobs([job | {"weights": str(weights), "id": "a"}], "out")]) == 1
    assert same_pixels(Path("out/a.png"), Path("x.png"))


@pytest.mark.parametrize(
    ("name", "file"),
    [("complete", "x.png"), ("complete masked", "x.png"), ("interpolate classes", "x.gif")],
)
def test_jobs_draw_the_same_kind_of_picture(name: str, file: str, run: Run, draw: Any) -> None:
    motion = ("--fps", 5) if file == "x.gif" else ()
    weights = draw(name, "-o", file, *motion)
    job = pixelgen.picture_info(file).job
    assert job is not None
    assert job.get("raw") == {"complete": True, "complete masked": False}.get(name)
    (result,) = pixelgen.run_jobs([job | {"weights": str(weights)}], "out")
    assert result.error is None
    (made,) = result.files
    assert Path("out", made).read_bytes() == Path(file).read_bytes()
    line = run("info", file).out
    assert (" --raw " in line) == (name == "complete")
    assert (" -o x-again.gif" in line) == (file == "x.gif")


def test_what_is_missing_is_said(run: Run, draw: Any) -> None:
    weights = draw("complete masked", "-o", "x.png")
    outcome = run("again", "x.png")
    assert outcome.code == 2
    assert "x.png names its weights, but no weights called" in outcome.err
    assert outcome.err.endswith("(--weights NAME)\n")
    Path(A).rename("other.jpg")
    words = ["again", "x.png", "--weights", weights, "-o", "y.png"]
    outcome = run(*words)
    assert outcome.err == (
        f"error: x.png was made from {A}, which is not beside it (--photo PHOTO, once for each)\n"
    )
    outcome = run(*words, "--photo", "other.jpg")
    assert (outcome.code, "the same pixels" in outcome.err) == (0, True)
    assert "made from another photo" in run(*words, "--photo", B, "--force").err
    assert "from 1 photos" in run(*words, "--photo", B, "--photo", B).err
    assert (
        "steps has no effect: x.png was made by complete"
        in run(*words, "--photo", A, "--steps", 3).err
    )


def test_other_weights_are_told(run: Run, draw: Any, code_weights: Path) -> None:
    weights = draw("interpolate classes", "-o", "x.png")
    with Image.open("x.png") as image:
        info = PngImagePlugin.PngInfo()
        for key, value in png_text(Path("x.png")).items():
            info.add_itxt(key, "sha256:0" if key == "revision" else value)
        image.save("old.png", pnginfo=info)
    outcome = run("again", "old.png", "--weights", weights, "-o", "y.png")
    assert outcome.code == 0
    assert "drawn by pixels of revision sha256:0, this by" in outcome.err


def test_a_schedule_goes_with_its_guidance(run: Run, draw: Any) -> None:
    weights = draw("sample", "-o", "x.png")
    again = ["again", "--weights", weights, "--json", "-o"]
    facts = json.loads(run(*again, "y.png", "x.png", "--guidance", 1).out)
    assert (facts["parameters"]["guidance"], len(facts["files"])) == (1, 1)
    assert "guidance_schedule" not in facts["parameters"]
    outcome = run(*again, "z.png", "x.png", "--guidance", 1, "--guidance-schedule", "linear")
    assert (outcome.code, "guidance_schedule has no effect" in outcome.err) == (2, True)
    # Earlier versions recorded a schedule without guidance.
    with Image.open("y.png") as image:
        info = PngImagePlugin.PngInfo()
        for key, value in png_text(Path("y.png")).items():
            if key == "parameters":
                value = json.dumps(json.loads(value) | {"guidance_schedule": "linear"})
            info.add_itxt(key, value)
        image.save("old.png", pnginfo=info)
    job = pixelgen.picture_info("old.png").job
    assert job is not None
    assert "guidance-schedule" not in job
    assert "the same pixels as old.png" in run(*again, "again.png", "old.png").err


FOREIGN = {
    "none": {},
    "of another program": {"parameters": "a lion\nSteps: 20, Sampler: Euler"},
    "of a list": {"parameters": "[1]", "weights": "w", "revision": "r"},
    "nested": {"parameters": "[" * 5000, "weights": "w", "revision": "r"},
    "half": {"parameters": "{}"},
}


@pytest.mark.parametrize("command", ["info", "again"])
def test_a_face_that_was_cut_out_is_not_drawn(command: str, run: Run) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Software", "pixelgen 1")
    info.add_itxt("parameters", json.dumps({"photo": "party.jpg", "face": 1, "size": 64}))
    Image.new("RGB", (4, 4)).save("x.png", pnginfo=info)
    outcome = run(command, "x.png")
    assert (outcome.code, outcome.out) == (3, "")
    assert "x.png is a face that `pixelgen faces` cut out of party.jpg" in outcome.err


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("command", ["info", "again"])
def test_pictures_of_other_programs(command: str, kind: str, run: Run) -> None:
    info = PngImagePlugin.PngInfo()
    for key, value in FOREIGN[kind].items():
        info.add_itxt(key, value)
    Image.new("RGB", (4, 4)).save("x.png", pnginfo=info)
    outcome = run(command, "x.png")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (3, "", 1)
    assert ("x.png does not say what made it" in outcome.err) == (kind == "none")


@pytest.mark.parametrize(
    "parameters",
    [
        {"classes": [8], "n": "many"},
        {"classes": {"a": 1}, "n": 1},
        {"classes": [8], "n": 1, "scale": 5000},
        {"classes": [8], "n": [1]},
        {"image": 7, "keep": "top:50%"},
        {"photos": 7, "n": 1},
        {"images": [[1]], "cut": ["crop"]},
    ],
)
def test_text_that_was_changed(parameters: dict[str, Any], run: Run, weights: Path) -> None:
    info = PngImagePlugin.PngInfo()
    text = {"parameters": json.dumps(parameters), "weights": "w", "revision": "r", "seed": "x"}
    for key, value in text.items():
        info.add_itxt(key, value)
    Image.new("RGB", (4, 4)).save("x.png", pnginfo=info)
    assert run("info", "x.png").code == 0
    outcome = run("again", "x.png", "--weights", weights, "-o", "y.png")
    assert outcome.code in (2, 3), outcome.err
    assert outcome.err.count("\n") == 1
    assert not Path("y.png").exists()


def test_files_that_cannot_be_read(run: Run) -> None:
    outcome = run("info", "missing.png")
    assert (outcome.code, outcome.err) == (
        3,
        "error: cannot read missing.png: No such file or directory\n",
    )
    Path("text.png").write_text("no picture")
    assert run("again", "text.png").code == 3
    assert run("info", ".").code == 3


@pytest.mark.parametrize(("key", "value"), [("seed", "-1"), ("seed", "five"), ("pick", "")])
def test_a_damaged_number_is_not_left_out(key: str, value: str, run: Run, draw: Any) -> None:
    draw("sample", "-o", "x.png")
    chunks = PngImagePlugin.PngInfo()
    for name, text in {**png_text(Path("x.png")), key: value}.items():
        chunks.add_text(name, text)
    with Image.open("x.png") as picture:
        picture.save("damaged.png", pnginfo=chunks)
    outcome = run("again", "damaged.png", "-o", "y.png")
    assert (outcome.code, outcome.out) == (3, "")
    assert f"damaged.png is damaged: its {key} is not a number" in outcome.err
    assert not Path("y.png").exists()
