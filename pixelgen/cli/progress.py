"""What is shown on stderr, if that is a terminal, while something lasts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from pixelgen.cli.console import shows_progress, stderr_console
from pixelgen.imaging import make_grid, veiled
from pixelgen.jobs.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from typing_extensions import Self

    from pixelgen.pipelines import Progress

_PATIENCE = 2.0
_DARK = 48
_GAP = 2
_larger: ContextVar[Meter | None] = ContextVar("larger", default=None)

Item = TypeVar("Item")


class Meter:
    """A context with a line on stderr about how much is done and how long the rest will take. It
    appears after two seconds, and only on a terminal."""

    def __init__(self, what: str, quiet: bool) -> None:
        self._what = what
        self._console = stderr_console()
        self._live: Any = None
        self._started: float | None = None
        self._pace = RateLimiter(0.2, _PATIENCE)
        self.active = not quiet and shows_progress()
        # Inside of something larger, the line is about that.
        self._larger = _larger.get()
        if self._larger is not None:
            self.active = self._larger.active
        self._done = self._total = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    @contextmanager
    def around(self) -> Iterator[None]:
        """A context in which other meters are about one step of what this one is about."""
        token = _larger.set(self)
        try:
            yield
        finally:
            _larger.reset(token)

    def __call__(self, done: float, total: float) -> None:
        """Tell how much of `total` is `done`."""
        if self._larger is not None:
            self._larger._tell(self._larger._done + done / max(total, 1), self._larger._total)
            return
        self._done, self._total = done, total
        self._tell(done, total)

    def _tell(self, done: float, total: float) -> None:
        if self._started is None:
            self._started = time.monotonic()
        if self.active and self._pace.due():
            with self._pace.spend():
                self._show(self._line(done, total))

    def track(self, items: Sequence[Item]) -> Iterator[Item]:
        """The items, and how far they are worked through."""
        for done, item in enumerate(items):
            self(done, len(items))
            yield item

    def hide(self) -> None:
        """Take it away until there is more to tell: something else is about to be printed."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, *parts: Any) -> None:
        from rich.console import Group
        from rich.live import Live

        if self._live is None:
            # What is printed to stdout meanwhile must get there.
            self._live = Live(
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(Group(*parts), refresh=True)

    def _line(self, done: float, total: float) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(total, 1), completed=done, width=24)
        line.add_row(self._what, bar, f"{done / max(total, 1):.0%}", self._left(done, total))
        return line

    def _left(self, done: float, total: float) -> str:
        if self._started is None or not done:
            return ""
        seconds = round((time.monotonic() - self._started) * (total - done) / done)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{clock} left"


class DrawingMeter(Meter):
    """The same about pictures that are drawn; with `live` they are seen growing above the line,
    from the start."""

    def __init__(self, live: bool, quiet: bool) -> None:
        super().__init__("drawing", quiet)
        self._pictures = live
        if live:
            self._pace = RateLimiter(0.1)

    def see(self, moment: Progress) -> None:
        """Show how far it is."""
        done, total = moment.share * moment.total, moment.total
        if not self._pictures:
            self(done, total)
            return
        if self._started is None:
            self._started = time.monotonic()
        if self._pace.due():
            with self._pace.spend():
                self._show(*self._seen(moment), self._line(done, total))

    def _seen(self, moment: Progress) -> list[Any]:
        """As many pictures of the batch as the terminal has room for."""
        from rich.text import Text

        from pixelgen.cli.halfblocks import HalfBlocks

        width, height = self._console.width, 2 * (self._console.height - 3)
        side = moment.sampler.height
        columns = max((width + _GAP) // (side + _GAP), 1)
        rows = max((height + _GAP) // (side + _GAP), 1)
        pending = moment.pending()
        images = [veiled(one, pending, _DARK) for one in moment.images(columns * rows)]
        sheet = _fitted(make_grid(images, columns, _GAP, background="black"), width, height)
        last = moment.first + len(images)
        which = f"{moment.first + 1}" if len(images) == 1 else f"{moment.first + 1}–{last}"
        return [HalfBlocks(sheet), Text(f"{which} of {moment.total}")]


def shows_pictures() -> bool:
    """Whether stderr is a terminal with colours."""
    console = stderr_console()
    return shows_progress() and console.color_system is not None and not console.no_color


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """`image`, shrunk where it is larger than `width` × `height`."""
    factor = min(width / image.width, height / image.height)
    if factor >= 1:
        return image
    size = (max(int(image.width * factor), 1), max(int(image.height * factor), 1))
    return image.resize(size, Image.Resampling.BOX)
