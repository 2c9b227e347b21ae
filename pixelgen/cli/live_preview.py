"""Pictures that are seen while they grow: `--live`, `--watch` and `--animate`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import Source
from pixelgen.cli.output import Output, check_folder, check_name
from pixelgen.cli.progress import RateLimiter, SamplingDisplay, can_show_pictures
from pixelgen.cli.results import describe
from pixelgen.cli.terminal import on_terminal
from pixelgen.cli.view import Sheet
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import (
    ANIMATIONS,
    animation_text,
    grey_out,
    png_text,
    save_animation,
    save_png,
)

if TYPE_CHECKING:
    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]

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


class LivePreview:
    """What a user wants to see of pictures while they are drawn."""

    def __init__(
        self,
        live: bool | None,
        watch: str | None,
        animate: str | None,
        *,
        force: bool,
        quiet: bool,
        as_json: bool,
    ) -> None:
        """Raises PixelgenError (exit code 2) for what cannot be had; `live` None: if it can."""
        if live and quiet:
            raise UsageError("--live does not go with --quiet")
        able = can_show_pictures()
        if live and not able:
            why = "it has no colours" if on_terminal() else "stderr is none"
            raise UsageError(f"--live needs a terminal: {why}", "--watch FILE.png")
        silent = quiet or (as_json and not live)
        self.live = able and not silent and live is not False
        self.watch = _place(watch, (".png",))
        self.animation = _place(animate, (*ANIMATIONS, ".png"))
        self._force, self._silent = force, silent
        self._text: dict[str, str] = {}
        self._animation_text: dict[str, str] = {}
        self._frames: list[Image.Image] = []

    @property
    def files(self) -> list[Path]:
        """The files that it is seen in."""
        return [path for path in (self.watch, self.animation) if path is not None]

    def check_draws(self, draws: bool, weights: str) -> None:
        """Raises PixelgenError (exit code 2) where something is to be seen although nothing is
        drawn bit by bit."""
        if self.files and not draws:
            option = "--animate" if self.watch is None else "--watch"
            raise UsageError(f"{weights} makes pictures at once: no {option}")

    def refuse_to_overwrite(
        self,
        target: Output,
        source: Source,
        parameters: Mapping[str, Any],
        about: Mapping[str, str],
    ) -> None:
        """Raise PixelgenError (exit code 2) where a file exists, unless it holds just what will be
        written, or is named twice. The other arguments are those of `describe`."""
        whole = {**parameters, "grid": True}
        (self._text,) = describe(source, whole, 1, about)
        (self._animation_text,) = describe(source, whole | {"growth": {"fps": _FPS}}, 1, about)
        taken = {os.path.realpath(file) for file in target.files()}
        for path in self.files:
            if (place := os.path.realpath(path)) in taken:
                raise UsageError(f"{path} is named twice")
            taken.add(place)
            text, found = self._text, png_text
            if path == self.animation:
                text, found = self._animation_text, animation_text
            if (
                os.path.lexists(path)
                and not self._force
                and not text.items() <= found(path).items()
            ):
                raise UsageError(f"{path} exists", "--force replaces it")

    @contextmanager
    def follow(self, sheet: Sheet, first: OnStep | None = None) -> Iterator[OnStep | None]:
        """A context for the drawing, with what is to be told of every step, which tells it `first`
        to another, or None where nobody wants to know."""
        with SamplingDisplay(self.live, self._silent) as meter:
            see = meter.see if meter.active else None
            keep = self._keeper(sheet) if self.files else None
            told = [each for each in (first, see, keep) if each is not None]

            def step(moment: SamplingProgress) -> None:
                for each in told:
                    each(moment)

            yield step if told else None

    def finish(self, whole: Callable[[], Image.Image]) -> None:
        """Leave the files with all pictures finished, laid out as one by `whole`. Raises
        PixelgenError where they cannot be written."""
        if not self.files:
            return
        image = whole()
        if self.watch is not None:
            save_png(self.watch, image, self._text, "replace")
        if self.animation is not None:
            frames = [*self._frames, image]
            text = self._animation_text
            save_animation(self.animation, frames, _FPS, text, "replace", hold=_HOLD)

    def made(self, target: Output) -> list[Path]:
        """The animation, as a result to be told beside those of `target`, unless one is on stdout
        itself."""
        return [] if self.animation is None or target.path is None else [self.animation]

    def _keeper(self, sheet: Sheet) -> OnStep:
        """Rewrites the watched file, and keeps frames of the animation."""
        images: list[Image.Image] = []
        pace = RateLimiter(_REWRITTEN)
        most, newest = _FRAMES, -1

        def keep(moment: SamplingProgress) -> None:
            nonlocal most, newest
            if moment.share >= 1:
                return  # the finished pictures are on their way
            # Evenly spread over the work, not over time, so that a seed grows always the same way.
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
                    text = {**self._text, "drawn": f"{moment.share:.0%}"}
                    # A viewer may hold it just now: it will be rewritten again.
                    with suppress(PixelgenError):
                        save_png(self.watch, image, text, "replace")
            if framed:
                if not self._frames:
                    most = _most_frames(moment, image)
                    _check_frame(self.animation, image)
                self._frames.append(image)
                newest = number

        return keep


def _check_frame(path: Path | None, image: Image.Image) -> None:
    """Raises PixelgenError (exit code 2) where an animation cannot be as large as `image`."""
    longest = _LONGEST.get("" if path is None else path.suffix.lower())
    if longest and max(image.size) > longest:
        raise UsageError(
            f"{path} would be {image.width}×{image.height} pixels, its kind ends at {longest}",
            "lower --scale or -n, or animate a .png",
        )


def _most_frames(moment: SamplingProgress, image: Image.Image) -> int:
    """How many frames like `image`, the first, are kept."""
    most = min(_FRAMES, _MOST_PIXELS // (image.width * image.height))
    if moment.sampler.tokenizer is not None:
        most = min(most, max(_MOST_DECODED // moment.batch, _FEWEST))
    return max(most, 2)


def _update(images: list[Image.Image], moment: SamplingProgress) -> None:
    """Brings `images`, all that are drawn, up to date; before any of them is begun, all look like
    the first."""
    pending = moment.pending()
    batch = [grey_out(one, pending) for one in moment.images()]
    if not images:
        images += batch[:1] * moment.total
    images[moment.first : moment.first + moment.batch] = batch


def _place(given: str | None, kinds: tuple[str, ...]) -> Path | None:
    """The file that is meant. Raises PixelgenError (exit code 2) for a place that cannot be written
    to, and for other `kinds` of file."""
    if given is None:
        return None
    path = expanded(given)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder")
    if path.suffix.lower() not in kinds:
        raise UsageError(f"{path} is not a {' or '.join(kinds)} file")
    check_folder(path.parent)
    check_name(path)
    return path
