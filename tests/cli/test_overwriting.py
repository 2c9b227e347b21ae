"""Nothing that exists is overwritten without --force, also if it appears while a command runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pixelgen.imaging import picture_text, png_text
from pixelgen.pipelines.codec_pipeline import CodecPipeline
from pixelgen.pipelines.image_sampler import ImageSampler
from pixelgen.pipelines.score_pipeline import ScorePipeline

from .conftest import Run

FACE = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))[0]


@contextmanager
def before(cls: type, method: str, action: Callable[[], object]) -> Iterator[None]:
    """A context in which `action` runs, once, when a command has checked its files and computes."""
    inner, calls = getattr(cls, method), [action]

    def patched(self: object, *given: object, **more: object) -> object:
        while calls:
            calls.pop()()
        return inner(self, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, method, patched)
        yield


def edit(path: Path) -> bytes:
    """Change a pixel of a PNG as an image editor does that keeps the text chunks."""
    with Image.open(path) as image:
        image.load()
        info = PngImagePlugin.PngInfo()
        for key, value in png_text(path).items():
            info.add_itxt(key, value)
        image.putpixel((0, 0), (1, 2, 3))
        image.save(path, pnginfo=info)
    return path.read_bytes()


def kept(path: object, other: object) -> str:
    return (
        f"error: {path} holds something else, which is kept; the new file is {other} "
        "(--force replaces it)\n"
    )


SAMPLE = ["sample", "--seed", 1, "-n", 2]


@pytest.mark.parametrize(
    ("more", "name", "other"),
    [
        (["-o", "a.png"], "a.png", "a-2.png"),
        (["--separate", "-o", "a.png"], "a-2.png", "a-2-2.png"),
        (["-o", "b.png", "--watch", "a.png"], "a.png", "a-2.png"),
        (["-o", "b.png", "--animate", "a.gif"], "a.gif", "a-2.gif"),
    ],
)
def test_a_file_that_appears_while_drawing_is_kept(
    run: Run, weights: Path, more: list[str], name: str, other: str
) -> None:
    words = [*SAMPLE, "--weights", weights, *more]
    with before(ImageSampler, "sample_grids", lambda: Path(name).write_text("mine")):
        outcome = run(*words)
    assert (outcome.code, outcome.err) == (2, kept(name, other))
    assert Path(name).read_text() == "mine"
    drawn = Path(other).read_bytes()
    if name in more[:2]:
        assert outcome.out == f"{other}\n"
    assert run(*words, "--force").code == 0
    assert Path(name).read_bytes() == drawn


def test_two_that_draw_into_one_file(run: Run, weights: Path) -> None:
    """The same picture is no conflict, another one is kept beside it."""
    words = ["sample", "--weights", weights, "-o", "a.png", "--seed"]
    with before(ImageSampler, "sample_grids", lambda: run(*words, 1)):
        outcome = run(*words, 1)
    assert (outcome.code, outcome.out, outcome.err[:9]) == (0, "a.png\n", "1 picture")
    Path("a.png").unlink()
    with before(ImageSampler, "sample_grids", lambda: run(*words, 1)):
        outcome = run(*words, 2)
    assert (outcome.code, outcome.err) == (2, kept("a.png", "a-2.png"))
    assert [png_text(Path(name))["seed"] for name in ("a.png", "a-2.png")] == ["1", "2"]


@pytest.mark.parametrize("more", [["-o", "a.png"], ["-o", "b.png", "--watch", "a.png"]])
def test_an_edited_picture_is_another_picture(run: Run, weights: Path, more: list[str]) -> None:
    words = [*SAMPLE, "--weights", weights, *more]
    assert run(*words).code == 0
    same = Path("a.png").stat().st_mtime_ns
    assert run(*words).code == 0
    assert Path("a.png").stat().st_mtime_ns == same
    before = edit(Path("a.png"))
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (2, kept("a.png", "a-2.png"))
    assert Path("a.png").read_bytes() == before


def test_the_same_animation_is_one_of_the_same_pixels(run: Run, weights: Path) -> None:
    words = ["interpolate", "-c", "8", "-c", "207", "--steps", 3, "--weights", weights]
    words += ["--seed", 1, "-o", "a.webp"]
    assert run(*words).code == 0
    before = Path("a.webp").read_bytes()
    assert run(*words).code == 0
    assert Path("a.webp").read_bytes() == before
    text = picture_text(Path("a.webp"))
    with Image.open("a.webp") as image:
        exif = image.getexif()
        frames = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            frames.append(image.convert("RGB"))
        frames[-1].putpixel((0, 0), (1, 2, 3))
        frames[0].save(
            "a.webp",
            save_all=True,
            append_images=frames[1:],
            lossless=True,
            exif=exif,
            duration=image.info["duration"],
        )
    assert picture_text(Path("a.webp")) == text
    before = Path("a.webp").read_bytes()
    assert run(*words).err == kept("a.webp", "a-2.webp")
    assert Path("a.webp").read_bytes() == before


def test_an_unfinished_picture_that_was_edited_is_kept(run: Run, weights: Path) -> None:
    words = [*SAMPLE, "--batch-size", 1, "--weights", weights, "-o", "a.png"]
    sample_grids = ImageSampler.sample_grids

    def interrupted(self: ImageSampler, *given: object, **more: object) -> object:
        yield next(sample_grids(self, *given, **more))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageSampler, "sample_grids", interrupted)
        assert run(*words).code == 130
    before = edit(Path("a.png"))
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (2, "error: a.png exists (--force replaces it)\n")
    assert Path("a.png").read_bytes() == before


def test_other_commands(run: Run, code_weights: Path, pixel_weights: Path) -> None:
    def mine(name: str) -> Callable[[], object]:
        return lambda: Path(name).write_text("mine")

    with before(CodecPipeline, "encode_file", mine("c.safetensors")):
        outcome = run("encode", FACE, "--weights", code_weights, "-o", "c.safetensors")
    assert outcome.code == 2
    assert outcome.err.endswith(kept("c.safetensors", "c-2.safetensors"))
    assert outcome.out == "c-2.safetensors\n"
    with before(CodecPipeline, "decode", mine("d.png")):
        outcome = run("decode", "c-2.safetensors", "--weights", code_weights, "-o", "d.png")
    assert (outcome.code, outcome.err) == (2, kept("d.png", "d-2.png"))
    with before(ScorePipeline, "run", mine("m.png")):
        outcome = run("score", FACE, "--weights", pixel_weights, "--map", "m.png", "--json")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", kept("m.png", "m-2.png"))
    assert {Path(name).read_text() for name in ("c.safetensors", "d.png", "m.png")} == {"mine"}
    assert json.loads(png_text(Path("m-2.png"))["parameters"])["class"] is None
