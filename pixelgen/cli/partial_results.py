"""What is finished when Ctrl-C is pressed is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import typer
from PIL import Image

from pixelgen.cli.output import Output
from pixelgen.cli.terminal import note
from pixelgen.cli.view import Sheet, View
from pixelgen.imaging import png_text

if TYPE_CHECKING:
    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]


@contextmanager
def save_finished_on_interrupt(
    target: Output,
    texts: Sequence[Mapping[str, str]],
    count: int,
    view: View,
    sheet: Sheet,
    *,
    as_json: bool,
    quiet: bool,
    choose: Callable[[Sequence[Image.Image]], Sequence[Image.Image]] | None = None,
) -> Iterator[OnStep | None]:
    """A context for the drawing of `count` pictures, with what is to be told of every step, or None
    where nobody wants to know. If it is interrupted, the pictures of finished batches are written
    with their `texts`, laid out by `view` and `sheet`, and these told.

    They are what they are without an interruption, so the same command line with the same seed
    goes over them again; one picture of all says how much of it is "drawn", and never takes the
    place of the whole one. Nothing is kept of what goes to stdout, and of animations. Where several
    are drawn for each of the `count`, `choose` says which of those that are finished are kept.
    """
    if count == 1 or target.path is None or target.animated:
        yield None
        return
    batches: list[Callable[[], list[Image.Image]]] = []

    def step(moment: SamplingProgress) -> None:
        if moment.done == moment.positions:  # to be looked at only if it comes to that
            batches.append(partial(moment.sampler.show, moment.values()))

    try:
        yield step
    except KeyboardInterrupt:
        sampled = [image for show in batches for image in show()]
        finished = sampled if choose is None else choose(sampled)
        part_of_one = target.count == 1 and len(finished) < count
        if finished and not (part_of_one and png_text(target.path) == texts[0]):
            if part_of_one:
                texts = [{**texts[0], "drawn": f"{len(finished) / count:.0%}"}]
            for file in target.write(view.lay_out(finished, sheet), texts, partly=True):
                if not as_json:
                    typer.echo(str(file))
            note(f"interrupted, {len(finished)} of {count} pictures are kept", quiet)
        raise
