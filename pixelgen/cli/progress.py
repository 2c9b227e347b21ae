"""Progress on stderr, if that is a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Timer
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from pixelgen.cli.graphics import encoder_of
from pixelgen.cli.terminal import (
    cell_size,
    graphics,
    renderable,
    shows_progress,
    status,
    stderr_console,
    stderr_may_be_gone,
)
from pixelgen.imaging import enlarge, grey_out, make_grid
from pixelgen.jobs.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from typing_extensions import Self

    from pixelgen.pipelines import SamplingProgress

_FIRST_SECONDS = 2.0
_FIRST_LOADING_SECONDS = 1.0
_DARK = 48
_GAP = 2
SCALE = 4
"""How many times pictures are enlarged on a terminal that has room."""
_outer: ContextVar[ProgressLine | None] = ContextVar("outer", default=None)

Item = TypeVar("Item")


class ProgressLine:
    """A context with a line on stderr that shows how much is done and the time left. It appears
    after two seconds, and only on a terminal."""

    def __init__(self, what: str, quiet: bool) -> None:
        self._what = what
        self._console = stderr_console()
        self._live: Any = None
        self._started: float | None = None
        self._pace = RateLimiter(0.2, _FIRST_SECONDS)
        self.active = not quiet and shows_progress()
        # A line inside of another, which is about one step of it, advances that one.
        self._outer = _outer.get()
        if self._outer is not None:
            self.active = self._outer.active
        self._done = self._total = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    @contextmanager
    def around(self) -> Iterator[None]:
        """A context in which other progress lines are about one step of this one."""
        token = _outer.set(self)
        try:
            yield
        finally:
            _outer.reset(token)

    def __call__(self, done: float, total: float) -> None:
        """Show that `done` of `total` is done."""
        if self._outer is not None:
            self._outer._update(self._outer._done + done / max(total, 1), self._outer._total)
            return
        self._done, self._total = done, total
        self._update(done, total)

    def _update(self, done: float, total: float) -> None:
        if self._started is None:
            self._started = time.monotonic()
        if self.active and self._pace.due():
            with self._pace.spend():
                self._show(self._line(done, total))

    def track(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items, and show how many are done."""
        for done, item in enumerate(items):
            self(done, len(items))
            yield item

    def hide(self) -> None:
        """Hide the line until the next call, so that something else can be printed."""
        if self._live is not None:
            live, self._live = self._live, None
            with stderr_may_be_gone():
                live.stop()

    def _show(self, *parts: Any) -> None:
        from rich.console import Group
        from rich.live import Live

        if self._live is None:
            # What is printed to stdout meanwhile must get there unchanged.
            self._live = Live(
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            with stderr_may_be_gone():
                self._live.start()
        with stderr_may_be_gone():
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


class SamplingDisplay(ProgressLine):
    """A progress line of sampling; with `live` the pictures are shown above it from the start."""

    def __init__(self, live: bool, quiet: bool) -> None:
        super().__init__("drawing", quiet)
        self._live_pictures = live
        if live:
            self._pace = RateLimiter(0.1)

    def see(self, moment: SamplingProgress) -> None:
        """Show the progress of sampling."""
        done, total = moment.share * moment.total, moment.total
        if not self._live_pictures:
            self(done, total)
            return
        if self._started is None:
            self._started = time.monotonic()
        if self._pace.due():
            with self._pace.spend():
                self._show(*self._pictures_of(moment), self._line(done, total))

    def _pictures_of(self, moment: SamplingProgress) -> list[Any]:
        """As many pictures of the batch as the terminal has room for."""
        from rich.text import Text

        from pixelgen.cli.halfblocks import HalfBlocks

        width, height = _room(self._console)
        for factor in range(SCALE, 0, -1):  # as large as the whole batch can be shown
            side = factor * moment.sampler.height
            columns = max((width + _GAP) // (side + _GAP), 1)
            rows = max((height + _GAP) // (side + _GAP), 1)
            if columns * rows >= moment.batch:
                break
        pending = moment.pending()
        images = [grey_out(one, pending, _DARK) for one in moment.images(columns * rows)]
        images = [enlarge(one, factor) for one in images]
        sheet = _fitted(make_grid(images, columns, _GAP, background="black"), width, height)
        last = moment.first + len(images)
        which = f"{moment.first + 1}" if len(images) == 1 else f"{moment.first + 1}–{last}"
        return [HalfBlocks(sheet), Text(f"{which} of {moment.total}")]


@contextmanager
def loading_note(name: str) -> Iterator[None]:
    """A context of loading the weights `name`, which a line on a terminal says if it takes long."""
    if not shows_progress():
        yield
        return
    timer = Timer(_FIRST_LOADING_SECONDS, status, [f"loading {name}"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def show_picture(image: Image.Image, scale: int) -> None:
    """Leave a picture, which is enlarged `scale` times already, on the terminal: in all `SCALE`
    times, or the largest whole number of times for which there is room."""
    console = stderr_console()
    encode = encoder_of(os.environ)
    if encode is None:
        from pixelgen.cli.halfblocks import HalfBlocks

        renderable(HalfBlocks(_enlarged(image, scale, *_room(console))))
        return
    width, height = cell_size()
    room = (console.width * width, (console.height - 3) * height)
    graphics(encode(_enlarged(image, scale, *room)))


def _enlarged(image: Image.Image, scale: int, width: int, height: int) -> Image.Image:
    """`image`, enlarged to `SCALE` times what it was, as far as there is room, or shrunk."""
    most = min(width // image.width, height // image.height, SCALE // scale)
    return _fitted(enlarge(image, max(most, 1)), width, height)


def _room(console: Any) -> tuple[int, int]:
    """Width and height of the largest picture in half blocks, in pixels."""
    return console.width, 2 * (console.height - 3)


def can_show_pictures() -> bool:
    """Whether stderr is a terminal with colours."""
    console = stderr_console()
    return shows_progress() and console.color_system is not None and not console.no_color


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """`image`, shrunk to fit into `width` × `height`."""
    factor = min(width / image.width, height / image.height)
    if factor >= 1:
        return image
    size = (max(int(image.width * factor), 1), max(int(image.height * factor), 1))
    return image.resize(size, Image.Resampling.BOX)
