"""What a job asks of the program that runs it: weights, progress, remarks, standard streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from pixelgen.checkpoints import Source, resolve_weights
from pixelgen.errors import UsageError
from pixelgen.files import MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self

    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]

Item = TypeVar("Item")


class ProgressMeter(Protocol):
    """A context that shows how much of a task is done."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, done: float, total: float) -> None:
        """Show that `done` of `total` is done."""

    def track(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items, and show how many of them were."""

    def hide(self) -> None:
        """Clear what is shown: something else is about to be printed."""


class SilentMeter:
    """A meter that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, done: float, total: float) -> None:
        pass

    def track(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items."""
        yield from items

    def hide(self) -> None:
        """Do nothing."""


class JobContext:
    """The program around a job. This one is silent, collects remarks in `notes` and has no standard
    streams; the command line overrides what it shows."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """What the job remarked."""

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest picture that is read."""
        return MAX_PIXELS

    def note(self, text: str) -> None:
        """Report something unexpected that is no error."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Report that a part of the job failed, also to users who want no notes."""
        self.notes.append(text)

    def fetch(self, weights: str) -> Source:
        """Find weights, and download them where needed. Raises as `resolve_weights` does."""
        return resolve_weights(weights)

    def meter(self, task: str) -> ProgressMeter:
        """A meter for a `task`, such as "encoding"."""
        return SilentMeter()

    def drawing(self) -> AbstractContextManager[OnStep | None]:
        """A context while pictures are drawn; its value is called at every step, unless None."""
        return nullcontext()

    def show(self, picture: Callable[[], Image.Image], scale: int) -> None:
        """Show what was drawn, a `picture` that is enlarged `scale` times already, where the
        drawing was shown."""

    def on_partial(self, file: Path) -> None:
        """Called for every file that a job has written although it is interrupted or fails, just
        before that is raised."""

    def open_input(self, what: str) -> BinaryIO:
        """Open the stream that `-` stands for, to read `what` from it. Raises UsageError where
        there is none."""
        raise UsageError(f"cannot read {what} from stdin here", "give a file instead of -")

    def check_output(self, what: str) -> None:
        """Raise UsageError where the stream that `-` stands for cannot take `what`."""
        raise UsageError(f"cannot write {what} to stdout here", "give a file instead of -")

    def write_output(self, data: bytes) -> None:
        """Write a file to the stream that `-` stands for."""
        self.check_output("a file")
