"""What all jobs share: a frozen dataclass of options, with a method that carries them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pixelgen.errors import UsageError
from pixelgen.imaging import ANIMATIONS
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.report import Report

PNG = (".png",)
ANIMATED = (*ANIMATIONS, ".png")


def option(
    default: Any = ..., *, key: str = "", opposite: str = "", endings: tuple[str, ...] | None = None
) -> Any:
    """A field of a job, or of a group of options, with more than a type and a default.

    `key`: its key in a JSON object (left out: its name with dashes); `opposite`: a second key of a
    boolean, which says the contrary; `endings`: of a field that says where files go, what their
    names may end with, first the default; () for a folder.
    """
    metadata = {"key": key, "opposite": opposite, "endings": endings}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Job(ABC):
    """A command and all of its options."""

    @abstractmethod
    def run(self, context: JobContext | None = None) -> Report:
        """Carry it out; without `context` in silence. Raises PixelgenError for what is not
        possible, before anything is written, and as the work itself does."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How pictures are drawn; None stands for the default of the weights."""

    seed: int | None = None
    """Of all random numbers; None: a random one."""
    pick: int | None = None
    """Number, from 1, of the only picture to draw of those that the job draws without it; None:
    all."""
    temperature: float | None = None
    """Below 1: likelier pictures."""
    top_p: float | None = None
    """Share of the probability that is kept, 0 … 1."""
    guidance: float | None = None
    """Above 1: more like what is asked for."""
    guidance_schedule: str | None = None
    """Where guidance applies: "constant", "linear", or an interval "a:b"."""

    def keywords(self) -> Mapping[str, Any]:
        """The options by name, as requests of the pipelines take them."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ClassSampling(Sampling):
    """How pictures of classes are drawn."""

    vector_temperature: float | None = None
    """Below 1: condition vectors nearer to the mean of their class. For weights that draw a vector
    of the class first."""


def check_range(name: str, value: float | None, low: float, high: float | None = None) -> None:
    """Raise UsageError for a value below `low` or above `high`; None is in every range."""
    if value is None or (low <= value and (high is None or value <= high)):
        return
    limits = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
    shown = str(value) if isinstance(value, int) else f"{value:g}"  # of any size
    raise UsageError(f"{name} must be {limits}, not {shown}")
