"""`pixelgen interpolate`, on random weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import pixelgen
from pixelgen.imaging import FaceCropper, picture_text, png_text, read_image, square

from .conftest import Run

PORTRAITS = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))
A, B, C = PORTRAITS[1], PORTRAITS[3], PORTRAITS[2]
FIVE = ["--steps", 5, "--seed", 3, "--guidance", 4]


@pytest.fixture(scope="module")
def frames(face_weights: Path) -> list[Image.Image]:
    """What the way from A to B shows with the options FIVE."""
    loaded = pixelgen.load(face_weights, "cpu")
    photos = [read_image(A), read_image(B)]
    images = loaded.interpolate(photos, steps=5, seed=3, guidance=4.0).images
    assert len({image.tobytes() for image in images}) > 3
    return images


def shown(path: Path) -> list[tuple[bytes, int]]:
    """The pictures of an animation, and how long each is shown, in milliseconds."""
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            found.append((image.convert("RGB").tobytes(), int(image.info["duration"])))
        return found


def merged(frames: list[Image.Image], milliseconds: int) -> list[tuple[bytes, int]]:
    """`frames` as animations keep them: pictures that are alike are shown once, for longer."""
    kept: list[tuple[bytes, int]] = []
    for frame in frames:
        data = frame.tobytes()
        if kept and kept[-1][0] == data:
            kept[-1] = (data, kept[-1][1] + milliseconds)
        else:
            kept.append((data, milliseconds))
    return kept


def test_the_best_of_several_ways(run: Run, face_weights: Path) -> None:
    words = ["interpolate", A, B, *FIVE, "--weights", face_weights, "--json", "-q"]
    one = json.loads(run(*words, "-o", "a.png").out)
    best = json.loads(run(*words, "--candidates", 4, "-o", "b.png").out)
    assert sum(best["similarity"]) >= sum(one["similarity"])
    assert best["parameters"] == one["parameters"] | {"candidates": 4}
    assert read_image("b.png").size == read_image("a.png").size
    outcome = run(*words[:-2], "--candidates", 2, "-o", "c.gif", "--watch", "c.png")
    assert outcome.code == 0
    assert outcome.err.endswith(", the most similar of 2 paths\n")
    assert read_image("c.png").size == read_image("a.png").size
    outcome = run("interpolate", "--class", "lion", "--class", "cougar", "--candidates", 2)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: candidates cannot be combined with classes\n"


def test_a_strip_with_the_sources_at_both_ends(
    run: Run, face_weights: Path, frames: list[Image.Image]
) -> None:
    words = ["interpolate", A, B, *FIVE, "--weights", face_weights]
    outcome = run(*words, "-o", "a.png")
    assert (outcome.code, outcome.out) == (0, "a.png\n"), outcome.err
    assert outcome.err.startswith("5 pictures in ")
    lefts = [0, *(22 + 18 * i for i in range(5)), 22 + 5 * 18 - 2 + 6]
    with Image.open("a.png") as strip:
        assert strip.size == (lefts[-1] + 16, 16)
        cut = [strip.crop((left, 0, left + 16, 16)).tobytes() for left in lefts]
    cropper = FaceCropper(16)
    ends = [cropper.crop(read_image(path)).image for path in (A, B)]
    assert cut == [image.tobytes() for image in (ends[0], *frames, ends[1])]
    run(*words, "-o", "b.png", "--batch-size", 2)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    text = png_text(Path("a.png"))
    assert text["Synthetic"].endswith("save the source photos beside them.")
    facts = json.loads(text["parameters"])
    assert (facts["steps"], facts["slerp"], facts["photos"]) == (5, False, [A.name, B.name])


def test_nine_steps_more_photos_and_the_sphere(run: Run, face_weights: Path) -> None:
    words = ["interpolate", A, B, "--seed", 3, "--weights", face_weights]
    run(*words, "-o", "9.png")
    run(*words, "-o", "s.png", "--slerp")
    run(*words[:3], C, *words[3:], "-o", "c.png")
    with Image.open("9.png") as nine, Image.open("s.png") as sphere, Image.open("c.png") as path:
        assert nine.size == sphere.size == (2 * 22 + 9 * 18 - 2, 16)
        assert path.height == 16 + 6 + 16
    assert json.loads(png_text(Path("s.png"))["parameters"])["slerp"] is True


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation(run: Run, face_weights: Path, frames: list[Image.Image], suffix: str) -> None:
    words = ["interpolate", A, B, *FIVE, "--weights", face_weights, "-q"]
    outcome = run(*words, "-o", f"a{suffix}")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"a{suffix}\n", "")
    there = shown(Path(f"a{suffix}"))
    assert there == merged(frames, 100)
    run(*words, "-o", f"b{suffix}", "--ping-pong", "--fps", 20)
    assert shown(Path(f"b{suffix}")) == merged([*frames, *frames[3:0:-1]], 50)
    run(*words, "-o", f"c{suffix}", "--scale", 3)
    with Image.open(f"c{suffix}") as large:
        assert large.size == (48, 48)
    text = picture_text(Path(f"b{suffix}"))
    assert text["Synthetic"] == "All faces in this picture were drawn by a model."
    assert text["seed"] == "3"
    facts = json.loads(text["parameters"])
    assert (facts["fps"], facts["ping_pong"], facts["steps"]) == (20.0, True, 5)

    before = Path(f"a{suffix}").read_bytes()
    assert run(*words, "-o", f"a{suffix}").code == 0  # this very animation
    outcome = run(*words, "-o", f"a{suffix}", "--fps", 5)
    assert (outcome.code, outcome.err) == (2, f"error: a{suffix} exists (--force replaces it)\n")
    assert Path(f"a{suffix}").read_bytes() == before
    assert run(*words, "-o", f"a{suffix}", "--fps", 5, "--force").code == 0
    assert Path(f"a{suffix}").read_bytes() != before
    assert sorted(path.name for path in Path().iterdir()) == [f"{n}{suffix}" for n in "abc"]


def test_separate_frames_and_json(run: Run, face_weights: Path, frames: list[Image.Image]) -> None:
    words = ["interpolate", A, B, *FIVE, "--weights", face_weights]
    outcome = run(*words, "--separate", "-o", "f.png", "--json")
    facts = json.loads(outcome.out)
    assert facts["files"] == [f"f-{i}.png" for i in range(1, 6)]
    assert [Image.open(f).tobytes() for f in facts["files"]] == [f.tobytes() for f in frames]
    assert facts["photos"] == [str(A), str(B)]
    assert len(facts["similarity"]) == len(facts["bits_per_dim"]) == 5
    assert facts["parameters"]["steps"] == 5
    assert "classes" not in facts


def test_default_names_tell(run: Run, face_weights: Path, weights: Path) -> None:
    outcome = run("interpolate", A, B, "--seed", 1, "--weights", face_weights)
    assert outcome.out == f"pixelgen-{A.stem}-to-{B.stem}-s1.png\n"
    words = ["--class", 8, "--class", 207, "--seed", 1, "--weights", weights]
    assert run("interpolate", *words).out == "pixelgen-hen-to-golden-retriever-s1.png\n"


def test_from_class_to_class(run: Run, weights: Path) -> None:
    words = ["interpolate", "--class", "hen", "-c", 207, "--seed", 4, "--weights", weights]
    outcome = run(*words, "-o", "a.png", "--steps", 5, "--guidance", 2)
    assert (outcome.code, outcome.out) == (0, "a.png\n"), outcome.err
    loaded = pixelgen.load(weights, "cpu")
    expected = loaded.interpolate(classes=[8, 207], steps=5, seed=4, guidance=2.0).images
    with Image.open("a.png") as strip:
        assert strip.size == (5 * 6 - 2, 4)
        cut = [strip.crop((6 * i, 0, 6 * i + 4, 4)).tobytes() for i in range(5)]
    assert cut == [image.tobytes() for image in expected]
    facts = json.loads(run(*words, "--json", "-o", "a.gif").out)
    assert facts["classes"] == [8, 207]
    assert facts["files"] == ["a.gif"]
    assert "similarity" not in facts
    assert "Synthetic" not in picture_text(Path("a.gif"))


def test_from_bottleneck_to_bottleneck(run: Run, autoencoders: Path) -> None:
    words = ["interpolate", A, B, "--steps", 5, "--seed", 3, "--weights", autoencoders]
    outcome = run(*words, "-o", "a.png")
    assert (outcome.code, outcome.out) == (0, "a.png\n"), outcome.err
    assert outcome.err.startswith("5 pictures in ")
    loaded = pixelgen.load(autoencoders, "cpu")
    photos = [read_image(A), read_image(B)]
    expected = loaded.interpolate(photos, steps=5, seed=3)
    assert len({frame.tobytes() for frame in expected.images}) == 5
    lefts = [0, *(14 + 10 * i for i in range(5)), 14 + 5 * 10 - 2 + 6]
    with Image.open("a.png") as strip:
        assert strip.size == (lefts[-1] + 8, 8)
        cut = [strip.crop((left, 0, left + 8, 8)).tobytes() for left in lefts]
    ends = [square(photo, 8) for photo in photos]
    assert cut == [image.tobytes() for image in (ends[0], *expected.images, ends[1])]
    text = png_text(Path("a.png"))
    assert "Synthetic" not in text
    facts = json.loads(text["parameters"])
    assert (facts["steps"], facts["bottleneck"], facts["photos"]) == (5, 5, [A.name, B.name])

    outcome = run(*words, "--bottleneck", 2, "--separate", "--batch-size", 2, "--json")
    facts = json.loads(outcome.out)
    names = [f"pixelgen-{A.stem}-to-{B.stem}-s3-{i}.png" for i in range(1, 6)]
    assert facts["files"] == names
    small = loaded.interpolate(photos, steps=5, bottleneck=2, seed=3).images
    assert [Image.open(name).tobytes() for name in names] == [frame.tobytes() for frame in small]
    assert facts["photos"] == [str(A), str(B)]
    assert facts["parameters"]["bottleneck"] == 2
    assert "similarity" not in facts

    run(*words, "-o", "a.webp", "--ping-pong", "--fps", 20)
    assert shown(Path("a.webp")) == merged([*expected.images, *expected.images[3:0:-1]], 50)
    assert run("interpolate", A, B, C, *words[3:], "-o", "c.png").code == 0
    with Image.open("c.png") as path:
        assert path.height == 8 + 6 + 8


def test_the_default_weights(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.bundled", lambda: {"imagenet64": weights})
    assert run("interpolate", "--class", 8, "--class", 207, "-o", "a.png").code == 0
    outcome = run("interpolate", A, B, "-o", "b.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: no weights called faces64 (bundled: imagenet64; ")


BAD = [
    ([], 2, "photos or classes must be given"),
    (["A"], 2, "at least 2 photos must be given"),
    (["--class", "8"], 2, "at least 2 classes must be given"),
    (["--class", "8", "--class", "3"], 2, "tiny was not trained on class 3"),
    (["A", "B", "--class", "8"], 2, "a photo cannot be combined with classes"),
    (["--class", "8", "--class", "207", "--slerp"], 2, "slerp cannot be combined with classes"),
    (["--class", "8", "--class", "207", "--face", "1"], 2, "face cannot be combined with classes"),
    (
        ["--class", "8", "--class", "207", "--no-align"],
        2,
        "no-align cannot be combined with classes",
    ),
    (["--class", "8", "--class", "207", "--weights", "FACES"], 2, "draws from a photo"),
    (["A", "B", "--weights", "CLASSES"], 2, "tiny has no face embedder"),
    (["A", "--weights", "AUTO"], 2, "at least 2 photos must be given"),
    (
        ["A", "B", "--weights", "AUTO", "--slerp"],
        2,
        "slerp requires weights of faces, auto takes any picture",
    ),
    (["A", "B", "--weights", "AUTO", "--face", "1"], 2, "face requires weights of faces"),
    (["A", "B", "--weights", "AUTO", "--no-align"], 2, "no-align requires weights of faces"),
    (["A", "B", "--weights", "AUTO", "--bottleneck", "3"], 2, "auto has no bottleneck of 3 numb"),
    (["A", "B", "--weights", "AUTO", "--steps", "1"], 2, "steps must be at least 2, not 1"),
    (["A", "missing.jpg", "--weights", "AUTO"], 3, "cannot read missing.jpg"),
    (["A", "B", "--bottleneck", "2"], 2, "bottleneck requires auto-encoders, faces has none"),
    (["A", "B", "--bottleneck", "0"], 2, "--bottleneck"),
    (
        ["--class", "8", "--class", "3", "--bottleneck", "2"],
        2,
        "bottleneck cannot be combined with",
    ),
    (
        ["--class", "8", "--class", "3", "--weights", "AUTO"],
        2,
        "auto is an autoencoder: it samples only",
    ),
    (["A", "missing.jpg"], 3, "cannot read missing.jpg: No such file or directory"),
    (["A", __file__], 3, "it is not a picture in a known format"),
    (["A", "-"], 3, "cannot read stdin: it is empty"),
    (["-", "-"], 2, "stdin holds one picture"),
    (["A", "B", "--steps", "1"], 2, "steps must be at least 2, not 1"),
    (["A", "B", "C", "--steps", "2"], 2, "steps must be at least 3, not 2"),
    (["A", "B", "--steps", "1000000"], 2, "1000000 pictures of 16×16 pixels are too many"),
    (["A", "B", "--fps", "5"], 2, "fps requires an animation (-o FILE.gif or FILE.webp)"),
    (["A", "B", "--ping-pong", "-o", "a.png"], 2, "ping_pong requires an animation"),
    (["A", "B", "--fps", "0", "-o", "a.gif"], 2, "--fps"),
    (["A", "B", "-o", "a.mp4"], 2, "a.mp4 is neither a folder nor a .png or .gif or .webp file"),
    (
        ["A", "B", "-o", "a.gif", "--separate"],
        2,
        "a.gif holds all pictures in one animation (--grid)",
    ),
    (["A", "B", "-o", "no/a.gif"], 2, "no folder no"),
    (["A", "B", "-o", "-", "--json"], 2, "stdout cannot take both"),
    (["A", "B", "--temperature", "0"], 2, "temperature must be above 0"),
    (["A", "B", "--device", "gpu"], 2, "no device 'gpu'"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(b[0])[-40:] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run,
    weights: Path,
    face_weights: Path,
    autoencoders: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    says: str,
) -> None:
    def too_late(*_: object) -> None:
        raise AssertionError("weights were loaded first")

    monkeypatch.setattr("pixelgen.pipelines.InterpolatePipeline.from_pretrained", too_late)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO()))
    named = {"A": A, "B": B, "C": C, "CLASSES": weights, "FACES": face_weights}
    named["AUTO"] = autoencoders
    given = [named.get(word, word) for word in words]
    if "--weights" not in words:
        given += ["--weights", weights if "--class" in words else face_weights]
    outcome = run("interpolate", *given)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []
