"""The line about what lasts, and how often it is told."""

from __future__ import annotations

from time import sleep

import pytest

from pixelgen.cli import progress
from pixelgen.cli.progress import ProgressLine
from pixelgen.jobs.rate_limiter import RateLimiter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is: the last entry."""
    times = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[-1])
    return times


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "shows_progress", lambda: True)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


def test_what_is_cheap_is_done_as_often_as_wanted(clock: list[float]) -> None:
    pace = RateLimiter(0.5)
    assert pace.due()
    with pace.spend():
        pass
    for later, due in ((0.4, False), (0.5, True)):
        clock.append(100.0 + later)
        assert pace.due() is due


def test_what_is_dear_takes_a_tenth_of_the_time(clock: list[float]) -> None:
    pace = RateLimiter(0.5)
    with pace.spend():
        clock.append(102.0)
    for now, due in ((119.9, False), (120.0, True)):
        clock.append(now)
        assert pace.due() is due


@pytest.mark.usefixtures("terminal")
def test_the_line_appears_after_two_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine("reading", quiet=False) as meter:
        for done, _ in enumerate(meter.track(range(400))):
            clock.append(100.0 + 100 * done)
            if done == 1:
                assert capsys.readouterr().err == ""
        told = capsys.readouterr().err
    assert "reading" in told
    assert "25% 8:15:00 left" in told
    assert "99% 4:59 left" in told


def test_nothing_is_shown_in_a_file(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressLine("reading", quiet=False) as meter:
        for _ in meter.track("abc"):
            clock.append(clock[-1] + 10)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("terminal")
def test_what_is_inside_of_something_larger_is_about_that(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine("jobs", quiet=False) as jobs, jobs.around():
        jobs(1, 4)
        with ProgressLine("scoring", quiet=True) as inner:
            clock.append(110.0)
            inner(2, 4)
        assert "38% 0:17 left" in capsys.readouterr().err
    with (
        ProgressLine("jobs", quiet=True) as jobs,
        jobs.around(),
        ProgressLine("scoring", quiet=False) as inner,
    ):
        assert not inner.active


@pytest.mark.usefixtures("terminal")
def test_loading_is_told_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.loading_note("quick"):
        pass
    monkeypatch.setattr(progress, "_FIRST_LOADING_SECONDS", 0.01)
    with progress.loading_note("slow"):
        sleep(0.1)
    monkeypatch.setattr(progress, "shows_progress", lambda: False)
    with progress.loading_note("unseen"):
        sleep(0.05)
    assert capsys.readouterr().err == "loading slow\n"
