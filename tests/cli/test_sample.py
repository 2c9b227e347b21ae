"""`pixelgen sample`, on random weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pixelgen.imaging import enlarge, picture_text, png_text, upscaler
from pixelgen.pipelines import ClassPipeline

from .conftest import Run


def test_the_same_seed_gives_the_same_bytes_however_the_class_is_named(
    run: Run, weights: Path
) -> None:
    pictures = []
    for name in ("207", "n02099601", "golden-retriever", "Golden  Retriever"):
        words = ["--class", name, "-n", 3, "--seed", 1, "-o", "a.png", "--weights", weights]
        outcome = run("sample", *words)
        assert (outcome.code, outcome.out) == (0, "a.png\n"), outcome.err
        pictures.append(Path("a.png").read_bytes())
    assert len(set(pictures)) == 1
    run("sample", "--class", 207, "-n", 3, "--seed", 2, "-o", "b.png", "--weights", weights)
    assert Path("b.png").read_bytes() != pictures[0]


def test_the_batch_size_changes_nothing(run: Run, weights: Path) -> None:
    common = ["sample", "--class", 207, "-n", 5, "--seed", 4, "--guidance", 2, "--weights", weights]
    for size in (1, 2, 5):
        assert run(*common, "--batch-size", size, "-o", f"{size}.png").code == 0
    assert len({Path(f"{size}.png").read_bytes() for size in (1, 2, 5)}) == 1


def test_default_names_tell_and_never_overwrite(run: Run, weights: Path) -> None:
    words = ["sample", "--class", 207, "--seed", 1, "--weights", weights]
    stem = "pixelgen-golden-retriever-s1"
    assert [run(*words).out for _ in range(3)] == [
        f"{stem}.png\n",
        f"{stem}-2.png\n",
        f"{stem}-3.png\n",
    ]
    assert run("sample", "--seed", 1, "--weights", weights).out == "pixelgen-unconditional-s1.png\n"
    assert run(*words, "--class", 8).out == "pixelgen-2-classes-s1.png\n"
    Path("folder").mkdir()
    assert run(*words, "-o", "folder").out == f"folder/{stem}.png\n"


def test_the_closing_line_tells_the_whole_time(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 107.3])
    monkeypatch.setattr("pixelgen.cli.run.time", SimpleNamespace(perf_counter=clock.__next__))
    outcome = run("sample", "--class", 207, "--seed", 1, "--weights", weights)
    assert outcome.err.startswith("1 picture in 7.3 s, seed 1, ")


def test_a_named_file_is_replaced_only_by_force(run: Run, weights: Path) -> None:
    words = ["sample", "--class", 207, "--weights", weights, "-o", "a.png"]
    assert run(*words, "--seed", 1).code == 0
    before = Path("a.png").read_bytes()
    outcome = run(*words, "--seed", 2)
    assert (outcome.code, outcome.err) == (2, "error: a.png exists (--force replaces it)\n")
    assert Path("a.png").read_bytes() == before
    assert run(*words, "--seed", 2, "--force").code == 0
    assert Path("a.png").read_bytes() != before
    Path("a.png").write_text("no picture")
    assert run(*words, "--seed", 2).code == 2


def test_the_picture_says_how_it_was_made(run: Run, weights: Path) -> None:
    outcome = run("sample", "--class", "8", "-n", 2, "--weights", weights, "-o", "a.png")
    text = png_text(Path("a.png"))
    assert f"seed {text['seed']}" in outcome.err
    assert text["weights"] == "tiny"
    assert text["revision"].startswith("sha256:")
    assert json.loads(text["parameters"]) == {
        "classes": [8],
        "n": 2,
        "temperature": 0.9,
        "top_p": 1.0,
        "guidance": 1.0,
        "grid": True,
        "scale": 1,
    }


@pytest.mark.parametrize("ending", ["jpg", "webp", "tif"])
def test_other_formats(run: Run, weights: Path, ending: str) -> None:
    words = ["sample", "--class", 8, "--seed", 1, "--weights", weights]
    place = ["-o", f"a.{ending}"]
    run(*words, "-o", "a.png")
    assert run(*words, *place).out == f"a.{ending}\n"
    before = Path(f"a.{ending}").read_bytes()
    assert picture_text(Path(f"a.{ending}")) == picture_text(Path("a.png"))
    with Image.open("a.png") as first, Image.open(f"a.{ending}") as second:
        assert (first.tobytes() == second.convert("RGB").tobytes()) == (ending != "jpg")
        assert not getattr(second, "is_animated", False)
    assert run(*words, *place).code == 0  # the same picture
    assert run(*words[:3], "--seed", 2, "--weights", weights, *place).code == 2
    assert Path(f"a.{ending}").read_bytes() == before
    assert run(*words, *place, "--separate", "-n", 2).out == f"a-1.{ending}\na-2.{ending}\n"
    job = {"command": "sample", "class": 8, "seed": 1, "out": place[1], "weights": str(weights)}
    Path("jobs.jsonl").write_text(json.dumps(job))
    assert run("batch", "jobs.jsonl", "-o", "out", "-q").code == 0
    assert Path("out", place[1]).read_bytes() == before


def test_a_group_stands_for_kinds_that_the_weights_know(run: Run, weights: Path) -> None:
    words = ["sample", "--weights", weights, "--separate", "--json", "-n", 3]
    outcome = run(*words, "-c", "vertebrate", "-c", 8, "--seed", 1)
    facts = json.loads(outcome.out)
    classes = facts["classes"]
    assert sorted(classes[:2]) == [8, 207]  # all kinds before one comes again
    assert classes[2] in (8, 207)
    assert classes[3:] == [8, 8, 8]
    assert (facts["parameters"]["classes"], facts["parameters"]["n"]) == (classes, 1)
    again = [word for label in classes for word in ("-c", label)]
    text = png_text(Path(facts["files"][1]))
    assert text["pick"] == "2"
    outcome = run(*words[:4], *again, "--seed", 1, "--pick", 2, "-o", "a.png")
    assert outcome.code == 0, outcome.err
    assert Path("a.png").read_bytes() == Path(facts["files"][1]).read_bytes()
    every = [
        json.loads(run(*words[:3], "--json", "-c", "vertebrate", "--seed", seed).out)["classes"]
        for seed in range(8)
    ]
    assert {kind for (kind,) in every} == {8, 207}


def test_the_closing_line_names_the_kinds_of_a_group(run: Run, weights: Path) -> None:
    words = ["sample", "--weights", weights, "--seed", 1]
    outcome = run(*words, "-c", "vertebrate", "-n", 2)
    assert outcome.out == "pixelgen-vertebrate-s1.png\n"
    assert "hen" in outcome.err
    assert "golden retriever" in outcome.err
    outcome = run(*words, "-c", "dog", "-n", 2, "--json")
    assert json.loads(outcome.out)["classes"] == [207, 207]
    outcome = run(*words, "-c", "cat")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "tiny was trained on none of the 13 classes of the group 'cat', such as" in outcome.err
    assert "is a group of" in run("interpolate", "-c", "cat", "-c", 8, "--weights", weights).err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["lion"], "--class lion"),
        (["golden", "retriever"], "--class 'golden retriever'"),
        (["lion", "pizza"], "--class lion --class pizza"),
    ],
)
def test_a_class_without_its_option(run: Run, words: list[str], hint: str) -> None:
    outcome = run("sample", *words)
    assert outcome.code == 2
    assert outcome.err.endswith(f"({hint})\n")


def test_a_file_is_not_taken_for_a_class(run: Run) -> None:
    Path("lion").touch()
    assert "--class" not in run("sample", "lion").err


def test_grid_and_scale(run: Run, weights: Path) -> None:
    words = ["sample", "--class", 8, "--class", 207, "-n", 3, "--seed", 1, "--weights", weights]
    run(*words, "-o", "a.png")
    run(*words, "-o", "b.png", "--scale", 3)
    run(*words, "-o", "c.png", "--scale", 3, "--resample", "lanczos")
    small, large, smooth = (Image.open(f"{name}.png") for name in "abc")
    assert small.size == (3 * 4 + 2 * 2, 2 * 4 + 2)
    assert large.size == smooth.size == (3 * small.width, 3 * small.height)
    assert list(large.resize(small.size, Image.Resampling.NEAREST).tobytes()) == list(
        small.tobytes()
    )
    assert smooth.tobytes() != large.tobytes()


def test_a_learned_enlargement(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews, of which there are many, do without the network."""
    upscaled: list[int] = []

    def upscale(image: Image.Image, scale: int) -> Image.Image:
        upscaled.append(scale)
        return real(image, scale)

    real = upscaler.upscale
    monkeypatch.setattr(upscaler, "upscale", upscale)
    words = ["sample", "-c", 8, "-n", 2, "--seed", 1, "--weights", weights, "--device", "cpu"]
    words += ["--separate", "--scale", 4, "--resample", "learned", "--animate", "a.gif"]
    run(*words, "-o", "x.png")
    assert upscaled == [4] * 4  # two files, and the last frame of the animation
    run("sample", "-c", 8, "-n", 2, "--seed", 1, "--weights", weights, "--separate", "-o", "s.png")
    small, large = Image.open("s-2.png"), Image.open("x-2.png")
    assert large.tobytes() == enlarge(small, 4, "learned").tobytes()
    parameters = json.loads(png_text(Path("x-2.png"))["parameters"])
    assert (parameters["scale"], parameters["resample"]) == (4, "learned")
    outcome = run("again", "x-2.png", "--weights", weights, "--device", "cpu", "-o", "y.png")
    assert "the same pixels as x-2.png" in outcome.err
    again = ["again", "x-2.png", "--weights", weights, "--device", "cpu", "--scale", 1]
    run(*again, "-o", "z.png")
    assert Image.open("z.png").tobytes() == small.tobytes()
    for words in (["sample", "-c", 8, "--weights", weights], again):
        outcome = run(*words, "--resample", "learned", "-o", "bad.png")
        says = "error: resample requires a scale above 1 (--scale N)\n"
        assert (outcome.code, outcome.err, Path("bad.png").exists()) == (2, says, False)


def test_separate_files_hold_the_pictures_of_the_grid(run: Run, weights: Path) -> None:
    words = ["sample", "--class", 8, "-n", 2, "--seed", 1, "--weights", weights]
    run(*words, "-o", "grid.png")
    outcome = run(*words, "-o", "one.png", "--separate")
    assert outcome.out.split() == ["one-1.png", "one-2.png"]
    with Image.open("grid.png") as grid, Image.open("one-2.png") as second:
        assert grid.crop((6, 0, 10, 4)).tobytes() == second.tobytes()


def test_more_than_nine_files_are_listed_in_their_order(run: Run, weights: Path) -> None:
    words = ["sample", "--class", 8, "-n", 10, "--seed", 1, "--weights", weights]
    names = run(*words, "-o", "one.png", "--separate").out.split()
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("one-01.png", "one-10.png")


def test_json(run: Run, weights: Path) -> None:
    outcome = run("sample", "--class", "207", "-n", 2, "--seed", 5, "--weights", weights, "--json")
    facts = json.loads(outcome.out)
    assert outcome.err == ""
    assert facts["seed"] == 5
    assert facts["classes"] == [207, 207]
    assert facts["parameters"]["temperature"] == 0.9
    assert all(0 < bits < 20 for bits in facts["bits_per_dim"])
    assert Path(facts["files"][0]).is_file()


def test_quiet(run: Run, weights: Path) -> None:
    outcome = run("sample", "--weights", weights, "--quiet", "-o", "a.png")
    assert (outcome.code, outcome.err) == (0, "")


def test_stdout_takes_the_picture(run: Run, weights: Path) -> None:
    words = ["sample", "--weights", weights, "--seed", 1, "-q", "-o"]
    command = [sys.executable, "-m", "pixelgen", *map(str, words), "-"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.stdout.startswith(b"\x89PNG")
    assert done.stderr == b""
    assert run(*words, "a.png").code == 0
    assert Path("a.png").read_bytes() == done.stdout


BAD = [
    (["--class", "5000"], 2, "no class 5000: classes are 0 to 999"),
    (["--class", "-1"], 2, "no class -1"),
    (["--class", "9-5"], 2, "no range of classes 9-5"),
    (["--class", "0..5000"], 2, "no range of classes 0..5000"),
    (["--class", "zzz"], 2, "no class 'zzz'"),
    (["--class", ""], 2, "no class ''"),
    (["--class", "n00000000"], 2, "no class 'n00000000'"),
    (["--class", "golden retreiver"], 2, "golden retriever"),
    (["--class", "crane"], 2, "ambiguous: 134 crane, crane bird; 517 crane, crane machine"),
    (["--class", "207-210"], 2, "tiny was not trained on class 208 Labrador retriever and 2 more"),
    (["--class", "3"], 2, "it knows 2 classes, the nearest are: 8 hen, 207 golden retriever"),
    (["--weights", "nowhere"], 2, "no weights called nowhere"),
    (["--weights", "./nowhere"], 2, "no weights folder ./nowhere"),
    (["--weights", "../../../etc"], 2, "no weights folder"),
    (["-o", "/nonexistent/x.png"], 2, "no folder /nonexistent"),
    (["-o", "nonexistent/"], 2, "no folder nonexistent"),
    (["-o", "x.bmp"], 2, "x.bmp is neither a folder nor a .png file"),
    (["-o", "-", "--separate", "-n", "2"], 2, "stdout takes one picture"),
    (["-o", "-", "--json"], 2, "stdout cannot take both"),
    (["-n", "0"], 2, "n must be at least 1, not 0"),
    (["-n", str(2**70)], 2, "n must be below 2^63"),
    (["-n", "999999", "--scale", "64"], 2, "999999 pictures of 256×256 pixels are too many"),
    (["--batch-size", "0"], 2, "batch_size must be at least 1"),
    (["--seed", "-1"], 2, "seed must be at least 0"),
    (["--temperature", "0"], 2, "temperature must be above 0"),
    (["--temperature", "nan"], 2, "temperature must be finite"),
    (["--top-p", "0"], 2, "top_p must be above 0"),
    (["--top-p", "1.5"], 2, "top_p must be above 0 and at most 1"),
    (["--class", "207", "--guidance", "inf"], 2, "guidance must be finite"),
    (["--guidance", "2"], 2, "guidance needs a class"),
    (["--device", "gpu"], 2, "no device 'gpu'"),
    (["--scale", "0"], 2, "--scale"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(b[0])[:30] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run, weights: Path, words: list[str], code: int, says: str
) -> None:
    outcome = run("sample", *([] if "--weights" in words else ["--weights", weights]), *words)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_a_device_that_is_not_there(run: Run, weights: Path) -> None:
    outcome = run("sample", "--weights", weights, "--device", "cuda")
    assert outcome.code == 1
    assert outcome.err == (
        "error: device cuda is not available: torch sees no CUDA device (--device cpu)\n"
    )
    assert list(Path().iterdir()) == []


def test_a_name_that_no_file_can_have_is_told_before_drawing(run: Run, weights: Path) -> None:
    outcome = run("sample", "--weights", weights, "-o", "x" * 300 + ".png")
    assert outcome.code == 2
    assert "File name too long" in outcome.err


def test_weights_that_are_replaced_meanwhile(
    run: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture never names the weights that were there before those that drew it."""
    mine, load = tmp_path / "mine", ClassPipeline.from_pretrained
    shutil.copytree(weights, mine)

    def replaced(source: Any, device: Any) -> Any:
        tensors = load_file(mine / "model.safetensors")
        save_file({name: t / 2 for name, t in tensors.items()}, mine / "model.safetensors")
        return load(source, device)

    monkeypatch.setattr(ClassPipeline, "from_pretrained", replaced)
    outcome = run("sample", "--weights", mine, "-o", "a.png")
    assert outcome.code == 4
    assert "the weights mine were replaced while they were read (try again)" in outcome.err
    assert not Path("a.png").exists()
