"""Signals that ask the process to stop: Ctrl-C, SIGTERM, and the end of the terminal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

# Windows has no SIGHUP, and only Windows has SIGBREAK.
STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
REPEAT_SECONDS = 2.0
"""A signal this soon after another one repeats it, like a key that is pressed twice, or a launcher
that passes on what the terminal has sent already. It is ignored, so that what the first began is
finished."""

_received: list[tuple[int, float]] = []
"""The signals of this process, without repetitions, and when they came (`time.monotonic`)."""


class StopRequested(KeyboardInterrupt):
    """A signal asked the process to stop. Code that tidies up after Ctrl-C does so after it too."""


class StopSignals:
    """A context in which every stop signal raises `StopRequested` in the main thread, but for
    repetitions and for signals that are ignored already, as under nohup.

    With `deferred`, the first signal is only recorded, so that a loop can end in its own time.
    Nothing is changed in other threads, which cannot handle signals. Where a signal came in the
    last `REPEAT_SECONDS`, its handlers stay at the end: repetitions must not disturb the exit.
    """

    def __init__(self, deferred: bool = False) -> None:
        self._deferred = deferred
        self._earlier = len(_received)
        self._before: dict[int, Any] = {}

    @property
    def received(self) -> list[int]:
        """The signals that came, without repetitions; those of contexts inside of this one too."""
        return [number for number, _ in _received[self._earlier :]]

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # None: set by a library in C
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._deferred or not _is_repetition():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def unless_stopped(self, work: Callable[[], None]) -> None:
        """Do what may be left undone: nothing after a signal, and up to a signal that comes during
        `work`, which is recorded as always."""
        deferred, self._deferred = self._deferred, False
        try:
            if not self.received:
                work()
        except StopRequested:
            pass
        finally:
            self._deferred = deferred

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if _is_repetition():
            return
        first = not self.received
        _received.append((number, time.monotonic()))
        if not (self._deferred and first):
            raise StopRequested(f"signal {number}")


def ignore_stop_signals() -> None:
    """Let the process end undisturbed: Python gives signals their default effect, which kills, in
    the last part of its exit."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _is_repetition() -> bool:
    return bool(_received) and time.monotonic() - _received[-1][1] < REPEAT_SECONDS
