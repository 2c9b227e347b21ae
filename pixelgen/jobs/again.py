"""Draw a picture again by the text in its file, or vary it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded
from pixelgen.imaging import ANIMATIONS, PICTURES, Resample, same_pixels
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.drawing import PictureReport
from pixelgen.jobs.job import ClassSampling, Job, option
from pixelgen.jobs.json_options import build, options_of, read_options
from pixelgen.jobs.output import names_folder
from pixelgen.jobs.picture_info import PHOTO_KEYS, PictureInfo, picture_info
from pixelgen.jobs.preview import Preview
from pixelgen.jobs.registry import job_type

_LOSSY = (".jpg", ".jpeg", ".gif")


@dataclass(frozen=True, kw_only=True)
class AgainJob(Job):
    """Draw what a picture shows with all parameters in its file, but for those given here."""

    picture: str
    """The file of a picture that pixelgen drew."""
    n: int | None = None
    """Draw so many new pictures of the same kind, with a new seed unless one is given: of its class
    if the picture is one of several; None: the picture itself."""
    steps: int | None = None
    """Frames of an interpolation; None: as many as there were."""
    photos: Sequence[str] = ()
    """The photos that it was made from, in order; empty: files of their names beside the picture,
    or in the current folder."""
    mask: str | None = None
    """The mask of a completion; None: a file of its name, found as `photos` are."""
    weights: str | None = None
    """None: those that the picture names."""
    sampling: ClassSampling = field(default_factory=ClassSampling)
    """What is drawn in another way; None: as it was."""
    candidates: int | None = None
    """None: as many as there were."""
    grid: bool | None = None
    """One sheet of all pictures, or a file each; None: as it was."""
    scale: int | None = None
    """How many times they are enlarged; None: as it was."""
    resample: Resample | None = None
    """How they are enlarged; None: as it was."""
    device: str = "auto"
    batch_size: int = 32
    output: str | None = option(None, endings=(*PICTURES, ".gif"))
    preview: Preview = field(default_factory=Preview)
    force: bool = False
    """Whether existing files are replaced."""

    def run(self, context: JobContext | None = None) -> PictureReport:
        """Draw and write it; see `Job.run`. Raises InputError for pictures that do not say how they
        were drawn, and UsageError where photos or weights of theirs are not at hand."""
        context = context or JobContext()
        info = picture_info(self.picture)
        if info.job is None:
            writer = "another job" if info.command is None else info.command
            raise InputError(f"{self.picture} was not drawn: it was written by {writer}")
        if info.damaged:
            raise InputError(f"{self.picture} is damaged: its {info.damaged[0]} is not a number")
        job = self._job(info, info.job, context)
        report = job.run(context)
        assert isinstance(report, PictureReport)
        self._compare(info, report, context)
        return report

    def _job(self, info: PictureInfo, stored: dict[str, Any], context: JobContext) -> Job:
        """The job that draws it."""
        said, command = {**stored}, str(stored["command"])
        del said["command"]
        kind = job_type(command)
        known = options_of(kind)
        files: dict[str, Any] = {}
        for key in PHOTO_KEYS:
            if key in known and key in said:
                photos = self._photos(said[key])
                files[key] = photos if known[key].several else photos[0]
        if self.photos and not files:
            raise UsageError(f"{self.picture} was drawn without photos")
        if "mask" in said:
            files["mask"] = self._found([said["mask"]], [self.mask] if self.mask else [], "mask")[0]
        elif self.mask is not None:
            raise UsageError(f"{self.picture} was drawn without a mask")
        said["weights"] = self._weights(info, context)
        if self.n is not None:
            said |= _only_its_class(said)
            said.pop("pick", None)
            said.pop("seed", None)
        for key, value in self._changes().items():
            if key not in known:
                raise UsageError(f"{key} has no effect: {self.picture} was made by {command}")
            said[key] = value
        # What the picture had, and has no effect any more, is left out.
        if said.get("guidance") == 1 and self.sampling.guidance_schedule is None:
            said.pop("guidance-schedule", None)
        if said.get("scale") == 1 and self.resample is None:
            said.pop("resample", None)
        animation = said.pop("out", None)
        output = self.output or animation
        if animation is not None:
            assert output is not None
            if names_folder(output):
                output = str(Path(output) / animation)
            if Path(output).suffix.lower() not in ANIMATIONS:
                said = {k: v for k, v in said.items() if k not in ("fps", "ping-pong")}
        # Files may be called what a job cannot: they were given or found here, not in the picture.
        said |= {key: ["file"] if known[key].several else "file" for key in files}
        try:
            values = read_options(command, kind, said, "picture").values
        except ValueError as error:
            raise InputError(f"{self.picture} is damaged: {error}") from error
        values |= {known[key].name: value for key, value in files.items()}
        values |= {"device": self.device, "batch_size": self.batch_size, "force": self.force}
        job: Job = build(kind, values)
        return replace(job, output=output, preview=self.preview)  # type: ignore[call-arg]

    def _changes(self) -> dict[str, Any]:
        """What is to be different, by the keys of a job."""
        options = {
            **self.sampling.keywords(),
            "n": self.n,
            "steps": self.steps,
            "candidates": self.candidates,
            "grid": self.grid,
            "scale": self.scale,
            "resample": self.resample,
        }
        return {k.replace("_", "-"): v for k, v in options.items() if v is not None}

    def _photos(self, stored: object) -> list[str]:
        names = stored if isinstance(stored, list) else [stored]
        return self._found(names, self.photos, "photo")

    def _found(self, names: Sequence[object], given: Sequence[str], what: str) -> list[str]:
        """The files of `names`: those `given`, or else files beside the picture or in the current
        folder. Raises UsageError where they are not there."""
        plain = [Path(str(name)).name for name in names]
        if given:
            if len(given) != len(plain):
                raise UsageError(
                    f"{self.picture} was made from {len(plain)} {what}s ({', '.join(plain)}), "
                    f"not {len(given)}"
                )
            return list(given)
        places = (expanded(self.picture).parent, Path())
        found = [next((p / n for p in places if (p / n).is_file()), None) for n in plain]
        if missing := [name for name, file in zip(plain, found, strict=True) if file is None]:
            raise UsageError(
                f"{self.picture} was made from {', '.join(missing)}, which is not beside it",
                f"give every {what}",
                code=f"{what}-of-picture",
            )
        return [str(file) for file in found]

    def _weights(self, info: PictureInfo, context: JobContext) -> str:
        """The reference to the weights that draw it."""
        if self.weights is not None:
            return self.weights
        assert info.job is not None
        name: str = info.job["weights"]
        try:
            context.fetch(name)
        except PixelgenError as error:
            raise type(error)(
                f"{self.picture} names its weights, but {error.message}",
                "give weights",
                code="weights-of-picture",
            ) from error
        return name

    def _compare(self, info: PictureInfo, report: PictureReport, context: JobContext) -> None:
        """Say where the picture was made from something else, or whether it is the same."""
        if report.revision != info.revision:
            context.warn(
                f"{self.picture} was drawn by {info.weights} of revision {info.revision}, this by "
                f"{report.weights} of {report.revision}"
            )
            return
        other = any(
            key in info.parameters and info.parameters[key] != report.parameters.get(key)
            for key in ("content", "crops")
        )
        if other:
            context.warn(f"{self.picture} was made from another photo, or another version of it")
            return
        alone = len(report.files) == 1 and info.drawn is None and "growth" not in info.parameters
        if self._changes() or not alone:
            return
        before, after = expanded(self.picture), Path(report.files[0])
        if before.exists() and before.samefile(after):  # what was there is replaced
            return
        if any(path.suffix.lower() in _LOSSY for path in (before, after)):
            return
        if same_pixels(before, after):
            context.note(f"the same pixels as {self.picture}")
        else:
            context.warn(
                f"the pixels differ from those of {self.picture}: it was edited, or drawn on "
                "another kind of device or by another version"
            )


def _only_its_class(said: dict[str, Any]) -> dict[str, Any]:
    """The class of the picture that a job picks, where it draws several."""
    classes, pick, n = said.get("class"), said.get("pick"), said.get("n")
    if not isinstance(classes, list) or not isinstance(n, int) or pick is None or n < 1:
        return {}
    return {"class": classes[(pick - 1) // n :][:1] or classes}
