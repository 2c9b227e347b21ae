"""`pixelgen.load`: one object for whatever the weights can do."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pixelgen
from pixelgen.checkpoints import load_checkpoint, resolve_weights
from pixelgen.cli.errors import exit_code_of
from pixelgen.errors import UsageError
from pixelgen.imaging import cut_hole, read_image, square
from pixelgen.pipelines import (
    ClassPipeline,
    CompletePipeline,
    CompletionRequest,
    InterpolationRequest,
    PortraitPipeline,
    PortraitRequest,
    ReconstructPipeline,
    ReconstructRequest,
    SampleRequest,
    ScorePipeline,
    ScoreRequest,
)
from pixelgen.sampling import SamplingOptions

ASSETS = Path(__file__).parents[1] / "assets"
A, B = ASSETS / "male-12.jpg", ASSETS / "female-6.jpg"

CODED = ("complete", "score", "reconstruct", "encode", "decode")
CAN = {
    "weights": ("sample", "interpolate", "complete", "score"),
    "pixel_weights": ("sample", "interpolate", "complete", "score"),
    "code_weights": ("sample", "interpolate", *CODED),
    "face_weights": ("portrait", "interpolate", *CODED),
    "autoencoders": ("interpolate", "reconstruct"),
}

JOBS: dict[str, dict[str, Any]] = {
    "sample": {},
    "portrait": {"photos": A, "n": 1},
    "interpolate": {"photos": [A, B], "steps": 2},
    "complete": {"photo": A, "keep": "top:50%"},
    "score": {"photos": A},
    "reconstruct": {"photos": A},
    "encode": {"photos": A},
    "decode": {"codes": torch.zeros(1, 2, 4, 4, dtype=torch.int64)},
}


def load(request: pytest.FixtureRequest, name: str) -> pixelgen.Weights:
    return pixelgen.load(request.getfixturevalue(name), "cpu")


@pytest.mark.parametrize("name", CAN)
def test_what_they_can_do_and_nothing_else(name: str, request: pytest.FixtureRequest) -> None:
    weights = load(request, name)
    assert weights.can == CAN[name]
    assert all(job in repr(weights) for job in weights.can)
    for job, given in JOBS.items():
        if job == "interpolate" and len(weights.classes) > 1:
            given = {"classes": weights.classes, "steps": 3}
        if job in weights.can:
            assert getattr(weights, job)(**given)
            continue
        with pytest.raises(pixelgen.PixelgenError) as caught:
            getattr(weights, job)(**given)
        assert weights.name in str(caught.value)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, UsageError)


def test_samples(weights: Path) -> None:
    loaded = pixelgen.load(weights, "cpu")
    assert (loaded.name, loaded.size, loaded.classes) == ("tiny", (4, 4), (8, 207))
    assert loaded.revision.startswith("sha256:")
    drawn = loaded.sample(["hen", 207], n=2, seed=3, temperature=0.8)
    request = SampleRequest.from_options(
        loaded.config, "tiny", classes=[8, 207], n=2, seed=3, temperature=0.8
    )
    expected = ClassPipeline.from_pretrained(weights, "cpu").run(request)
    assert [one.image.tobytes() for one in drawn] == [i.tobytes() for i in expected.images]
    assert [one.bits_per_dim for one in drawn] == expected.bits_per_dim == drawn.bits_per_dim
    assert drawn.classes == [8, 8, 207, 207]
    assert (drawn.seed, drawn.parameters) == (3, request.parameters())
    assert [one.label for one in drawn] == [8, 8, 207, 207]
    assert {one.seed for one in drawn} == {3}


def test_one_is_as_good_as_a_list_of_one(weights: Path) -> None:
    loaded = pixelgen.load(str(weights), torch.device("cpu"))
    alone = [loaded.sample(given, seed=1)[0] for given in (207, "golden retriever", [207], (207,))]
    assert len({one.image.tobytes() for one in alone}) == 1
    assert len({one.bits_per_dim for one in (*loaded.score(A), *loaded.score([A]))}) == 1


def test_a_drawn_seed_draws_the_same_again(weights: Path) -> None:
    loaded = pixelgen.load(resolve_weights(weights), "cpu")
    (once,) = loaded.sample()
    assert once.label is None
    assert loaded.sample(seed=once.seed)[0].image.tobytes() == once.image.tobytes()


def test_progress(weights: Path) -> None:
    seen: list[int] = []
    pixelgen.load(weights, "cpu").sample(on_step=lambda moment: seen.append(moment.done))
    assert seen == list(range(17))


def test_portraits(face_weights: Path) -> None:
    loaded = pixelgen.load(face_weights, "cpu")
    drawn = loaded.portrait(A, n=2, seed=3)
    pipe = PortraitPipeline.from_pretrained(face_weights, "cpu")
    request = PortraitRequest.for_person(loaded.config, "faces", 1, 2, seed=3)
    expected = pipe.run(request, [pipe.crop(read_image(A))])
    assert [one.image.tobytes() for one in drawn] == [i.tobytes() for i in expected.images]
    assert [one.similarity for one in drawn] == expected.similarity
    assert [i.tobytes() for i in drawn[0].sources] == [i.tobytes() for i in expected.sources]
    assert [one.bits_per_dim for one in drawn] == expected.bits_per_dim
    frames = loaded.interpolate([A, B], steps=3, slerp=True, seed=3)
    path = PortraitRequest.for_path(loaded.config, "faces", 2, 3, slerp=True, seed=3)
    between = pipe.run(path, [pipe.crop(A), pipe.crop(B)])
    assert [one.image.tobytes() for one in frames] == [i.tobytes() for i in between.images]
    assert all(isinstance(one, pixelgen.Portrait) for one in frames)


def test_frames_between_classes_and_pictures(weights: Path, autoencoders: Path) -> None:
    frames = pixelgen.load(weights, "cpu").interpolate(classes=[8, 207], steps=3, seed=1)
    classes = SampleRequest.from_options(
        load_checkpoint(weights).config, "tiny", classes=[8, 207], steps=3, seed=1
    )
    expected = ClassPipeline.from_pretrained(weights, "cpu").run(classes)
    assert [one.image.tobytes() for one in frames] == [i.tobytes() for i in expected.images]
    assert [(one.label, one.seed) for one in frames] == [(None, 1)] * 3

    loaded = pixelgen.load(autoencoders, "cpu")
    frames = loaded.interpolate([A, B], steps=3, seed=1, bottleneck=2, fit="stretch")
    pipe = ReconstructPipeline.from_pretrained(autoencoders, "cpu")
    path = InterpolationRequest.from_options(loaded.config, "auto", 2, 3, bottleneck=2, seed=1)
    between = pipe.run_path(path, [square(read_image(photo), 8, "stretch") for photo in (A, B)])
    assert [one.image.tobytes() for one in frames] == [i.tobytes() for i in between.images]
    assert [one.bits_per_dim for one in frames] == between.bits_per_dim
    assert all(isinstance(one, pixelgen.Frame) for one in frames)


def test_completions(pixel_weights: Path) -> None:
    loaded = pixelgen.load(pixel_weights, "cpu")
    made = loaded.complete(A, box=(0, 0, 60, 60), classes=207, n=2, refine=2, seed=3, raw=True)
    request = CompletionRequest.from_options(
        loaded.config, "pixels", classes=[207], n=2, refine=2, seed=3
    )
    hole = cut_hole(read_image(A), 8, box=(0, 0, 60, 60))
    expected = CompletePipeline.from_pretrained(pixel_weights, "cpu").run(request, hole)
    assert [one.image.tobytes() for one in made] == [i.tobytes() for i in expected.images]
    assert [one.effective for one in made] == expected.effective
    assert [(one.label, one.seed) for one in made] == [(207, 3)] * 2
    assert made[0].original.tobytes() == expected.original.tobytes()
    assert made[0].masked.tobytes() == expected.masked.tobytes()
    white = Image.new("L", read_image(A).size, "white")
    with pytest.warns(UserWarning, match="everything that the weights see is hidden"):
        made = loaded.complete(A, mask=white, seed=3)
    assert made[0].image.tobytes() == loaded.sample(seed=3, guidance=1.0)[0].image.tobytes()


def test_scores(pixel_weights: Path) -> None:
    loaded = pixelgen.load(pixel_weights, "cpu")
    scores = loaded.score([A, B], label="hen", classify=True)
    pipe = ScorePipeline.from_pretrained(pixel_weights, "cpu")
    request = ScoreRequest.from_options(loaded.config, "pixels", label=8, classify=True)
    expected = pipe.run(request, [read_image(A), read_image(B)]).scores
    assert [one.bits for one in scores] == [one.bits for one in expected]
    assert [one.ranking for one in scores] == [one.ranking for one in expected]


def test_reconstructions(autoencoders: Path) -> None:
    loaded = pixelgen.load(autoencoders, "cpu")
    made = loaded.reconstruct([A, B], n=2, seed=3)
    assert [(one.bottleneck, len(one.samples), one.seed) for one in made] == [
        (bottleneck, 2, 3) for _ in (A, B) for bottleneck in (2, 5)
    ]
    pipe = ReconstructPipeline.from_pretrained(autoencoders, "cpu")
    request = ReconstructRequest.from_options(loaded.config, "auto", n=2, seed=3)
    rows = pipe.run(request, [square(read_image(photo), 8) for photo in (A, B)]).rows()
    shown = [(one.source, one.image, *one.samples) for one in made]
    assert [i.tobytes() for i in (*shown[0], *shown[1][1:])] == [i.tobytes() for i in rows[0]]
    (one,) = loaded.reconstruct(A, 1, bottlenecks=2, cut="patches", longest=20)
    assert max(one.image.size) == 20


def test_codes(code_weights: Path, tmp_path: Path) -> None:
    loaded = pixelgen.load(code_weights, "cpu")
    made = loaded.encode([A, read_image(B)])
    assert made.codes.shape == (2, 2, 4, 4)
    assert made.files == (A.name, "")
    made.save(str(tmp_path / "a.safetensors"))
    shown = [i.tobytes() for i in loaded.decode(made)]
    assert [i.tobytes() for i in loaded.decode(made.codes)] == shown
    assert [i.tobytes() for i in loaded.decode(tmp_path / "a.safetensors")] == shown
    assert [i.source.size for i in loaded.reconstruct(A)] == [(16, 16)]
    assert loaded.reconstruct(A)[0].seed is None


def test_pictures_are_taken_as_they_are_and_files_turned(
    pixel_weights: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    read_image(A).save(tmp_path / "a.png", exif=exif)
    loaded = pixelgen.load(pixel_weights, "cpu")
    with Image.open(tmp_path / "a.png") as flat:
        assert loaded.score(flat)[0].bits == loaded.score(A)[0].bits
        turned = flat.transpose(Image.Transpose.ROTATE_180)
    assert loaded.score(tmp_path / "a.png")[0].bits == loaded.score(turned)[0].bits
    clear = read_image(A).convert("RGBA")
    clear.putalpha(0)
    white = Image.new("RGB", clear.size, "white")
    assert loaded.score(clear)[0].bits == loaded.score(white)[0].bits


def png(shown: object) -> Image.Image:
    """What a notebook shows."""
    return Image.open(io.BytesIO(shown._repr_png_()))  # type: ignore[attr-defined]


def test_results_are_sequences_that_show_themselves(
    weights: Path, autoencoders: Path, pixel_weights: Path
) -> None:
    drawn = pixelgen.load(weights, "cpu").sample([8, 207], n=2, seed=1)
    assert len(drawn) == 4
    assert drawn[-1] is [*drawn][3]
    assert drawn[1:3] == [drawn[1], drawn[2]]
    assert repr(drawn).startswith("<SampleResult of 4 in ")
    assert png(drawn[2]).tobytes() == drawn.images[2].tobytes()
    assert png(drawn).size == (4 + 2 + 4, 4 + 2 + 4)
    made = pixelgen.load(autoencoders, "cpu").reconstruct([A, B], n=2, seed=1)
    assert png(made[0]).size == (8 * 4 + 3 * 2, 8)
    assert png(made).size == (8 * 7 + 6 * 2, 8 * 2 + 2)
    scores = pixelgen.load(pixel_weights, "cpu").score([A, B])
    assert png(scores).height > png(scores[0]).height > 8
    assert pixelgen.load(pixel_weights, "cpu").score([])._repr_png_() is None


def test_every_kind_of_result_is_a_picture_in_a_notebook(request: pytest.FixtureRequest) -> None:
    results: list[Any] = [
        load(request, name).__getattribute__(job)(**{"seed": 1} | JOBS[job] | options)
        for name, job, options in (
            ("weights", "sample", {}),
            ("weights", "interpolate", {"photos": [], "classes": [8, 207]}),
            ("face_weights", "portrait", {"aligned": True}),
            ("face_weights", "interpolate", {"aligned": True}),
            ("autoencoders", "interpolate", {}),
            ("pixel_weights", "complete", {}),
            ("pixel_weights", "complete", {"raw": True}),
            ("autoencoders", "reconstruct", {"n": 1}),
            ("code_weights", "reconstruct", {"seed": None}),
        )
    ]
    results.append(load(request, "pixel_weights").score(A))
    shown: list[Any] = [*results, *(one for result in results for one in result)]
    for one in shown:
        picture = png(one)
        assert picture.format == "PNG"
        assert picture.tobytes() == one.sheet().tobytes()
    public = {
        kind
        for name in pixelgen.__all__
        if isinstance(kind := getattr(pixelgen, name), type) and hasattr(kind, "sheet")
    }
    assert public == {type(one) for one in shown}
    ended = {name for name in pixelgen.__all__ if name.endswith("Result")} - {"JobResult"}
    assert ended <= {kind.__name__ for kind in public}


def test_too_many_scores_for_a_sheet_are_text_in_a_notebook(pixel_weights: Path) -> None:
    result = pixelgen.load(pixel_weights, "cpu").score(A)
    many = replace(result, items=result.items * 100_000)
    assert many._repr_png_() is None
    assert repr(many).startswith("<ScoreResult of 100000 in ")


def broken() -> Image.Image:
    return Image.open(io.BytesIO(A.read_bytes()[:3000]))


BAD = [
    ("weights", "sample", {"classes": [3]}, 2, "tiny was not trained on class 3"),
    ("weights", "sample", {"classes": 5.5}, 2, "no class '5.5'"),
    ("weights", "sample", {"n": 0}, 2, "n must be at least 1, not 0"),
    ("weights", "sample", {"n": 1.5}, 2, "n must be a whole number, not 1.5"),
    ("weights", "sample", {"n": "2"}, 2, "n must be a whole number, not '2'"),
    ("weights", "sample", {"seed": -1}, 2, "seed must be at least 0"),
    ("weights", "sample", {"temperature": float("nan")}, 2, "temperature must be finite"),
    ("weights", "sample", {"temperature": [1]}, 2, "temperature must be a number, not [1]"),
    ("weights", "sample", {"candidates": 2}, 2, "candidates has no effect"),
    ("weights", "sample", {"vector_temperature": 2}, 2, "vector_temperature has no effect"),
    ("weights", "interpolate", {}, 2, "photos or classes must be given"),
    ("weights", "interpolate", {"classes": ["hen"]}, 2, "at least 2 classes"),
    (
        "weights",
        "interpolate",
        {"classes": [8, 207], "photos": [A]},
        2,
        "a photo cannot be combined",
    ),
    (
        "weights",
        "interpolate",
        {"classes": [8, 207], "slerp": True},
        2,
        "slerp cannot be combined with",
    ),
    ("weights", "complete", {"photo": A}, 2, "one part must be named: mask, box or keep"),
    ("weights", "complete", {"photo": A, "keep": 0.5}, 2, "'0.5' is not a part of a picture"),
    ("weights", "complete", {"photo": A, "box": (1, 2)}, 2, "'1,2' is not a box"),
    ("weights", "complete", {"photo": A, "box": 5}, 2, "'5' is not a box"),
    ("weights", "complete", {"photo": A, "box": "all"}, 2, "'all' is not a box"),
    ("weights", "complete", {"photo": A, "box": (0, 0, 0, 4)}, 2, "is empty"),
    ("weights", "complete", {"photo": 3, "keep": "top:5%"}, 2, "a photo is a path or a PIL pic"),
    ("weights", "score", {"photos": "no.jpg"}, 3, "cannot read no.jpg: No such file"),
    ("weights", "score", {"photos": __file__}, 3, "it is not a picture"),
    ("weights", "score", {"photos": [broken]}, 3, "cannot read the picture: "),
    ("weights", "score", {"photos": A, "fit": "pad"}, 2, "fit must be crop or stretch"),
    ("face_weights", "portrait", {"photos": []}, 2, "a photo must be given"),
    ("face_weights", "portrait", {"photos": A, "face": 9}, 2, "no number 9"),
    ("face_weights", "portrait", {"photos": A, "face": "2"}, 2, "a whole number, not '2'"),
    ("face_weights", "interpolate", {"photos": [A, B], "face": 1.0}, 2, "number, not 1.0"),
    ("face_weights", "interpolate", {"photos": A}, 2, "at least 2 photos"),
    (
        "face_weights",
        "interpolate",
        {"photos": [A, B], "bottleneck": 2},
        2,
        "bottleneck requires auto",
    ),
    (
        "autoencoders",
        "interpolate",
        {"photos": [A, B], "aligned": True},
        2,
        "aligned requires weights of faces",
    ),
    ("autoencoders", "reconstruct", {"photos": A, "bottlenecks": 3}, 2, "no bottleneck of 3"),
    (
        "autoencoders",
        "reconstruct",
        {"photos": A, "cut": "patches", "longest": 0},
        2,
        "longest must be at least 1, not 0",
    ),
    (
        "autoencoders",
        "reconstruct",
        {"photos": A, "cut": "patches", "longest": 33.3},
        2,
        "longest must be a whole number, not 33.3",
    ),
    ("weights", "sample", {"n": np.array([1.5])}, 2, "n must be a whole number, not array([1.5])"),
    ("code_weights", "decode", {"codes": [1]}, 3, "codes are a tensor, not list"),
    ("code_weights", "decode", {"codes": __file__}, 3, "cannot read"),
    ("code_weights", "decode", {"codes": torch.zeros(1, 3, 4, 4).long()}, 3, "do not fit coded"),
]


@pytest.mark.parametrize(("name", "job", "given", "code", "says"), BAD)
def test_bad_input_is_one_clear_line(
    name: str,
    job: str,
    given: dict[str, Any],
    code: int,
    says: str,
    request: pytest.FixtureRequest,
) -> None:
    weights = load(request, name)
    if given.get("photos") == [broken]:
        given = {"photos": broken()}
    with pytest.raises(pixelgen.PixelgenError) as caught:
        getattr(weights, job)(**given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert exit_code_of(caught.value) == code


@pytest.mark.parametrize("ref", ["nothing-of-this-name", "no/such folder", 5, None, __file__])
def test_weights_that_are_not_there(ref: Any) -> None:
    with pytest.raises(pixelgen.PixelgenError) as caught:
        pixelgen.load(ref)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError)


def test_devices_that_are_not_there(weights: Path) -> None:
    with pytest.raises(pixelgen.PixelgenError, match="no device 'gpu'"):
        pixelgen.load(weights, "gpu")


def test_numbers_of_numpy_are_numbers(weights: Path) -> None:
    loaded = pixelgen.load(weights, "cpu")
    (drawn,) = loaded.sample(np.array([207]), seed=np.int64(1))  # type: ignore[arg-type]
    assert drawn.image.tobytes() == loaded.sample(207, seed=1)[0].image.tobytes()


def test_numbers_of_numpy_are_recorded_as_plain_ones(
    weights: Path, pixel_weights: Path, face_weights: Path, autoencoders: Path
) -> None:
    numbers: list[Any] = [np.int64(number) for number in (1, 2, 3)]
    one, two, three = numbers
    drawn: dict[str, Any] = {"seed": one, "batch_size": two}
    some = pixelgen.load(weights, "cpu")
    faces, auto = pixelgen.load(face_weights, "cpu"), pixelgen.load(autoencoders, "cpu")
    candidates = replace(some.config, sampling=SamplingOptions(candidates=4))
    requests: list[Any] = [
        SampleRequest.from_options(candidates, "tiny", classes=[two * 4], n=two, **drawn),
        some.interpolate(classes=[8, 207], steps=three, **drawn),
        pixelgen.load(pixel_weights, "cpu").complete(A, keep="top:50%", n=two, refine=two, **drawn),
        PortraitRequest.for_person(faces.config, "faces", 1, two, candidates=two, **drawn),
        PortraitRequest.for_path(faces.config, "faces", 2, three, **drawn),
        auto.reconstruct(A, one, bottlenecks=[two], **drawn),
        InterpolationRequest.from_options(auto.config, "a", 2, three, bottleneck=two, **drawn),
    ]
    for request in requests:
        recorded = request.parameters
        assert json.dumps(recorded() if callable(recorded) else recorded)


def test_a_loaded_checkpoint_is_enough(weights: Path) -> None:
    loaded = pixelgen.Weights(load_checkpoint(weights))
    assert loaded.ref == str(weights)
    assert loaded.sample(seed=1)


def test_importing_brings_nothing_heavy_along() -> None:
    code = (
        "import sys, pixelgen; dir(pixelgen); "
        "heavy = {'torch', 'numpy', 'PIL', 'safetensors', 'huggingface_hub'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "pixelgen.load; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_everything_it_offers_is_there() -> None:
    assert all(getattr(pixelgen, name) is not None for name in pixelgen.__all__)
    assert set(pixelgen.__all__) <= set(dir(pixelgen))
