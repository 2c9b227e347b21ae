"""Watching pictures grow: in the terminal row by row, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelgen.pipelines import Progress


class LivePicture:
    """A context in which the batch at work is shown on stderr, if that is a terminal."""

    def __init__(self, total: int, quiet: bool) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._total = total
        self._live: Any = None
        self.active = self._console.is_terminal and not quiet

    def __enter__(self) -> LivePicture:
        if self.active:
            from rich.live import Live

            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show `progress`; a callback for every row."""
        from rich.console import Group
        from rich.text import Text
        from rich_pixels import Pixels

        from pixelgen.imaging import make_grid

        images = progress.images()
        width, height = images[0].size
        # Half a cell is one pixel high; what does not fit is drawn all the same, only not shown.
        columns = max(self._console.width // (width + 2), 1)
        rows = max((self._console.height * 2 - 4) // (height + 2), 1)
        shown = [_dimmed(image, progress.rows) for image in images[: columns * rows]]
        done = f"{progress.first + 1}–{progress.first + len(images)} of {self._total}"
        self._live.update(
            Group(
                Pixels.from_image(make_grid(shown, columns, background="black")),
                Text(f"pictures {done}, row {progress.rows} of {progress.height}"),
            ),
            refresh=True,
        )


def _dimmed(image: Any, rows: int) -> Any:
    """`image` in RGB with the rows that are still to come in grey."""
    image = image.convert("RGB")
    if rows < image.height:
        image.paste((48, 48, 48), (0, rows, image.width, image.height))
    return image
