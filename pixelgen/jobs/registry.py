"""The jobs by the names of their commands. A new job is added here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pixelgen.errors import did_you_mean

if TYPE_CHECKING:
    from pixelgen.jobs.job import Job

JOBS = {
    "sample": "SampleJob",
    "portrait": "PortraitJob",
    "interpolate": "InterpolationJob",
    "reconstruct": "ReconstructionJob",
    "complete": "CompletionJob",
    "score": "ScoreJob",
    "encode": "EncodeJob",
    "decode": "DecodeJob",
    "faces": "FacesJob",
}
"""The class of every job, in the module that is called like the command."""
DRAWING_JOBS = ("sample", "portrait", "interpolate", "reconstruct", "complete")
"""Those that draw pictures."""


def job_type(command: object) -> type[Job]:
    """The class of a job. Raises ValueError for a command that is none."""
    if command is None:
        raise ValueError('"command" is missing')
    if not isinstance(command, str) or command not in JOBS:
        hint = did_you_mean(str(command), JOBS, quoted=True) or f" (one of {', '.join(JOBS)})"
        raise ValueError(f"no job for {command!r}{hint}")
    module = importlib.import_module(f"pixelgen.jobs.{command}")
    found: type[Job] = getattr(module, JOBS[command])
    return found
