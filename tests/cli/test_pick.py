"""`--pick N` writes the file that number N of the pictures has without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import pixelgen
from pixelgen.imaging import picture_text, png_text

from .conftest import Run

ASSETS = Path(__file__).parents[1] / "assets"
A, B = ASSETS / "male-12.jpg", ASSETS / "female-6.jpg"

# A word that begins with @ is a fixture.
COMMANDS = {
    "sample": ["sample", "@pixel_weights", "-c", 8, "-c", 207, "-n", 2],
    "sample with candidates": ["sample", "@pixel_weights", "-c", 8, "-n", 3, "--candidates", 3],
    "portrait": ["portrait", "@face_weights", A, "-n", 3, "--no-align", "--candidates", 2],
    "interpolate classes": ["interpolate", "@pixel_weights", "-c", 8, "-c", 207, "--steps", 3],
    "interpolate faces": [
        *("interpolate", "@face_weights", A, B, "--steps", 3, "--no-align", "--candidates", 3),
    ],
    "interpolate pictures": ["interpolate", "@autoencoders", A, B, "--steps", 3],
    "complete": ["complete", "@pixel_weights", A, "--keep", "top:50%", "-n", 3],
    "complete refined": [
        *("complete", "@code_weights", A, "--keep", "top:50%", "-n", 3, "--refine", 3),
    ],
    "reconstruct": ["reconstruct", "@autoencoders", A, B, "-n", 2],
}


def words(name: str, request: pytest.FixtureRequest) -> list[object]:
    """A command with its weights, a seed, and nothing that differs from machine to machine."""
    given: list[object] = []
    for word in COMMANDS[name]:
        if str(word).startswith("@"):
            given += ["--weights", request.getfixturevalue(str(word)[1:])]
        else:
            given.append(word)
    return [*given, "--seed", 5, "--device", "cpu"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_file(name: str, run: Run, request: pytest.FixtureRequest) -> None:
    command = words(name, request)
    whole = json.loads(run(*command, "--separate", "--json", "-o", "x.png").out)
    drawn = [Path(file) for file in whole["files"] if "pick" in png_text(Path(file))]
    assert [png_text(file)["pick"] for file in drawn] == [str(i + 1) for i in range(len(drawn))]
    number = len(drawn) - 1
    outcome = run(*command, "--separate", "--json", "-o", "y.png", "--pick", number)
    assert outcome.code == 0, outcome.err
    alone = json.loads(outcome.out)
    file = alone["files"][-1]
    assert Path(file).read_bytes() == drawn[number - 1].read_bytes()
    assert alone["parameters"] == whole["parameters"]
    if name == "reconstruct":
        (picture,) = alone["pictures"]
        (row,) = picture["reconstructions"]
        assert (picture["picture"], row["bottleneck"]) == (str(B), 5)
        assert row["samples"] == [whole["pictures"][1]["reconstructions"][1]["samples"][0]]
        assert [Path(each).name for each in alone["files"]] == [
            "y-2-original.png",
            "y-2-5-mean.png",
            "y-2-5-sample-1.png",
        ]
    else:
        assert (whole["picks"], alone["picks"]) == ([*range(1, len(drawn) + 1)], [number])
        assert alone["bits_per_dim"] == whole["bits_per_dim"][number - 1 : number]


@pytest.mark.parametrize("name", COMMANDS)
def test_sheets_names_and_closing_lines(
    name: str, run: Run, request: pytest.FixtureRequest
) -> None:
    command = words(name, request)
    outcome = run(*command, "--pick", 2)
    assert outcome.code == 0, outcome.err
    assert outcome.out.endswith("-s5-pick2.png\n")
    assert ", seed 5, pick 2" in outcome.err
    text = png_text(Path(outcome.out.strip()))
    assert (text["seed"], text["pick"]) == ("5", "2")
    whole = run(*command, "-o", "whole.png")
    assert ", seed 5, picks 1 to " in whole.err
    assert "pick" not in png_text(Path("whole.png"))


OPTIONS = ["--temperature", 0.9, "--top-p", 0.95]
GUIDED = [*OPTIONS, "--guidance", 2, "--guidance-schedule", "0.2:0.9"]
RECORDS: dict[str, tuple[str, list[object]]] = {
    "sample": ("@pixel_weights", ["-c", 8, "-c", 207, "-n", 2, *GUIDED, "--candidates", 2]),
    "portrait": ("@face_weights", [A, B, "-n", 2, "--no-align", *GUIDED, "--candidates", 2]),
    "interpolate": (
        "@face_weights",
        [A, B, "--steps", 3, "--no-align", "--slerp", *GUIDED, "--candidates", 2],
    ),
    "complete": (
        "@pixel_weights",
        [A, "--box", "20,20,60,60", "--fit", "stretch", "-c", 8, "-n", 2, *GUIDED, "--refine", 2],
    ),
    "reconstruct": (
        "@autoencoders",
        [A, "--patches", "--max-side", 12, "-n", 2, "--bottleneck", 2, *OPTIONS],
    ),
}
"""Commands whose options are none of the defaults."""
NAMES = {"align": "aligned", "max_side": "longest"}
"""Keys of `parameters` that Python calls otherwise."""
VIEW = {"grid", "scale", "picture", "content", "crops", "photos", "image", "images"}


@pytest.mark.parametrize("command", RECORDS)
@pytest.mark.parametrize("place", ["text", "json"])
def test_a_picture_is_drawn_again_from_what_it_says(
    command: str, place: str, run: Run, request: pytest.FixtureRequest
) -> None:
    weights, given = RECORDS[command]
    folder = request.getfixturevalue(weights[1:])
    outcome = run(command, *given, "--weights", folder, "--separate", "--json", "-o", "x.png")
    assert outcome.code == 0, outcome.err
    facts = json.loads(outcome.out)
    file = Path(facts["files"][-1])
    text = png_text(file)
    parameters = json.loads(text["parameters"]) if place == "text" else facts["parameters"]
    loaded = pixelgen.load(folder, "cpu")
    assert loaded.revision == text["revision"] == facts["revision"]
    asked = {NAMES.get(k, k): v for k, v in parameters.items() if k not in VIEW}
    if "aligned" in asked:
        asked["aligned"] = not asked["aligned"]
    asked |= {"seed": int(text["seed"]), "pick": int(text["pick"])}
    photos = [word for word in given if isinstance(word, Path)]
    if command == "complete":
        asked["photo"] = photos[0]
    elif photos:
        asked["photos"] = photos
    (again,) = getattr(loaded, command)(**asked)
    image = again.samples[0] if command == "reconstruct" else again.image
    if command == "complete":
        image = again.photo
    assert image.tobytes() == Image.open(file).tobytes()


def test_a_pick_beyond_the_last(run: Run, pixel_weights: Path) -> None:
    command = ["sample", "-c", 8, "--seed", 5, "--weights", pixel_weights, "-o", "x.png"]
    outcome = run(*command, "--pick", 2)
    assert outcome.code == 2
    assert outcome.err == (
        "error: there is no picture 2: this call draws 1 in all "
        "(give -n and all other options as in the call that drew it)\n"
    )
    assert run(*command, "--pick", 0).err == "error: pick must be at least 1, not 0\n"
    assert not Path("x.png").exists()


def test_only_the_frame_is_shown_while_all_paths_are_drawn(run: Run, face_weights: Path) -> None:
    command = ["interpolate", A, B, "--steps", 3, "--no-align", "--candidates", 2, "--seed", 1]
    command += ["--weights", face_weights, "--pick", 2, "-o", "x.png", "--animate", "grown.gif"]
    assert run(*command).code == 0
    for file in ("x.png", "grown.gif"):
        text = picture_text(Path(file))
        assert text["Synthetic"] == "All faces in this picture were drawn by a model."
        assert text["DigitalSourceType"] == "trainedAlgorithmicMedia"
    with Image.open("grown.gif") as animation, Image.open("x.png") as picture:
        assert animation.n_frames > 2  # type: ignore[attr-defined]
        assert animation.size == picture.size


def test_a_picture_between_two_others_is_no_composite(run: Run, autoencoders: Path) -> None:
    command = ["interpolate", A, B, "--steps", 3, "--weights", autoencoders, "--seed", 1]
    for more, kind in (["--pick", 2], "trained"), ([], "compositeWithTrained"):
        run(*command, *more, "-o", "x.png", "--watch", "y.png", "--force")
        for file in ("x.png", "y.png"):
            assert png_text(Path(file))["DigitalSourceType"] == f"{kind}AlgorithmicMedia"


def test_python_batch_and_the_command_line_agree(run: Run, pixel_weights: Path) -> None:
    job = {"id": "a", "command": "sample", "class": 8, "n": 3, "seed": 5, "pick": 3}
    Path("jobs.jsonl").write_text(json.dumps(job | {"weights": str(pixel_weights)}))
    outcome = run("batch", "jobs.jsonl", "-o", "out", "--quiet")
    result = json.loads(outcome.out)
    assert (result["files"], result["result"]["picks"]) == (["a.png"], [3])
    common = ["-c", 8, "-n", 3, "--seed", 5, "--pick", 3, "--weights", pixel_weights]
    assert run("sample", *common, "-o", "b.png").code == 0
    (drawn,) = pixelgen.load(pixel_weights, "cpu").sample(8, 3, seed=5, pick=3)
    for file in ("out/a.png", "b.png"):
        assert Image.open(file).tobytes() == drawn.image.tobytes()


def test_one_picture_of_a_file_of_codes(run: Run, code_weights: Path) -> None:
    run("encode", A, B, "-o", "x.safetensors", "--weights", code_weights)
    decode = ["decode", "x.safetensors", "--weights", code_weights]
    assert run(*decode, "--separate", "-o", "x.png").code == 0
    outcome = run(*decode, "--separate", "--pick", 2, "-o", "y.png", "--json")
    facts = json.loads(outcome.out)
    assert (facts["files"], facts["pictures"]) == (["y.png"], ["female-6.jpg"])
    assert Path("y.png").read_bytes() == Path("x-2.png").read_bytes()
    assert run(*decode, "--pick", 1).out == "x-pick1.png\n"
    assert png_text(Path("x-pick1.png"))["pick"] == "1"
    outcome = run(*decode, "--pick", 3)
    assert (outcome.code, outcome.err) == (
        2,
        "error: there is no picture 3 in x.safetensors: it holds 2\n",
    )
