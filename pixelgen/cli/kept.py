"""What is finished when Ctrl-C is pressed is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from PIL import Image

from pixelgen.cli.console import note
from pixelgen.cli.output import Output

if TYPE_CHECKING:
    from pixelgen.pipelines import Progress

OnStep = Callable[["Progress"], None]


@contextmanager
def keep_finished(
    target: Output,
    texts: Sequence[Mapping[str, str]],
    finish: Callable[[Sequence[Image.Image]], list[Image.Image]],
    on_step: OnStep | None,
    *,
    as_json: bool,
    quiet: bool,
) -> Iterator[OnStep | None]:
    """A context for the drawing of pictures that get a file each, with what is to be told of every
    step: `on_step`, and this. If it is interrupted, the pictures of finished batches are written
    with their `texts`, as `finish` makes them, and their files told.

    They are what they are without an interruption, so the same command line with the same seed
    goes over them again. Of one picture of all, nothing is kept.
    """
    if target.count == 1:
        yield on_step
        return
    finished: list[Image.Image] = []

    def step(moment: Progress) -> None:
        if moment.done == moment.positions:
            finished.extend(moment.images())
        if on_step is not None:
            on_step(moment)

    try:
        yield step
    except KeyboardInterrupt:
        if finished:
            for file in target.write(finish(finished), texts):
                if not as_json:
                    typer.echo(str(file))
            note(f"interrupted, {len(finished)} of {target.count} pictures are kept", quiet)
        raise
