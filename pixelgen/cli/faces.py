"""`pixelgen faces`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelgen.cli import options, terminal
from pixelgen.cli.option_groups import PrintingGroup, with_option_groups
from pixelgen.cli.run import TerminalContext, print_report
from pixelgen.errors import harmless
from pixelgen.jobs.faces import FacesJob, PhotoFaces


@with_option_groups
def faces(
    *,
    photos: options.Photos,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Write every face, aligned, into this folder."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8, max=1024, help="Write faces of this side. Default: 64.", show_default=False
        ),
    ] = None,
    printing: PrintingGroup,
    force: options.Force = False,
) -> None:
    """Find faces, largest first, and cut them out.

    \b
    Examples:
      pixelgen faces party.jpg
      pixelgen faces party.jpg cat.jpg -o crops --size 128
      pixelgen faces party.jpg --json
    """
    job = FacesJob(
        photos=photos, output=None if output is None else str(output), size=size, force=force
    )
    show = _ignore if printing.as_json else _print
    report = job.run(TerminalContext(printing), show)
    if printing.as_json and any(photo.faces for photo in report.photos):
        print_report(report, printing)
    report.check()


def _ignore(photo: PhotoFaces) -> None:
    """Nothing is printed before all photos are searched."""


def _print(photo: PhotoFaces) -> None:
    """A line for each face: its file, or photo, number, box and score, separated by tabs."""
    for face in photo.faces:
        if face.file is not None:
            terminal.path(face.file)
            continue
        box = " ".join(f"{edge:.0f}" for edge in face.box)
        terminal.line(f"{harmless(photo.photo)}\t{face.number}\t{box}\t{face.score:.3f}")
