"""`pixelgen complete`, on random weights."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixelgen
from pixelgen.imaging import png_text, read_image

from .conftest import Pipe, Run

SIZE = (40, 24)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, beside a mask of its left part and a mask of another size."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(draw.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)).save(
        folder / "cat.png"
    )
    mask = Image.new("L", SIZE)
    mask.paste(255, (0, 0, 20, SIZE[1]))
    mask.save(folder / "mask.png")
    Image.new("L", (8, 8), 255).save(folder / "other.png")
    return folder / "cat.png"


def test_original_masked_and_completions(run: Run, pixel_weights: Path, photo: Path) -> None:
    words = ["--box", "20,3,6,6", "-n", 3, "--seed", 1, "--weights", pixel_weights, "--raw"]
    outcome = run("complete", photo, *words)
    assert (outcome.code, outcome.out) == (0, "cat-completed-s1.png\n")
    assert outcome.err.startswith("3 completions of 6% of the picture in ")
    loaded = pixelgen.load(pixel_weights, "cpu")
    result = loaded.complete(read_image(photo), box=(20, 3, 6, 6), n=3, seed=1, raw=True)
    grid = Image.open("cat-completed-s1.png")
    assert grid.size == (5 * 8 + 4 * 2, 8)
    for place, image in enumerate((result.original, result.masked, *result.images)):
        assert grid.crop((10 * place, 0, 10 * place + 8, 8)).tobytes() == image.tobytes()

    outcome = run("complete", photo, *words, "--separate", "-o", "x.png")
    assert outcome.out.split() == ["x-1.png", "x-2.png", "x-3.png"]
    separate = [Image.open(f"x-{i}.png").tobytes() for i in (1, 2, 3)]
    assert separate == [image.tobytes() for image in result.images]


@pytest.mark.parametrize(
    "part",
    [["--mask", "MASK"], ["--box", "8,0,12,24"], ["--keep", "right:50%"], ["--box", "-9,-9,29,99"]],
)
def test_ways_to_name_a_part(run: Run, pixel_weights: Path, photo: Path, part: list[str]) -> None:
    """The left half of the middle square, in four ways."""
    named = [str(photo.with_name("mask.png")) if word == "MASK" else word for word in part]
    words = [*named, "-n", 2, "--seed", 1, "--weights", pixel_weights, "--separate"]
    words.append("--raw")
    assert run("complete", photo, *words, "-o", "x.png").code == 0
    loaded = pixelgen.load(pixel_weights, "cpu")
    result = loaded.complete(read_image(photo), keep="right:50%", n=2, seed=1, raw=True)
    made = [Image.open(f"x-{i}.png").tobytes() for i in (1, 2)]
    assert made == [image.tobytes() for image in result.images]


def test_a_row_for_each_class(run: Run, pixel_weights: Path, photo: Path) -> None:
    words = ["--keep", "top:50%", "-c", "hen", "-c", 207, "-n", 2, "--weights", pixel_weights]
    assert run("complete", photo, *words, "-o", "x.png", "--scale", 2, "--raw").code == 0
    grid = Image.open("x.png")
    assert grid.size == (2 * (4 * 8 + 3 * 2), 2 * (2 * 8 + 2))
    rows = [grid.crop((0, top, 36, top + 16)).tobytes() for top in (0, 20)]
    assert rows[0] == rows[1]


def test_json_and_text_chunks(run: Run, pixel_weights: Path, photo: Path) -> None:
    words = ["--keep", "bottom:75%", "-n", 2, "--seed", 5, "--refine", 4, "--temperature", 0.9]
    words += ["--weights", pixel_weights, "--raw"]
    outcome = run("complete", photo, *words, "-o", "x.png", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    facts = json.loads(outcome.out)
    assert set(facts) == {
        *("files", "seed", "weights", "revision", "device", "classes", "drawn", "bits_per_dim"),
        *("effective_candidates", "seconds", "parameters", "watch", "animation", "picks", "mask"),
        "square",
    }
    assert (facts["files"], facts["seed"], facts["drawn"]) == (["x.png"], 5, 0.25)
    assert facts["square"] == [8, 0, 32, 24]
    assert facts["classes"] == [None, None]
    assert all(1 <= count <= 4 for count in facts["effective_candidates"])
    text = png_text(Path("x.png"))
    assert (text["seed"], text["weights"]) == ("5", "pixels")
    parameters = json.loads(text["parameters"])
    for record in (parameters, facts["parameters"]):
        assert record.pop("content").startswith("sha256:")
        inputs = [record.pop(name) for name in ("image", "fit", "keep")]
        assert inputs == ["cat.png", "crop", "bottom:75%"]
    expected = {"classes": [], "n": 2, "temperature": 0.9, "top_p": 1.0, "guidance": 1.0}
    assert facts["parameters"] == expected | {"refine": 4}
    assert parameters == expected | {"refine": 4, "grid": True, "scale": 1}


def test_a_named_file_is_replaced_only_by_force(run: Run, pixel_weights: Path, photo: Path) -> None:
    words = ["complete", photo, "--seed", 1, "--weights", pixel_weights, "-o", "x.png", "-n", 1]
    assert run(*words, "--keep", "top:50%").code == 0
    before = Path("x.png").read_bytes()
    assert run(*words, "--keep", "top:50%").code == 0
    outcome = run(*words, "--keep", "top:60%")
    assert (outcome.code, outcome.err) == (2, "error: x.png exists (--force replaces it)\n")
    assert Path("x.png").read_bytes() == before
    outcome = run(*words, "--keep", "top:60%", "--force", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert Path("x.png").read_bytes() != before


def test_refinement_says_what_it_chose_among(run: Run, pixel_weights: Path, photo: Path) -> None:
    words = ["--keep", "bottom:50%", "-n", 1, "--refine", 8, "--weights", pixel_weights]
    outcome = run("complete", photo, *words)
    assert ", each of 8 candidates, effectively " in outcome.err


def test_nothing_hidden_is_noted(run: Run, pixel_weights: Path, photo: Path) -> None:
    words = ["--box", "0,0,3,3", "-n", 1, "--weights", pixel_weights, "-o", "x.png", "--separate"]
    outcome = run("complete", photo, *words, "--raw")
    assert outcome.code == 0
    assert outcome.err.startswith("note: nothing that the weights see is hidden\n")
    loaded = pixelgen.load(pixel_weights, "cpu")
    assert (
        Image.open("x.png").tobytes() == loaded.complete(photo, keep="left:100%").original.tobytes()
    )


def test_codes(run: Run, code_weights: Path, photo: Path) -> None:
    words = ["--keep", "top:50%", "-n", 2, "--weights", code_weights, "--class", 8, "--raw"]
    outcome = run("complete", photo, *words, "-o", "x.png")
    assert (outcome.code, outcome.out) == (0, "x.png\n")
    grid = np.asarray(Image.open("x.png"))
    assert grid.shape == (16, 4 * 16 + 3 * 2, 3)
    assert (grid[8:, 18:34] == 128).all()


def test_stdin_and_stdout(pipe: Pipe, pixel_weights: Path, photo: Path) -> None:
    words = ["complete", "-", "--keep", "left:25%", "-n", 1, "--weights", pixel_weights, "-q"]
    outcome = pipe(*words, "--seed", 1, "--raw", "--separate", "-o", "-", stdin=photo.read_bytes())
    assert (outcome.code, outcome.err) == (0, "")
    loaded = pixelgen.load(pixel_weights, "cpu")
    (image,) = loaded.complete(read_image(photo), keep="left:25%", seed=1, raw=True).images
    assert Image.open(io.BytesIO(outcome.out)).tobytes() == image.tobytes()


KEEP = ["--keep", "top:50%"]
BAD = [
    (["--keep", "top:50%"], 2, "Missing argument"),
    (["PHOTO"], 2, "one part must be named (--mask, --keep or --box)"),
    (["PHOTO", *KEEP, "--box", "1,1,2,2"], 2, "one part must be named"),
    (["PHOTO", "--keep", "top:200%"], 2, "'top:200%' is not a part of a picture"),
    (["PHOTO", "--keep", "half"], 2, "'half' is not a part of a picture"),
    (["PHOTO", "--box", "1,2,3"], 2, "'1,2,3' is not a box"),
    (["PHOTO", "--box", "1,2,0,3"], 2, "the box 1,2,0,3 is empty"),
    (["PHOTO", "--box", "40,0,5,5"], 2, "the box lies outside the picture, which has 40×24"),
    (["PHOTO", "--mask", "OTHER"], 2, "the mask has 8×8 pixels, the picture 40×24"),
    (["PHOTO", "--mask", "missing.png"], 3, "cannot read missing.png"),
    (["missing.png", *KEEP], 3, "cannot read missing.png"),
    (["-", "--mask", "-"], 2, "stdin holds one picture"),
    (["PHOTO", *KEEP, "--refine", "0"], 2, "refine must be at least 1, not 0"),
    (["PHOTO", *KEEP, "-n", "0"], 2, "n must be at least 1, not 0"),
    (["PHOTO", *KEEP, "-n", "9999999"], 2, "9999999 pictures of 8×8 pixels are too many"),
    (["PHOTO", *KEEP, "--seed", "-1"], 2, "seed must be at least 0"),
    (["PHOTO", *KEEP, "--temperature", "0"], 2, "temperature must be above 0"),
    (["PHOTO", *KEEP, "--guidance", "2"], 2, "guidance needs a class"),
    (["PHOTO", *KEEP, "--class", "3"], 2, "pixels was not trained on class 3"),
    (["PHOTO", *KEEP, "--weights", "nowhere"], 2, "no weights called nowhere"),
    (["PHOTO", *KEEP, "--weights", "no-one/nothing"], 4, "weights no-one/nothing"),
    (["PHOTO", *KEEP, "-o", "x.bmp"], 2, "x.bmp is neither a folder nor a .png file"),
    (["PHOTO", *KEEP, "-o", "no/x.png"], 2, "no folder no"),
    (["PHOTO", *KEEP, "-o", "-"], 2, "stdout takes one picture (-n 1, --pick N or --raw)"),
    (["PHOTO", *KEEP, "-o", "-", "--raw", "--separate"], 2, "stdout takes one picture (--grid)"),
    (["PHOTO", *KEEP, "-o", "-", "--json"], 2, "stdout cannot take both"),
    (["PHOTO", *KEEP, "--device", "gpu"], 2, "no device 'gpu'"),
    (["PHOTO", *KEEP, "--scale", "0"], 2, "--scale"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(b[0])[:40] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run, pixel_weights: Path, photo: Path, words: list[str], code: int, says: str
) -> None:
    named = {"PHOTO": str(photo), "OTHER": str(photo.with_name("other.png"))}
    given = [named.get(word, word) for word in words]
    if "--weights" not in words:
        given += ["--weights", str(pixel_weights)]
    outcome = run("complete", *given)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []


def test_masks_with_transparency(run: Run, pixel_weights: Path, photo: Path) -> None:
    """The left half, erased from the photo, or painted white on a transparent layer."""
    picture = Image.open(photo).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 20, SIZE[1]))
    picture.save("erased.png")
    layer = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    layer.paste((255, 255, 255, 255), (0, 0, 20, SIZE[1]))
    layer.save("painted.png")
    words = ["-n", 1, "--seed", 1, "--weights", pixel_weights, "--raw", "--json"]
    words.append("--separate")
    plain = json.loads(run("complete", photo, "--keep", "right:50%", *words, "-o", "x.png").out)
    assert plain["mask"] is None
    loaded = pixelgen.load(pixel_weights, "cpu")
    for name, convention, says in (
        ("erased", "transparent", "the mask has transparent parts: these are filled"),
        ("painted", "painted", "the mask is white paint on a transparent layer: what is painted"),
    ):
        outcome = run("complete", photo, "--mask", f"{name}.png", *words, "-o", f"{name}-x.png")
        assert outcome.err.startswith(f"note: {says}")
        assert json.loads(outcome.out)["mask"] == convention
        assert Image.open(f"{name}-x.png").tobytes() == Image.open("x.png").tobytes()
        result = loaded.complete(photo, mask=f"{name}.png", n=1, seed=1, raw=True)
        assert result.mask == convention
        assert result[0].image.tobytes() == Image.open("x.png").tobytes()


def test_all_hidden_is_noted(run: Run, pixel_weights: Path, photo: Path) -> None:
    Image.new("RGBA", SIZE, (0, 0, 0, 0)).save("empty.png")
    words = ["-n", 1, "--weights", pixel_weights, "-o", "x.png"]
    outcome = run("complete", photo, "--mask", "empty.png", *words)
    assert outcome.err.startswith(
        "note: the mask has transparent parts: these are filled\n"
        "note: everything that the weights see is hidden: no part of the picture is used\n"
    )
    loaded = pixelgen.load(pixel_weights, "cpu")
    with pytest.warns(UserWarning, match="everything that the weights see is hidden"):
        loaded.complete(photo, mask="empty.png")
    with pytest.warns(UserWarning, match="nothing that the weights see is hidden"):
        loaded.complete(photo, mask=Image.new("L", SIZE))


def test_the_whole_photo_comes_back(run: Run, pixel_weights: Path) -> None:
    """Of 1200×800 pixels, with transparency, or turned by EXIF: outside of the hole nothing
    changes, and inside is what Python draws."""
    values = np.random.default_rng(0).integers(0, 256, (800, 1200, 4), dtype=np.uint8)
    Image.fromarray(values[..., :3]).save("rgb.png")
    Image.fromarray(values).save("rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(values[..., :3]).transpose(Image.Transpose.ROTATE_90).save(
        "turned.png", exif=exif
    )
    loaded = pixelgen.load(pixel_weights, "cpu")
    words = ["--box", "500,300,200,100", "--seed", 1, "--weights", pixel_weights, "--json"]
    inside = np.zeros((800, 1200), dtype=bool)
    inside[300:400, 500:700] = True
    for name, mode in (("rgb", "RGB"), ("rgba", "RGBA"), ("turned", "RGB")):
        outcome = run("complete", f"{name}.png", *words, "-n", 2, "-o", f"{name}-x.png")
        facts = json.loads(outcome.out)
        assert facts["files"] == [f"{name}-x-1.png", f"{name}-x-2.png"]
        assert facts["square"] == [400, 150, 800, 550]
        assert facts["drawn"] == round(20_000 / 960_000, 4)
        assert outcome.err.startswith("note: the weights draw the 400×400 pixels around the hole")
        drawn = loaded.complete(f"{name}.png", box=(500, 300, 200, 100), n=2, seed=1)
        for file, one in zip(facts["files"], drawn, strict=True):
            with Image.open(file) as image:
                assert (image.mode, image.size) == (mode, (1200, 800))
                after = np.asarray(image)
            assert after.tobytes() == one.photo.tobytes()
            assert (after[~inside] == values[..., : len(mode)][~inside]).all()
            assert (after[inside] != values[..., : len(mode)][inside]).any(1).mean() > 0.9
            assert one.image.size == (8, 8)


def test_files_at_full_size_are_found_again(run: Run, pixel_weights: Path, photo: Path) -> None:
    """A run with the same options goes over the same files; the sheet is a picture of its own."""
    words = ["complete", photo, "--keep", "top:50%", "--seed", 1, "--weights", pixel_weights]
    made = [run(*words, "-n", 2, "-o", "x.png") for _ in range(2)]
    assert [outcome.out.split() for outcome in made] == [["x-1.png", "x-2.png"]] * 2
    parameters = json.loads(png_text(Path("x-2.png"))["parameters"])
    assert (parameters["raw"], parameters["grid"], parameters["picture"]) == (False, False, 1)
    outcome = run(*words, "-n", 2, "-o", "x.png", "--raw", "--separate")
    assert outcome.err == "error: x-1.png exists (--force replaces it)\n"
    outcome = run(*words, "-n", 2, "-o", "y.png", "--watch", "seen.png", "--scale", 2)
    assert (outcome.code, outcome.out) == (0, "y-1.png\ny-2.png\n")
    assert read_image("y-1.png").size == SIZE
    assert read_image("seen.png").size == (2 * (4 * 8 + 3 * 2), 2 * 8)


def test_one_photo_to_stdout(pipe: Pipe, pixel_weights: Path, photo: Path) -> None:
    words = ["complete", "-", "--keep", "left:25%", "-n", 3, "--pick", 2, "-q", "--seed", 1]
    outcome = pipe(*words, "--weights", pixel_weights, "-o", "-", stdin=photo.read_bytes())
    assert (outcome.code, outcome.err) == (0, "")
    loaded = pixelgen.load(pixel_weights, "cpu")
    made = loaded.complete(photo, keep="left:25%", n=3, seed=1)[1].photo
    assert Image.open(io.BytesIO(outcome.out)).tobytes() == made.tobytes()
