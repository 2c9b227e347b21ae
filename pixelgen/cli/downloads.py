"""Finding weights for a command, with a look at what is fetched for it on stderr."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints import Source, resolve_weights
from pixelgen.cli import terminal
from pixelgen.cli.terminal import shows_progress, stderr_console
from pixelgen.errors import harmless

if TYPE_CHECKING:
    from pixelgen.checkpoints.hub import Transfer

_log = logging.getLogger(__name__)


def obtain(ref: str | Path, quiet: bool = False, token: str | None = None) -> Source:
    """What `resolve_weights` returns; a pull from the Hub is shown unless `quiet`."""
    with Download(quiet) as download:
        source = resolve_weights(ref, token=token, on_transfer=download)
    _log.info("weights %s in %s", source.name, source.path)
    return source


def size_text(size: int | None) -> str:
    """Bytes for people."""
    if size is None:
        return "of unknown size"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


class Download:
    """A bar on a terminal, a line elsewhere, and notes of what is waited for; all on stderr.

    Nothing is shown, or imported, until something is fetched.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._console: Any = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_: object) -> None:
        # Where no bar is shown, some versions of rich would end it with an empty line.
        if self._bar is not None and not self._bar.disable:
            self._bar.stop()

    def __call__(self, transfer: Transfer) -> None:
        """Show `transfer`."""
        if self._quiet:
            return
        if transfer.note:
            self.note(f"{transfer.name}: {transfer.note}")
        elif self._task is not None:
            self._bar.update(self._task, completed=transfer.done)
        else:
            self._begin(transfer)

    def note(self, text: str) -> None:
        """A line, above the bar if there is one."""
        if not self._quiet:
            terminal.status(text, console=self._stderr())

    def _stderr(self) -> Any:
        if self._console is None:
            self._console = stderr_console()
        return self._console

    def _begin(self, transfer: Transfer) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        moving = shows_progress()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._stderr(),
            transient=True,
            disable=not moving,
        )
        name = harmless(transfer.name)
        self._task = self._bar.add_task(name, total=transfer.total)
        if moving:
            self._bar.start()
        else:
            self.note(f"fetching {transfer.name}, {size_text(transfer.total)}")
