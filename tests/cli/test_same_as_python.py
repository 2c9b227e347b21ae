"""The same seed and options give the same pictures on the command line and from Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pixelgen

from .conftest import Run

ASSETS = Path(__file__).parents[1] / "assets"
A, B = ASSETS / "male-12.jpg", ASSETS / "female-6.jpg"
DRAWING = ["--seed", 5, "--temperature", 0.8, "--top-p", 0.9]


def printed(run: Run, *words: object) -> tuple[list[bytes], dict[str, object]]:
    """The pixels of the files that a command writes, one for each picture, and what it says."""
    outcome = run(*words, "--separate", "--json", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    facts = json.loads(outcome.out)
    return [Image.open(file).tobytes() for file in facts["files"]], facts


def same(pictures: Sequence[pixelgen.Sample], made: tuple[list[bytes], dict[str, object]]) -> None:
    pixels, facts = made
    assert [one.image.tobytes() for one in pictures] == pixels
    assert [round(one.bits_per_dim, 4) for one in pictures] == facts["bits_per_dim"]
    assert {one.seed for one in pictures} == {facts["seed"]}


def test_sample(run: Run, pixel_weights: Path) -> None:
    words = ["-c", "hen", "-c", 207, "-n", 2, "--guidance", 2, "--weights", pixel_weights]
    loaded = pixelgen.load(pixel_weights, "cpu")
    drawn = loaded.sample(["hen", 207], 2, seed=5, temperature=0.8, top_p=0.9, guidance=2)
    same(drawn, printed(run, "sample", *words, *DRAWING))
    same(loaded.sample(seed=5), printed(run, "sample", "--seed", 5, "--weights", pixel_weights))


def test_sample_of_the_bundled_weights(run: Run) -> None:
    drawn = pixelgen.load(device="cpu").sample(classes=[207], seed=1)
    same(drawn, printed(run, "sample", "--class", 207, "--seed", 1))


def test_portrait(run: Run, face_weights: Path) -> None:
    made = printed(run, "portrait", A, "-n", 2, *DRAWING, "--weights", face_weights)
    loaded = pixelgen.load(face_weights, "cpu")
    drawn = loaded.portrait(A, 2, seed=5, temperature=0.8, top_p=0.9)
    same(drawn, made)
    assert [round(one.similarity, 4) for one in drawn] == made[1]["similarity"]


def test_interpolate(run: Run, pixel_weights: Path, face_weights: Path, autoencoders: Path) -> None:
    words = ["interpolate", "--steps", 3, "--seed", 5, "--weights"]
    made = printed(run, *words, pixel_weights, "-c", 8, "-c", 340)
    same(pixelgen.load(pixel_weights, "cpu").interpolate(classes=[8, 340], steps=3, seed=5), made)
    made = printed(run, *words, face_weights, A, B, "--slerp")
    loaded = pixelgen.load(face_weights, "cpu")
    same(loaded.interpolate([A, B], steps=3, slerp=True, seed=5), made)
    made = printed(run, *words, autoencoders, A, B, "--bottleneck", 2)
    loaded = pixelgen.load(autoencoders, "cpu")
    same(loaded.interpolate([A, B], steps=3, bottleneck=2, seed=5), made)


@pytest.mark.parametrize("name", ["pixel_weights", "code_weights"])
def test_complete(run: Run, name: str, request: pytest.FixtureRequest) -> None:
    weights = request.getfixturevalue(name)
    words = ["--box", "20,20,60,60", "-n", 2, "--refine", 2, "--class", 8, "--weights", weights]
    loaded = pixelgen.load(weights, "cpu")
    options: dict[str, Any] = {"seed": 5, "temperature": 0.8, "top_p": 0.9, "n": 2, "refine": 2}
    options |= {"box": (20, 20, 60, 60), "classes": 8}
    same(
        loaded.complete(A, **options, raw=True),
        printed(run, "complete", A, *words, *DRAWING, "--raw"),
    )
    made = printed(run, "complete", A, *words, *DRAWING)
    drawn = loaded.complete(A, **options)
    assert [one.photo.tobytes() for one in drawn] == made[0]
    assert [round(one.bits_per_dim, 4) for one in drawn] == made[1]["bits_per_dim"]
    assert [*drawn.square] == made[1]["square"]
    assert [round(one.effective, 2) for one in drawn] == made[1]["effective_candidates"]


def test_reconstruct(run: Run, autoencoders: Path) -> None:
    pixels, facts = printed(run, "reconstruct", A, "-n", 2, "--weights", autoencoders, *DRAWING)
    loaded = pixelgen.load(autoencoders, "cpu")
    small, large = loaded.reconstruct(A, 2, seed=5, temperature=0.8, top_p=0.9)
    drawn = [small.source, small.image, *small.samples, large.image, *large.samples]
    assert [image.tobytes() for image in drawn] == pixels
    assert small.seed == facts["seed"]


def test_score(run: Run, pixel_weights: Path) -> None:
    outcome = run("score", A, "--classify", "--class", 8, "--json", "--weights", pixel_weights)
    (told,) = json.loads(outcome.out)["pictures"]
    (score,) = pixelgen.load(pixel_weights, "cpu").score(A, label=8, classify=True)
    assert round(score.bits_per_dim, 6) == told["bits_per_dim"]
    assert round(score.bits, 3) == told["bits"]


def test_codes(run: Run, code_weights: Path) -> None:
    run("encode", A, B, "-o", "cli.safetensors", "--weights", code_weights)
    loaded = pixelgen.load(code_weights, "cpu")
    loaded.encode([A, B]).save("python.safetensors")
    assert Path("python.safetensors").read_bytes() == Path("cli.safetensors").read_bytes()
    words = ["--separate", "-o", "a.png", "--weights", code_weights]
    outcome = run("decode", "python.safetensors", *words)
    assert outcome.code == 0, outcome.err
    shown = [Image.open(file).tobytes() for file in outcome.out.splitlines()]
    assert [image.tobytes() for image in loaded.decode("cli.safetensors")] == shown
    with pytest.raises(pixelgen.PixelgenError, match=r"python.safetensors exists"):
        loaded.encode(A).save("python.safetensors")
