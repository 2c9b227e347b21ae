"""What is finished when Ctrl-C is pressed, or another signal stops a command, is kept."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

from pixelgen.imaging import path_sheet, png_text, read_image
from pixelgen.pipelines.image_sampler import ImageSampler

from .conftest import Run

FACE, OTHER = sorted((Path(__file__).parents[1] / "assets").glob("*.jpg"))[:2]


@contextmanager
def interrupted(after: int, number: int | None = None) -> Iterator[None]:
    """A context in which Ctrl-C is pressed, or this signal sent, after so many batches."""
    sample_grids = ImageSampler.sample_grids

    def drawn(self: ImageSampler, *given: object, **more: object) -> object:
        batches = sample_grids(self, *given, **more)  # type: ignore[arg-type]
        yield from itertools.islice(batches, after)
        if number is not None:
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageSampler, "sample_grids", drawn)
        yield


def files() -> list[str]:
    """What there is where the commands run."""
    return sorted(path.name for path in Path().iterdir())


def test_nothing_is_shown_to_nobody(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding codes takes as long as drawing: it is done once."""
    shown: list[int] = []
    show = ImageSampler.show
    monkeypatch.setattr(ImageSampler, "show", lambda self, x: shown.append(len(x)) or show(self, x))
    assert run("sample", "-n", 5, "--batch-size", 2, "--weights", weights, "-o", "a.png").code == 0
    assert shown == [2, 2, 1]


def test_files_of_their_own(run: Run, weights: Path) -> None:
    words = ["sample", "-n", 5, "--batch-size", 2, "--separate", "--weights", weights]
    words += ["--seed", 1, "-o", "a.png"]
    assert run(*words).code == 0
    whole = [Path(f"a-{i}.png").read_bytes() for i in range(1, 6)]
    for i in range(1, 6):
        Path(f"a-{i}.png").unlink()
    with interrupted(2):
        outcome = run(*words)
    assert outcome.code == 130
    assert outcome.out.split() == files() == [f"a-{i}.png" for i in range(1, 5)]
    assert outcome.err == "note: interrupted, 4 of 5 pictures are kept\n"
    assert [Path(f"a-{i}.png").read_bytes() for i in range(1, 5)] == whole[:4]
    assert json.loads(png_text(Path("a-3.png"))["parameters"])["picture"] == 2
    assert run(*words).code == 0
    assert Path("a-5.png").read_bytes() == whole[4]


@pytest.mark.parametrize(
    ("words", "network"),
    [
        (["sample"], "weights"),
        (["portrait", FACE], "face_weights"),
        (["complete", FACE, "--keep", "top:50%", "--raw"], "pixel_weights"),
    ],
    ids=["sample", "portrait", "complete"],
)
def test_a_picture_of_all(
    run: Run, request: pytest.FixtureRequest, words: list[object], network: str
) -> None:
    words = [*words, "--weights", request.getfixturevalue(network), "--seed", 1]
    words += ["--batch-size", 1]
    assert run(*words, "-n", 5, "-o", "five.png").code == 0
    with interrupted(5):
        outcome = run(*words, "-n", 6, "-o", "six.png")
    assert (outcome.code, outcome.out) == (130, "six.png\n")
    assert outcome.err == "note: interrupted, 5 of 6 pictures are kept\n"
    assert files() == ["five.png", "six.png"]
    assert png_text(Path("six.png"))["drawn"] == "83%"
    five = read_image("five.png")
    kept = read_image("six.png")
    assert (kept.size, kept.tobytes()) == (five.size, five.tobytes())
    assert run(*words, "-n", 6, "-o", "six.png").code == 0  # it was to become this very picture
    assert "drawn" not in png_text(Path("six.png"))
    whole = Path("six.png").read_bytes()
    with interrupted(5):
        assert (outcome := run(*words, "-n", 6, "-o", "six.png")).code == 130
    assert (outcome.out, outcome.err) == ("", "")
    assert Path("six.png").read_bytes() == whole


def test_photos_that_are_filled(run: Run, pixel_weights: Path) -> None:
    words = ["complete", FACE, "--keep", "top:50%", "-n", 3, "--batch-size", 1, "--seed", 1]
    words += ["--weights", pixel_weights, "-o", "a.png"]
    assert run(*words).code == 0
    whole = [Path(f"a-{i}.png").read_bytes() for i in (1, 2)]
    for i in (1, 2, 3):
        Path(f"a-{i}.png").unlink()
    with interrupted(2):
        outcome = run(*words)
    assert outcome.out.split() == files() == ["a-1.png", "a-2.png"]
    assert [Path(f"a-{i}.png").read_bytes() for i in (1, 2)] == whole


def test_of_candidates_those_that_would_be_chosen(run: Run, face_weights: Path) -> None:
    words = ["portrait", FACE, "--weights", face_weights, "--seed", 1, "--separate", "-n", 3]
    words += ["--candidates", 2, "--batch-size", 1, "-o", "a.png"]
    assert run(*words).code == 0
    whole = [Path(f"a-{i}.png").read_bytes() for i in (1, 2)]
    for i in (1, 2, 3):
        Path(f"a-{i}.png").unlink()
    with interrupted(5):
        outcome = run(*words)
    assert outcome.err == "note: interrupted, 2 of 3 pictures are kept\n"
    assert outcome.out.split() == files() == ["a-1.png", "a-2.png"]
    assert [Path(f"a-{i}.png").read_bytes() for i in (1, 2)] == whole


def test_the_frames_of_a_way_that_is_cut_off_stand_alone(run: Run, face_weights: Path) -> None:
    words = ["interpolate", FACE, OTHER, "--steps", 4, "--batch-size", 2, "--seed", 1]
    words += ["--weights", face_weights]
    assert run(*words, "--separate", "-o", "f.png").code == 0
    frames = [read_image(f"f-{i}.png") for i in (1, 2)]
    with interrupted(1):
        assert run(*words, "-o", "a.png").code == 130
        assert run(*words, "-o", "a.gif").code == 130
    assert read_image("a.png").tobytes() == path_sheet([], frames).tobytes()
    assert "a.gif" not in files()


def test_nothing_is_written_where_nothing_is_finished(run: Run, weights: Path) -> None:
    words = ["sample", "-n", 3, "--batch-size", 2, "--weights", weights]
    with interrupted(0):
        assert (outcome := run(*words, "-o", "a.png")).code == 130
    assert (outcome.out, outcome.err, files()) == ("", "", [])
    with interrupted(1):
        assert (outcome := run(*words, "-o", "-")).code == 130
    assert (outcome.out, outcome.err, files()) == ("", "", [])


def test_json_and_quiet(run: Run, weights: Path) -> None:
    words = ["sample", "-n", 3, "--batch-size", 2, "--weights", weights, "-o", "a.png"]
    with interrupted(1):
        outcome = run(*words, "--json", "--quiet")
    assert (outcome.code, outcome.out, outcome.err, files()) == (130, "", "", ["a.png"])


STOP = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.skipif(os.name != "posix", reason="os.kill ends a process there")
@pytest.mark.parametrize("number", STOP)
def test_every_signal_keeps_them_and_a_second_one_loses_nothing(
    run: Run, weights: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = ImageSampler.show

    def shown(self: ImageSampler, grids: Tensor) -> list[Image.Image]:
        os.kill(os.getpid(), number)  # while the finished ones are decoded
        return show(self, grids)

    monkeypatch.setattr(ImageSampler, "show", shown)
    words = ["sample", "-n", 3, "--batch-size", 2, "--weights", weights, "-o", "a.png"]
    with interrupted(1, number):
        outcome = run(*words)
    assert (outcome.code, outcome.out, files()) == (128 + number, "a.png\n", ["a.png"])
    assert outcome.err == "note: interrupted, 2 of 3 pictures are kept\n"


class GoneTerminal(io.StringIO):
    """A stream whose other end is closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.skipif(os.name != "posix", reason="no SIGHUP")
def test_the_terminal_may_be_gone(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed terminal takes neither notes nor progress, which must not lose the pictures."""
    monkeypatch.setattr("pixelgen.cli.progress._FIRST_SECONDS", 0)
    monkeypatch.setattr("sys.stderr", GoneTerminal())
    monkeypatch.setattr("sys.stdout", GoneTerminal())
    words = ["sample", "-n", 3, "--batch-size", 2, "--weights", weights, "-o", "a.png"]
    with interrupted(1, signal.SIGHUP):
        outcome = run(*words)
    assert (outcome.code, files()) == (129, ["a.png"])
