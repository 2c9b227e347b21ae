"""Pictures that are seen growing: `--live`, `--watch` and `--animate`, on random weights."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixelgen.cli import progress
from pixelgen.cli import run as cli_run
from pixelgen.errors import PixelgenError
from pixelgen.imaging import picture_text, png_text, upscaler
from pixelgen.jobs import preview
from pixelgen.pipelines import ClassPipeline, SamplingProgress

from .conftest import Run

FACE = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))[0]
GREY = (128, 128, 128)

Command = Callable[[pytest.FixtureRequest], list[object]]


def drawing(weights: str, *words: object) -> Command:
    return lambda request: [*words, "--seed", 1, "--weights", request.getfixturevalue(weights)]


COMMANDS = {
    "pixels": drawing("weights", "sample", "-c", 8, "-n", 3, "--batch-size", 2),
    "codes": drawing("code_weights", "sample", "-c", 8, "-c", 207, "-n", 2),
    "portrait": drawing("face_weights", "portrait", FACE, "-n", 3, "--no-align"),
    "complete": drawing(
        "pixel_weights", "complete", FACE, "--keep", "top:50%", "--raw", "--scale", 2
    ),
    "complete-codes": drawing("code_weights", "complete", FACE, "--keep", "left:50%", "--raw"),
    "refine": drawing(
        "pixel_weights", "complete", FACE, "--keep", "top:50%", "--raw", "--refine", 3
    ),
    "reconstruct": drawing("autoencoders", "reconstruct", FACE, "-n", 2),
    "patches": drawing("autoencoders", "reconstruct", FACE, "-n", 1, "--patches", "--max-side", 20),
    "interpolate": drawing("weights", "interpolate", "-c", 8, "-c", 207, "--steps", 3),
}


def frames_of(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """The frames of an animation, and how long each is shown in ms."""
    frames, durations = [], []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(int(image.info["duration"]))
    return frames, durations


def always(_: progress.RateLimiter) -> bool:
    return True


def greys(frame: np.ndarray) -> int:
    return int((frame == GREY).all(-1).sum())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_growth_and_draws_the_same(
    run: Run, request: pytest.FixtureRequest, name: str
) -> None:
    words = COMMANDS[name](request)
    assert run(*words, "-o", "plain.png").code == 0
    seen = ["--watch", "watch.png", "--animate", "grow.webp"]
    outcome = run(*words, "-o", "a.png", *seen)
    assert (outcome.code, outcome.out) == (0, "a.png\ngrow.webp\n"), outcome.err
    assert Path("a.png").read_bytes() == Path("plain.png").read_bytes()
    assert Path("watch.png").read_bytes() == Path("a.png").read_bytes()
    frames, durations = frames_of(Path("grow.webp"))
    assert 4 < len(frames) <= preview._FRAMES
    assert (frames[-1] == np.asarray(Image.open("a.png").convert("RGB"))).all()
    assert durations[-1] > 1000 > max(durations[:-1])
    hidden = [greys(frame) for frame in frames]
    # More and more of the picture is there; the means come last.
    assert hidden == sorted(hidden, reverse=True)
    assert hidden[0] > hidden[len(hidden) // 2] > hidden[-1]
    assert sorted(p.name for p in Path().iterdir()) == [
        *("a.png", "grow.webp", "plain.png", "watch.png")
    ]


def test_the_first_frame_shows_what_is_known(run: Run, request: pytest.FixtureRequest) -> None:
    words = COMMANDS["complete"](request)
    assert run(*words, "-n", 1, "-o", "a.png", "--animate", "grow.png").code == 0
    first = frames_of(Path("grow.png"))[0][0]
    masked, completion = first[:, 20:36], first[:, 40:]
    assert (completion == masked).all()
    assert greys(completion) == 8 * 16


def test_of_pixels_those_drawn_stay_as_they_are(run: Run, request: pytest.FixtureRequest) -> None:
    words = COMMANDS["pixels"](request)
    assert run(*words, "-o", "a.png", "--animate", "grow.png").code == 0
    *growing, last = frames_of(Path("grow.png"))[0]
    for frame in growing:
        drawn = (frame != GREY).any(-1)
        assert (frame[drawn] == last[drawn]).all()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_says_how_it_was_made(run: Run, weights: Path, suffix: str) -> None:
    path = Path(f"grow{suffix}")
    words = ["sample", "-c", 8, "--weights", weights, "-o", "a.png", "--animate", path]
    assert run(*words, "--seed", 1).code == 0
    text = picture_text(path)
    assert (text["seed"], text["weights"]) == ("1", "tiny")
    assert json.loads(text["parameters"])["growth"] == {"fps": preview._FPS}
    before = path.read_bytes()
    assert run(*words, "--seed", 1).code == 0
    assert path.read_bytes() == before


def test_frames_are_bounded_in_number_and_memory(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sample", "-n", 20, "--batch-size", 3, "--weights", weights, "-q"]
    assert run(*words, "--animate", "a.gif").code == 0
    assert len(frames_of(Path("a.gif"))[0]) <= preview._FRAMES
    side = 5 * (4 + 2) - 2
    monkeypatch.setattr(preview, "_MOST_PIXELS", 7 * side * 22)
    assert run(*words, "--animate", "b.webp").code == 0
    assert len(frames_of(Path("b.webp"))[0]) <= 7


def test_codes_are_not_decoded_more_often_than_is_worth_it(
    run: Run, code_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_MOST_DECODED", 10)
    monkeypatch.setattr(preview, "_FEWEST", 3)
    for n, frames in ((2, 5), (8, 3)):
        path = f"{n}.webp"
        words = ["sample", "-n", n, "--weights", code_weights, "--animate", path]
        assert run(*words).code == 0
        assert len(frames_of(Path(path))[0]) == frames


def test_a_watched_file_that_is_held_by_a_viewer(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have shown is drawn all the same, and is in the file in the end."""
    real, refused = preview.save_png, 0

    def held(path: Path, *rest: Any) -> Path:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise PixelgenError(f"cannot write {path}: permission denied")
        return real(path, *rest)

    monkeypatch.setattr(preview, "save_png", held)
    monkeypatch.setattr(progress.RateLimiter, "due", always)
    words = ["sample", "--weights", weights, "--seed", 1, "--watch", "w.png", "-o", "a.png"]
    outcome = run(*words)
    assert (outcome.code, refused) == (0, 3), outcome.err
    assert Path("w.png").read_bytes() == Path("a.png").read_bytes()


def test_a_watched_file_is_whole_at_any_time(
    run: Run, code_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.RateLimiter, "due", always)
    seen: list[tuple[str, int]] = []
    inner = preview.save_png

    def watched(path: Path, *rest: Any) -> Path:
        made = inner(path, *rest)
        with Image.open(path) as image:
            seen.append((png_text(path).get("drawn", "all"), greys(np.asarray(image))))
        return made

    monkeypatch.setattr(preview, "save_png", watched)
    words = ["sample", "-c", 8, "--weights", code_weights, "-o", "a.png"]
    assert run(*words, "--watch", "w.png").code == 0
    shares = [f"{done / 16:.0%}" for done in range(16)]
    assert seen == [
        *((share, 16 * (16 - done)) for done, share in enumerate(shares)),
        ("all", 0),
    ]
    assert "drawn" not in png_text(Path("w.png"))


def test_files_are_rewritten_now_and_then_only(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_REWRITTEN", 1000.0)
    written: list[Path] = []
    inner = preview.save_png

    def counted(path: Path, *rest: Any) -> Path:
        written.append(path)
        return inner(path, *rest)

    monkeypatch.setattr(preview, "save_png", counted)
    assert run("sample", "-n", 5, "--weights", weights, "--watch", "w.png").code == 0
    assert written == [Path("w.png")] * 2


def test_an_interrupted_drawing_leaves_what_was_seen(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sample", "--seed", 1, "--weights", weights, "--watch", "w.png", "-o", "a.png"]
    with monkeypatch.context() as patch:
        inner = preview._update

        def second(images: list[Image.Image], moment: SamplingProgress) -> None:
            if images:
                raise KeyboardInterrupt
            inner(images, moment)

        patch.setattr(preview, "_update", second)
        patch.setattr(progress.RateLimiter, "due", always)
        assert run(*words).code == 130
    assert [p.name for p in Path().iterdir()] == ["w.png"]
    assert png_text(Path("w.png"))["drawn"] == "0%"
    assert run(*words).code == 0  # it was to become this very picture
    assert Path("w.png").read_bytes() == Path("a.png").read_bytes()


def test_nobody_is_told_where_nobody_looks(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    inner = ClassPipeline.run

    def spied(self: ClassPipeline, request: Any, on_step: Any = None) -> Any:
        told.append(on_step)
        return inner(self, request, on_step)

    monkeypatch.setattr(ClassPipeline, "run", spied)
    assert run("sample", "--weights", weights, "-o", "a.png").code == 0
    assert run("sample", "--weights", weights, "-o", "b.png", "--watch", "w.png").code == 0
    assert told[0] is None
    assert told[1] is not None


def test_json_names_the_files(run: Run, weights: Path) -> None:
    words = ["sample", "--weights", weights, "-o", "a.png", "--json"]
    facts = json.loads(run(*words, "--seed", 1).out)
    assert (facts["watch"], facts["animation"]) == (None, None)
    seen = ["--watch", "w.png", "--animate", "g.gif", "--force"]
    facts = json.loads(run(*words, *seen, "--seed", 2).out)
    assert (facts["files"], facts["watch"], facts["animation"]) == (["a.png"], "w.png", "g.gif")


def test_existing_files_are_replaced_only_by_force(run: Run, weights: Path) -> None:
    common = ["sample", "--weights", weights, "--watch", "w.png", "--animate", "g.gif"]
    assert run(*common, "--seed", 1, "-o", "a.png").code == 0
    before = Path("w.png").read_bytes(), Path("g.gif").read_bytes()
    outcome = run(*common, "--seed", 2, "-o", "b.png")
    assert (outcome.code, outcome.err) == (2, "error: w.png exists (--force replaces it)\n")
    words = ["sample", "--weights", weights, "--animate", "g.gif", "--seed", 2, "-o", "b.png"]
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (2, "error: g.gif exists (--force replaces it)\n")
    assert before == (Path("w.png").read_bytes(), Path("g.gif").read_bytes())
    assert not Path("b.png").exists()
    assert run(*common, "--seed", 2, "-o", "b.png", "--force").code == 0
    assert Path("w.png").read_bytes() != before[0]
    assert Path("g.gif").read_bytes() != before[1]


BAD = [
    (["--watch", "/nonexistent/w.png"], "no folder /nonexistent"),
    (["--watch", "w.jpg"], "w.jpg is not a .png file"),
    (["--watch", "-"], "- is not a .png file"),
    (["--watch", ""], ". is a folder"),
    (["--watch", ".."], ".. is a folder"),
    (["--animate", "g.mp4"], "g.mp4 is not a .gif or .webp or .png file"),
    (["--animate", "nowhere/g.gif"], "no folder nowhere"),
    (["--animate", "g.png", "--watch", "./g.png"], "g.png is given for two outputs"),
    (["--watch", "a.png", "-o", "a.png"], "a.png is given for two outputs"),
    (["--live"], "--live needs a terminal: stderr is not one (--watch FILE.png)"),
    (["--live", "-o", "-"], "--live needs a terminal: stderr is not one (--watch FILE.png)"),
    (["--live", "--quiet"], "--live cannot be combined with --quiet"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(b[0])[:30] for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run, weights: Path, words: list[str], says: str
) -> None:
    outcome = run("sample", "--weights", weights, *words)
    assert outcome.err == f"error: {says}\n"
    assert (outcome.code, outcome.out) == (2, "")
    assert list(Path().iterdir()) == []


def test_what_is_made_at_once_does_not_grow(run: Run, code_weights: Path) -> None:
    outcome = run("reconstruct", FACE, "--weights", code_weights, "--animate", "g.gif")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: coded makes pictures in one step: there is nothing to preview "
        "(leave out --watch and --animate)\n"
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is a terminal with colours."""
    monkeypatch.setattr(progress, "shows_progress", lambda: True)
    monkeypatch.setattr(cli_run, "on_terminal", lambda: True)
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", ["pixels", "codes", "complete-codes"])
def test_the_terminal_shows_the_same_picture(
    run: Run, request: pytest.FixtureRequest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = COMMANDS[name](request)
    assert run(*words, "-o", "plain.png", "--no-live").code == 0
    monkeypatch.setattr(progress.RateLimiter, "due", always)
    outcome = run(*words, "-o", "a.png")
    assert (outcome.code, outcome.out) == (0, "a.png\n")
    assert "▀" in outcome.err
    assert "left" in outcome.err
    assert Path("a.png").read_bytes() == Path("plain.png").read_bytes()


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", ["pixels", "complete", "reconstruct"])
def test_the_finished_pictures_stay(
    run: Run, request: pytest.FixtureRequest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = COMMANDS[name](request)
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    outcome = run(*words, "-o", "a.png")
    (keys, data), *more = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", outcome.err)
    shown = Image.open(io.BytesIO(base64.b64decode(data + "".join(part for _, part in more))))
    with Image.open("a.png") as drawn:
        assert shown.size[0] % drawn.size[0] == shown.size[1] % drawn.size[1] == 0
        assert shown.resize(drawn.size, Image.Resampling.NEAREST).tobytes() == drawn.tobytes()
    assert keys.startswith("a=T")
    for hidden in ("--quiet", "--json", "--no-live"):
        assert "\x1b_G" not in run(*words, "-o", "a.png", hidden).err


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", ["pixels", "reconstruct"])
def test_finished_pictures_are_upscaled_once(
    run: Run, request: pytest.FixtureRequest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaled: list[bytes] = []

    def counted(image: Image.Image, scale: int) -> Image.Image:
        upscaled.append(image.tobytes())
        return image.resize((image.width * scale, image.height * scale))

    monkeypatch.setattr(upscaler, "upscale", counted)
    words = [*COMMANDS[name](request), "--scale", 2, "--resample", "learned"]
    outcome = run(*words, "-o", "a.png", "--watch", "w.png")
    assert outcome.code == 0, outcome.err
    assert Path("w.png").exists()
    assert "▀" in outcome.err
    assert len(upscaled) == len({*upscaled})


@pytest.mark.usefixtures("terminal")
def test_quiet_json_and_no_live_show_nothing(run: Run, weights: Path) -> None:
    words = ["sample", "--weights", weights]
    for more in (["--quiet"], ["--json"], ["--no-live"]):
        assert "▀" not in run(*words, *more).err
    assert "▀" in run(*words, "--json", "--live").err


@pytest.mark.usefixtures("terminal")
def test_what_lasts_has_a_line_with_the_time_left(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sample", "-n", 3, "--weights", weights, "--no-live"]
    assert "drawing" not in run(*words).err
    monkeypatch.setattr(progress.RateLimiter, "due", always)
    outcome = run(*words)
    assert "drawing" in outcome.err
    assert "0:00 left" in outcome.err


@pytest.mark.usefixtures("terminal")
def test_without_colours_there_is_no_picture(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    words = ["sample", "--weights", weights]
    assert "▀" not in run(*words).err
    outcome = run(*words, "--live")
    assert outcome.code == 2
    assert "--live needs a terminal: it has no colours" in outcome.err


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_a_real_terminal(weights: Path, tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    words = ["-m", "pixelgen", "sample", "--weights", str(weights), "--seed", "1", "--live"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, *words, "-o", str(tmp_path / "a.png")],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not part:
                break
            seen += part
        out = process.communicate(timeout=60)[0]
    os.close(ours)
    assert process.returncode == 0
    assert out.decode().strip() == str(tmp_path / "a.png")
    assert "▀".encode() in seen
    assert b"bits/dim" in seen


def test_an_animation_that_is_too_large_is_told_at_once(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(preview._LONGEST, ".webp", 20)
    words = ["sample", "--weights", weights, "-n", 9, "--scale", 8, "-o", "a.png"]
    outcome = run(*words, "--animate", "g.webp")
    assert outcome.code == 2
    assert outcome.err.startswith("error: g.webp would be ")
    assert "its kind ends at 20" in outcome.err
    assert list(Path().iterdir()) == []
