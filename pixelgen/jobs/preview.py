"""Files that show pictures while they are drawn: one that is rewritten, and an animation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import Source
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import IfExists, expanded
from pixelgen.imaging import grey_out, is_unfinished, save_animation, save_png, unfinished_text
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import ANIMATED, PNG, option
from pixelgen.jobs.output import (
    OutputFiles,
    check_folder,
    check_name,
    check_written,
    refuse_to_replace,
    write_beside,
)
from pixelgen.jobs.rate_limiter import RateLimiter
from pixelgen.jobs.text_chunks import text_chunks

if TYPE_CHECKING:
    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]

LayOutAll = Callable[[Sequence[Image.Image]], Image.Image]
"""Lays out all pictures, in the order of drawing, as one."""

_REWRITTEN = 0.3
_FRAMES = 48
# Decoding a picture of codes takes about as long as drawing it in a batch does.
_MOST_DECODED = 320
_FEWEST = 12
_LONGEST = {".webp": 16383, ".gif": 65535}
_FPS = 12.0
_HOLD = 2.0
# Frames are kept until the last one is there: 200 MB.
_MOST_PIXELS = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Files to show the pictures in while they are drawn."""

    watch: str | None = None
    """A .png file that is rewritten."""
    animate: str | None = option(None, endings=ANIMATED)
    """A .gif, .webp or .png animation of the drawing."""


class PreviewFiles:
    """The files of a preview: checked at the start, written while pictures are drawn."""

    def __init__(self, preview: Preview, force: bool) -> None:
        """Raises UsageError for places that cannot be written to."""
        self.watch = _place(preview.watch, PNG)
        self.animation = _place(preview.animate, ANIMATED)
        self._force = force
        self._text: dict[str, str] = {}
        self._animation_text: dict[str, str] = {}
        self._frames: list[Image.Image] = []

    @property
    def files(self) -> list[Path]:
        """The files."""
        return [path for path in (self.watch, self.animation) if path is not None]

    def check_steps(self, has_steps: bool, weights: str) -> None:
        """Raise UsageError where there are files to write although nothing is drawn step by
        step."""
        if self.files and not has_steps:
            raise UsageError(
                f"{weights} makes pictures in one step: there is nothing to preview",
                "leave out watch and animate",
                code="no-preview",
            )

    def refuse_to_overwrite(
        self,
        target: OutputFiles,
        source: Source,
        parameters: Mapping[str, Any],
        about: Mapping[str, str],
    ) -> None:
        """Raise UsageError where a file exists, unless it holds just what will be written, or is
        named twice. The other arguments are those of `text_chunks`."""
        whole = {**parameters, "grid": True}
        (self._text,) = text_chunks(source, whole, more=about)
        (self._animation_text,) = text_chunks(source, whole | {"growth": {"fps": _FPS}}, more=about)
        taken = {os.path.realpath(file) for file in target.files()}
        for path in self.files:
            if (place := os.path.realpath(path)) in taken:
                raise UsageError(f"{path} is given for two outputs")
            taken.add(place)
            text = self._animation_text if path == self.animation else self._text
            refuse_to_replace(path, text, self._force)

    @contextmanager
    def follow(
        self, sheet: LayOutAll, context: JobContext, first: OnStep | None = None
    ) -> Iterator[OnStep | None]:
        """A context for the drawing. Its value is to be called at every step, None if nothing is
        shown: it calls `first`, shows the pictures where `context` does, and writes the files."""
        with context.drawing() as show:
            record = self._recorder(sheet) if self.files else None
            callbacks = [each for each in (first, show, record) if each is not None]

            def step(moment: SamplingProgress) -> None:
                for callback in callbacks:
                    callback(moment)

            yield step if callbacks else None

    def finish(self, whole: Callable[[], Image.Image]) -> None:
        """Write the files with all pictures finished, laid out as one by `whole`. Raises
        PixelgenError where they cannot be written, and as `OutputFiles.write` does."""
        if not self.files:
            return
        image, written = whole(), []
        frames = [*self._frames, image]

        def save(file: Path, if_exists: IfExists) -> Path:
            if file == self.watch:
                return save_png(file, image, self._text, if_exists)
            text = self._animation_text
            return save_animation(file, frames, _FPS, text, if_exists, hold=_HOLD)

        for path in self.files:
            text = self._text if path == self.watch else self._animation_text
            written.append(write_beside(path, text, self._force, save))
        check_written(self.files, written)

    def _rewrite(self, path: Path, image: Image.Image, share: float) -> None:
        """Write the watched file with `image`, of which a `share` is drawn. Raises FileExistsError
        where it holds anything but the same pictures unfinished."""
        replace = self._force or is_unfinished(path, self._text)
        text = unfinished_text(image, self._text, share)
        save_png(path, image, text, "replace" if replace else "fail")

    def _recorder(self, sheet: LayOutAll) -> OnStep:
        """Rewrites the watched file, and keeps frames of the animation."""
        images: list[Image.Image] = []
        pace = RateLimiter(_REWRITTEN)
        most, newest = _FRAMES, -1

        def record(moment: SamplingProgress) -> None:
            nonlocal most, newest
            if moment.share >= 1:
                return  # the finished pictures follow
            # Evenly spread over the work, not over time, so that a seed always gives the same file.
            number = int(moment.share * (most - 1))
            framed = self.animation is not None and number > newest
            rewritten = self.watch is not None and pace.due()
            # Those of a finished batch are not seen again.
            if not (framed or rewritten or moment.done == moment.positions):
                return
            with pace.spend():
                _update(images, moment)
                if not (framed or rewritten):
                    return
                image = sheet(images)
                if rewritten and self.watch is not None:
                    # A viewer may hold it just now: it will be rewritten again.
                    with suppress(PixelgenError, FileExistsError):
                        self._rewrite(self.watch, image, moment.share)
            if framed:
                if not self._frames:
                    most = _most_frames(moment, image)
                    _check_frame(self.animation, image)
                self._frames.append(image)
                newest = number

        return record


def _check_frame(path: Path | None, image: Image.Image) -> None:
    """Raise UsageError where an animation cannot be as large as `image`."""
    longest = _LONGEST.get("" if path is None else path.suffix.lower())
    if longest and max(image.size) > longest:
        raise UsageError(
            f"{path} would be {image.width}×{image.height} pixels, its kind ends at {longest}",
            "lower scale or n, or animate a .png",
            code="large-animation",
        )


def _most_frames(moment: SamplingProgress, image: Image.Image) -> int:
    """How many frames like `image`, the first, are kept."""
    most = min(_FRAMES, _MOST_PIXELS // (image.width * image.height))
    if moment.sampler.tokenizer is not None:
        most = min(most, max(_MOST_DECODED // moment.batch, _FEWEST))
    return max(most, 2)


def _update(images: list[Image.Image], moment: SamplingProgress) -> None:
    """Bring `images`, all that are drawn, up to date; before any of them is begun, all look like
    the first."""
    pending = moment.pending()
    batch = [grey_out(one, pending) for one in moment.images()]
    if not images:
        images += batch[:1] * moment.total
    images[moment.first : moment.first + moment.batch] = batch


def _place(file: str | None, endings: tuple[str, ...]) -> Path | None:
    """`file` as a path. Raises UsageError for a place that cannot be written to, and for other
    `endings`."""
    if file is None:
        return None
    path = expanded(file)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder")
    if path.suffix.lower() not in endings:
        raise UsageError(f"{path} is not a {' or '.join(endings)} file")
    check_folder(path.parent)
    check_name(path)
    return path
