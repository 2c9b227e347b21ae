"""`pixelgen info`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from pixelgen.cli.option_groups import PrintingGroup, with_option_groups
from pixelgen.cli.run import print_report
from pixelgen.jobs.json_options import options_of
from pixelgen.jobs.picture_info import PHOTO_KEYS, PictureInfo, picture_info
from pixelgen.jobs.registry import job_type


@with_option_groups
def info(
    *,
    picture: Annotated[
        str,
        typer.Argument(metavar="PICTURE", help="A picture from pixelgen.", show_default=False),
    ],
    printing: PrintingGroup,
) -> None:
    """Say what made a picture: the command, its options and the weights.

    \b
    Examples:
      pixelgen info pixelgen-lion-s1.png
      pixelgen info lions.jpg --json
    """
    found = picture_info(picture)
    print_report(found, printing, _lines(found))


def _lines(found: PictureInfo) -> list[str]:
    """What made a picture, for people."""
    lines = {
        "drawn by": None if found.job is None else _command_line(found.job),
        "written by": found.command if found.job is None else None,
        "weights": found.weights,
        "revision": found.revision,
        "seed": found.seed,
        "picture": found.pick and f"number {found.pick} of the command",
        "parameters": None if found.job else json.dumps(found.parameters, ensure_ascii=False),
        "software": found.software,
        "source type": found.source_type,
        "unfinished": found.drawn and f"{found.drawn} is drawn",
    }
    return [f"{name:<11} {value}" for name, value in lines.items() if value is not None]


def _command_line(job: Mapping[str, Any]) -> str:
    """The command that does a job."""
    words, arguments = ["pixelgen", str(job["command"])], []
    options = options_of(job_type(job["command"])).items()
    opposites = {option.name: key for key, option in options if option.opposite}
    for name, value in job.items():
        key = {"out": "o"}.get(name, name)
        values = value if isinstance(value, list) else [value]
        if key in PHOTO_KEYS:
            arguments += [str(one) for one in values]
        elif key in opposites:
            words += [] if value else [f"--{opposites[key]}"]
        elif value is True:
            words.append(f"--{key}")
        elif key != "command" and value is not False:
            words += [
                word for one in values for word in (f"-{'-' * (len(key) > 1)}{key}", str(one))
            ]
    return shlex.join([*words[:2], *arguments, *words[2:]])
