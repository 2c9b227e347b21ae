"""Stop signals: what they raise, what repeats them, and what ignores them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from pixelgen import signals
from pixelgen.signals import STOP_SIGNALS, StopRequested, StopSignals

pytestmark = [
    pytest.mark.usefixtures("usual_signals"),
    pytest.mark.skipif(os.name != "posix", reason="os.kill ends a process there"),
]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock on."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def send(number: int) -> None:
    """The signal, from outside."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_signal_raises_and_a_repetition_does_not(
    number: signal.Signals, wait: Callable[[float], None]
) -> None:
    with StopSignals() as stop:
        with pytest.raises(StopRequested):
            send(number)
        wait(0.05)
        for other in STOP_SIGNALS:
            send(other)
        wait(signals.REPEAT_SECONDS)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert stop.received == [number, signal.SIGINT]


def test_a_deferred_signal_is_recorded_and_a_later_one_raises(
    wait: Callable[[float], None],
) -> None:
    with StopSignals() as outer:
        with StopSignals(deferred=True) as stop:
            assert stop.received == []
            send(signal.SIGTERM)
            send(signal.SIGTERM)
            assert stop.received == outer.received == [signal.SIGTERM]
            wait(signals.REPEAT_SECONDS)
            with pytest.raises(StopRequested):
                send(signal.SIGTERM)
        send(signal.SIGTERM)  # still a repetition


def test_work_that_may_be_cut_off(wait: Callable[[float], None]) -> None:
    done = []

    def work() -> None:
        done.append("begun")
        send(signal.SIGTERM)
        done.append("finished")

    with StopSignals(deferred=True) as stop:
        stop.unless_stopped(lambda: done.append("whole"))
        stop.unless_stopped(work)
        assert stop.received == [signal.SIGTERM]
        stop.unless_stopped(work)
    assert done == ["whole", "begun"]


def test_ignored_signals_stay_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with StopSignals() as stop:
        send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert stop.received == []


def test_handlers_come_back_but_not_while_repetitions_may_come(
    wait: Callable[[float], None],
) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with StopSignals():
        assert [signal.getsignal(number) for number in STOP_SIGNALS] != before
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    with StopSignals(), pytest.raises(StopRequested):
        send(signal.SIGTERM)
    send(signal.SIGTERM)  # would end this process


def test_other_threads_change_nothing() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    inside: list[object] = []

    def enter() -> None:
        with StopSignals():
            inside.extend(signal.getsignal(number) for number in STOP_SIGNALS)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert inside == before
