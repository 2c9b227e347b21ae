"""Pictures that are finished when a job is interrupted are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.imaging import picture_text
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.output import OutputFiles

if TYPE_CHECKING:
    from pixelgen.pipelines import SamplingProgress

    OnStep = Callable[[SamplingProgress], None]

LayOut = Callable[[Sequence[Image.Image]], Iterable[Image.Image]]
"""Makes of pictures what goes to files."""
Choose = Callable[[Sequence[Image.Image]], Sequence[Image.Image]]


@contextmanager
def save_finished_on_interrupt(
    target: OutputFiles,
    texts: Sequence[Mapping[str, str]],
    count: int,
    lay_out: LayOut,
    context: JobContext,
    choose: Choose | None = None,
) -> Iterator[OnStep | None]:
    """A context for the drawing of `count` pictures; its value is to be called at every step,
    unless None. On KeyboardInterrupt the pictures of finished batches are written with their
    `texts`, as `lay_out` makes them.

    They are what they are without an interruption, so the same job with the same seed goes over
    them again. One picture of all says how much of it is "drawn", and never replaces the whole one.
    Nothing is written to streams and animations. Where several candidates are drawn for each of the
    `count` pictures, `choose` picks the finished ones to write.
    """
    if count == 1 or target.path is None or target.animated:
        yield None
        return
    batches: list[Callable[[], list[Image.Image]]] = []

    def step(moment: SamplingProgress) -> None:
        if moment.done == moment.positions:  # decoded only after an interruption
            batches.append(partial(moment.sampler.show, moment.values()))

    try:
        yield step
    except KeyboardInterrupt:
        sampled = [image for show in batches for image in show()]
        finished = sampled if choose is None else choose(sampled)
        part_of_one = target.count == 1 and len(finished) < count
        if finished and not (part_of_one and picture_text(target.path) == texts[0]):
            share = len(finished) / count if part_of_one else 1
            for file in target.write_interrupted(lay_out(finished), texts, share):
                context.on_partial(file)
            context.note(f"interrupted, {len(finished)} of {count} pictures are kept")
        raise
