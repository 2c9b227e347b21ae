"""The commands with a PixelVAE: figures that are bounds are called so."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from .conftest import Run

PHOTO = Path(__file__).parents[1] / "assets" / "male-12.jpg"


def test_score_says_that_it_is_a_bound(run: Run, vae_weights: Path) -> None:
    words = ("score", PHOTO, "--weights", vae_weights, "--device", "cpu")
    outcome = run(*words, "--importance-samples", "3", "--map", "map.png")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split() == ["bits/dim", "(bound)", "bits", "picture"]
    assert "upper bounds by 3 latents of each" in outcome.err
    assert Path("map.png").is_file()
    told = json.loads(run(*words, "--json").out)
    assert (told["unit"], told["importance_samples"]) == ("bits/dim (bound)", 8)


def test_sample_and_draw_it_again(run: Run, vae_weights: Path) -> None:
    words = ("--weights", vae_weights, "--seed", "1", "--quiet", "--device", "cpu")
    assert run("sample", "-n", "2", *words, "-o", "two.png").code == 0
    assert run("again", "two.png", "-o", "again.png", "--weights", vae_weights).code == 0
    first, second = (Image.open(name).tobytes() for name in ("two.png", "again.png"))
    assert first == second


def test_what_makes_no_sense_is_one_line(run: Run, vae_weights: Path, pixel_weights: Path) -> None:
    for words in (
        ("complete", PHOTO, "--keep", "top:50%", "--weights", vae_weights),
        ("portrait", PHOTO, "--weights", vae_weights),
        ("encode", PHOTO, "-o", "x.safetensors", "--weights", vae_weights),
        ("score", PHOTO, "--importance-samples", "2", "--weights", pixel_weights),
        ("score", PHOTO, "--importance-samples", "0", "--weights", vae_weights),
    ):
        outcome = run(*words)
        assert outcome.code == 2, outcome.err
        assert "Traceback" not in outcome.err
        assert len(outcome.err.strip().splitlines()) <= 3
