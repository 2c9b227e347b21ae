"""`pixelgen reconstruct`, on random auto-encoders."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import save_checkpoint
from pixelgen.imaging import ReconstructionMetrics, png_text, read_image, save_png, square
from pixelgen.models import TokenizerConfig, build_model

from .conftest import Pipe, Run

ASSETS = Path(__file__).parents[1] / "assets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of different sizes, and a file that is none."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    for name, size in (("a.png", (8, 8)), ("b.PNG", (20, 31)), ("c.webp", (3, 5))):
        picture = Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8))
        picture.save(folder / name, lossless=True)
    (folder / "notes.txt").write_text("no picture")
    return folder


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_sheet_shows_original_mean_and_samples(
    run: Run, autoencoders: Path, folder: Path
) -> None:
    words = ["reconstruct", folder / "a.png", "--weights", autoencoders, "--seed", 1]
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (0, "a-reconstructed-s1.png\n"), outcome.err
    pattern = r"2 numbers: mean [\d.]+ dB PSNR, samples [\d.]+ dB, [\d.]+ bits/dim\n5 numbers: .*\n"
    assert re.fullmatch(pattern + r"1 picture in [\d.]+ s, seed 1, picks 1 to 6\n", outcome.err)
    sheet = pixels("a-reconstructed-s1.png")
    assert sheet.shape == (8, 9 * 10 - 2, 3)
    loaded = pixelgen.load(autoencoders, "cpu")
    (row,) = loaded.reconstruct([read_image(folder / "a.png")], seed=1).rows()
    assert len(row) == 9
    for place, image in enumerate(row):
        assert (sheet[:, 10 * place : 10 * place + 8] == np.asarray(image)).all()
    assert run(*words).out == "a-reconstructed-s1-2.png\n"
    first, second = (Path(f"a-reconstructed-s1{end}.png").read_bytes() for end in ("", "-2"))
    assert first == second


def test_several_files_and_folders_make_one_sheet(
    run: Run, autoencoders: Path, folder: Path
) -> None:
    words = ["--weights", autoencoders, "-n", 1, "--bottleneck", 5, "--seed", 2]
    outcome = run("reconstruct", folder, *words, "--scale", 2)
    assert (outcome.code, outcome.out) == (0, "3-pictures-reconstructed-s2.png\n"), outcome.err
    assert pixels("3-pictures-reconstructed-s2.png").shape == (2 * 28, 2 * 28, 3)
    one_by_one = [folder / name for name in ("a.png", "b.PNG", "c.webp")]
    assert run("reconstruct", *one_by_one, *words, "--scale", 2, "-o", "x.png").code == 0
    sheets = [Path(name).read_bytes() for name in ("3-pictures-reconstructed-s2.png", "x.png")]
    assert sheets[0] == sheets[1]


def test_separate_files_are_named_by_what_they_show(
    run: Run, autoencoders: Path, folder: Path
) -> None:
    words = ["--weights", autoencoders, "-n", 2, "--bottleneck", 2, "--seed", 2, "--separate"]
    outcome = run("reconstruct", folder / "a.png", *words, "-o", "x.png")
    endings = ("original", "2-mean", "2-sample-1", "2-sample-2")
    assert outcome.out.split() == [f"x-{end}.png" for end in endings]
    assert (pixels("x-original.png") == pixels(folder / "a.png")).all()
    assert json.loads(png_text(Path("x-2-mean.png"))["parameters"])["picture"] == 1
    outcome = run("reconstruct", folder / "a.png", folder / "c.webp", *words)
    assert outcome.out.split() == [
        f"{photo}-reconstructed-s2-{end}.png" for photo in ("a", "c") for end in endings
    ]
    assert (pixels("a-reconstructed-s2-original.png") == pixels("x-original.png")).all()


def test_photos_of_one_name_have_files_of_their_own(
    run: Run, autoencoders: Path, folder: Path
) -> None:
    for other, name in (("b", "a.PNG"), ("c", "A.webp"), ("d", "a-2.png")):
        Path(other).mkdir()
        shutil.copy(folder / ("c.webp" if name == "A.webp" else "a.png"), Path(other, name))
    Path("out").mkdir()
    photos = [folder / "a.png", "b/a.PNG", "c/A.webp", "d/a-2.png"]
    words = ["--weights", autoencoders, "-n", 1, "--bottleneck", 2, "--seed", 2, "--separate"]
    outcome = run("reconstruct", *photos, *words, "-o", "out", "--force")
    names = outcome.out.split()
    assert names == [
        f"out/{photo}-reconstructed-s2-{end}.png"
        for photo in ("a", "a-2", "a-3", "a-2-2")
        for end in ("original", "2-mean", "2-sample-1")
    ]
    third = square(read_image(folder / "c.webp"), 8)
    assert (pixels(names[6]) == np.asarray(third)).all()
    outcome = run("reconstruct", *photos, *words, "-o", "out", "--pick", 3)
    assert outcome.out.split() == [
        f"out/a-3-reconstructed-s2-pick3-{end}.png" for end in ("original", "2-mean", "2-sample-1")
    ]


def test_json(run: Run, autoencoders: Path, folder: Path) -> None:
    names = [folder / "a.png", folder / "c.webp"]
    outcome = run("reconstruct", *names, "--weights", autoencoders, "--seed", 3, "--json",
                  "--separate", "-o", "x.png")  # fmt: skip
    assert outcome.err == ""
    facts = json.loads(outcome.out)
    assert (facts["seed"], facts["weights"]) == (3, "auto")
    assert facts["parameters"]["bottlenecks"] == [2, 5]
    assert [p["picture"] for p in facts["pictures"]] == [str(name) for name in names]
    assert len(facts["files"]) == 18
    for number, picture in enumerate(facts["pictures"], 1):
        original = read_image(Path(f"x-{number}-original.png"))
        for made, size in zip(picture["reconstructions"], (2, 5), strict=True):
            assert made["bottleneck"] == size
            assert made["bits_per_dim"] > 0
            near = ReconstructionMetrics.compare(
                original, read_image(Path(f"x-{number}-{size}-mean.png"))
            )
            assert made["psnr"] == pytest.approx(near.psnr, abs=1e-3)
            assert made["ssim"] == pytest.approx(near.ssim, abs=1e-4)
            near = ReconstructionMetrics.compare(
                original, read_image(Path(f"x-{number}-{size}-sample-2.png"))
            )
            assert made["samples"][1]["psnr"] == pytest.approx(near.psnr, abs=1e-3)


def test_photos_of_any_shape(run: Run, autoencoders: Path, folder: Path) -> None:
    words = ["reconstruct", folder / "b.PNG", "--weights", autoencoders, "-n", 1, "--seed", 1,
             "--bottleneck", 2, "--separate"]  # fmt: skip
    shapes = {}
    for option in ((), ("--center-crop",), ("--resize",), ("--patches",),
                   ("--patches", "--max-side", 12)):  # fmt: skip
        outcome = run(*words, *option, "-o", "x.png", "--force")
        assert outcome.code == 0, outcome.err
        shapes[option] = {pixels(path).shape[:2] for path in outcome.out.split()}
    small = {(8, 8)}
    assert list(shapes.values()) == [small, small, small, {(20, 31)}, {(8, 12)}]
    outcome = run("reconstruct", folder, "--weights", autoencoders, "--patches", "-o", "all.png",
                  "-n", 1, "--bottleneck", 2)  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert pixels("all.png").shape == (8 + 20 + 3 + 4, 3 * 31 + 4, 3)


def test_in_a_folder_what_cannot_be_read_is_passed_over(
    run: Run, autoencoders: Path, folder: Path
) -> None:
    Path("some").mkdir()
    Path("some/a.png").write_bytes((folder / "a.png").read_bytes())
    Path("some/b.png").write_bytes(b"no picture")
    words = ["--weights", autoencoders, "-n", 1, "--bottleneck", 2, "--seed", 1, "--separate"]
    outcome = run("reconstruct", "some", *words)
    names = [f"a-reconstructed-s1-{end}.png" for end in ("original", "2-mean", "2-sample-1")]
    assert (outcome.code, outcome.out.split()) == (0, names)
    assert outcome.err.startswith("note: cannot read some/b.png: ")


def test_stdin_and_stdout(pipe: Pipe, autoencoders: Path, folder: Path) -> None:
    words = ["reconstruct", "-", "--weights", autoencoders, "--seed", 1, "-q", "-o", "-"]
    outcome = pipe(*words, stdin=(folder / "a.png").read_bytes())
    assert (outcome.code, outcome.err) == (0, "")
    with Image.open(io.BytesIO(outcome.out)) as image:
        assert image.size == (88, 8)


def test_a_file_is_replaced_by_force_or_by_itself(
    run: Run, autoencoders: Path, folder: Path
) -> None:
    words = ["reconstruct", "--weights", autoencoders, "-o", "a.png", "--seed", 1]
    assert run(*words, folder / "a.png").code == 0
    before = Path("a.png").read_bytes()
    assert run(*words, folder / "a.png").code == 0
    outcome = run(*words, folder / "c.webp")
    assert (outcome.code, outcome.err) == (2, "error: a.png exists (--force replaces it)\n")
    assert Path("a.png").read_bytes() == before
    assert run(*words, folder / "c.webp", "--force").code == 0
    assert Path("a.png").read_bytes() != before


def test_by_a_tokenizer(run: Run, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"size": 16, "patch": 2, "wide_features": 8, "wide_blocks": 1, "deep_features": 8}
    config = TokenizerConfig(**sizes, output_features=4, code_size=4, code_channels=2)
    tok = save_checkpoint(tmp_path / "tok", build_model(config))
    outcome = run("reconstruct", folder, "--weights", tok)
    assert (outcome.code, outcome.out) == (0, "3-pictures-reconstructed.png\n"), outcome.err
    assert re.fullmatch(r"[\d.]+ dB PSNR\n3 pictures in [\d.]+ s\n", outcome.err)
    assert pixels("3-pictures-reconstructed.png").shape == (3 * 18 - 2, 34, 3)
    outcome = run("reconstruct", folder / "a.png", "--weights", tok, "--json", "-o", "x.png")
    facts = json.loads(outcome.out)
    assert facts["seed"] is None
    (made,) = facts["pictures"][0]["reconstructions"]
    assert (made["bottleneck"], made["bits_per_dim"], made["samples"]) == (None, None, [])
    outcome = run("reconstruct", folder / "a.png", "--weights", tok, "-n", 2)
    assert outcome.code == 2
    assert outcome.err == "error: n requires auto-encoders, tok reconstructs by its tokenizer\n"
    outcome = run(
        "reconstruct", folder / "a.png", "--weights", tok, "--code-steps", 3, "-o", "y.png"
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(png_text(Path("y.png"))["parameters"])["code_steps"] == 3
    (row,) = pixelgen.load(tok, "cpu").reconstruct(folder / "a.png", code_steps=3).rows()
    assert (pixels("y.png")[:, 18:] == np.asarray(row[1])).all()


def test_codes_are_improved_for_pictures_that_the_classifier_knows(run: Run) -> None:
    shutil.copy(ASSETS / "female-6.jpg", ".")
    words = ["reconstruct", "female-6.jpg", "--weights", "imagenet64", "-o"]
    assert run(*words, "default.png").code == 0
    assert run(*words, "six.png", "--code-steps", 6).code == 0
    assert run(*words, "none.png", "--code-steps", 0).code == 0
    assert (pixels("default.png") == pixels("six.png")).all()
    assert (pixels("default.png") != pixels("none.png")).any()
    outcome = run("again", "default.png", "-o", "again.png")
    assert outcome.code == 0, outcome.err
    assert (pixels("again.png") == pixels("default.png")).all()
    # A picture of before this option says nothing of it.
    text = png_text(Path("none.png"))
    parameters = json.loads(text["parameters"])
    assert parameters.pop("code_steps") == 0
    with Image.open("none.png") as image:
        save_png(Path("old.png"), image, text | {"parameters": json.dumps(parameters)})
    assert run("again", "old.png", "-o", "old-again.png").code == 0
    assert (pixels("old-again.png") == pixels("none.png")).all()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "IMG"),
        (["a.png", "--bottleneck", 3], 2, "auto has no bottleneck of 3 numbers (it has: 2, 5)"),
        (["a.png", "-n", 0], 2, "n must be at least 1, not 0"),
        (["a.png", "--temperature", 0], 2, "temperature must be above 0"),
        (["a.png", "--seed", -1], 2, "seed must be at least 0"),
        (["a.png", "--device", "tpu"], 2, "no device 'tpu'"),
        (["a.png", "--resize", "--patches"], 2, "exclude each other (--center-crop, --resize or"),
        (["a.png", "--max-side", 9], 2, "max_side requires patches (--patches)"),
        (["a.png", "-o", "-", "--json"], 2, "stdout cannot take both"),
        (["a.png", "-o", "-", "--separate"], 2, "stdout takes one picture"),
        (["a.png", "-o", "x.bmp"], 2, "neither a folder nor a .png"),
        (["a.png", "-o", "nowhere/x.png"], 2, "no folder nowhere"),
        (["-", "-"], 2, "stdin holds one picture"),
        (["a.png", "missing.png"], 3, "cannot read missing.png"),
        (["a.png", "notes.txt"], 3, "cannot read notes.txt"),
        (["empty"], 3, "no pictures in the folder empty"),
        (["a.png", "--scale", 64, "-n", 99999], 2, "are too many at once"),
        (["a.png", "--weights", "nowhere"], 2, "no weights called nowhere"),
        (["a.png", "--weights", "WEIGHTS"], 2, "tiny reconstructs nothing: it holds no auto-enc"),
        (["a.png", "--weights", "owner/name"], 4, "owner/name"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run,
    autoencoders: Path,
    weights: Path,
    folder: Path,
    words: list[str | int],
    code: int,
    says: str,
) -> None:
    for name in ("a.png", "notes.txt"):
        Path(name).write_bytes((folder / name).read_bytes())
    Path("empty").mkdir()
    before = sorted(Path().iterdir())
    given = [weights if word == "WEIGHTS" else word for word in words]
    if "--weights" not in words:
        given += ["--weights", autoencoders]
    outcome = run("reconstruct", *given)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert says in outcome.err
    assert sorted(Path().iterdir()) == before


def test_weights_tell_their_bottlenecks(
    run: Run, autoencoders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: autoencoders.parent)
    assert "auto  autoencoder  8×8  bottlenecks 2, 5 " in run("weights").out
    assert json.loads(run("weights", "--json").out)[0]["bottlenecks"] == [2, 5]
    assert "bottleneck  2 or 5\n" in run("weights", "show", autoencoders).out
    told = json.loads(run("weights", "show", autoencoders, "--json").out)
    assert (told["kind"], told["others"][0]["bottleneck"]) == ("autoencoder", 5)


@pytest.mark.parametrize(
    "words",
    [
        ["sample"],
        ["portrait", "a.png"],
        ["score", "a.png"],
        ["complete", "a.png", "--keep=top:50%"],
    ],
)
def test_other_commands_point_here(run: Run, autoencoders: Path, words: list[str]) -> None:
    outcome = run(*words, "--weights", autoencoders)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: auto is an autoencoder: it samples only reconstructions of a picture "
        "(`pixelgen reconstruct`)\n"
    )
