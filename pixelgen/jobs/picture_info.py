"""What made a picture, by the text in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelgen.errors import InputError
from pixelgen.files import expanded, open_file
from pixelgen.imaging import SOURCE_TYPE, picture_text
from pixelgen.jobs.json_options import options_of
from pixelgen.jobs.registry import DRAWING_JOBS, job_type
from pixelgen.jobs.report import Report, json_field
from pixelgen.json_text import check_unicode, parse_json

PHOTO_KEYS = ("photos", "images", "image")
"""Keys of jobs that are photos: arguments of their commands."""
_COMMANDS = {
    "codes": "decode",
    "pictures": "score",
    "images": "reconstruct",
    "image": "complete",
    "steps": "interpolate",
    "photos": "portrait",
    "classes": "sample",
}
"""The command by a parameter that those listed below it do not have."""
_KEYS = {"classes": "class", "bottlenecks": "bottleneck"}
"""Keys of a job that are not those of the parameters."""
_CUTS: dict[str, dict[str, Any]] = {
    "crop": {},
    "stretch": {"resize": True},
    "patches": {"patches": True},
}


@dataclass(frozen=True, kw_only=True)
class PictureInfo(Report):
    """What made a picture."""

    picture: str
    """The file."""
    command: str | None
    """The job that wrote it; None: one that this version does not know."""
    software: str | None
    weights: str
    """Bundled name, folder name or Hub id."""
    revision: str
    """What they are exactly."""
    seed: int | None
    """None where nothing was drawn."""
    pick: int | None
    """Its number, from 1, among the pictures of the job; None: it shows all of them."""
    parameters: dict[str, Any]
    """What, beside weights, seed and pick, determined it."""
    source_type: str | None
    """IPTC's term for what made it, such as trainedAlgorithmicMedia."""
    drawn: str | None
    """The share that is drawn of an unfinished picture, such as "50%"."""
    job: dict[str, Any] | None
    """The job that draws it again, as `pixelgen.run_jobs` takes it; photos are names of files
    without their folders. None for what no job draws."""
    damaged: tuple[str, ...] = json_field(hidden=True)
    """Which of seed and pick are there, but no numbers."""


def picture_info(picture: str | Path) -> PictureInfo:
    """What made `picture`, a file that pixelgen wrote. Raises InputError for a file that cannot be
    read, and for pictures that do not say it."""
    name, path = str(picture), expanded(picture)
    try:
        open_file(path).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {name}: {getattr(error, 'strerror', '') or error}"
        ) from error
    text = picture_text(path)
    if not text:
        raise InputError(
            f"{name} does not say what made it",
            "pictures written by pixelgen do, unless another program has stripped their metadata",
        )
    parameters = _json_object(text.get("parameters", ""))
    if parameters is not None and {"photo", "face"} <= parameters.keys():
        raise InputError(
            f"{name} is a face that `pixelgen faces` cut out of {parameters['photo']}: nothing in "
            "it was drawn"
        )
    if parameters is None or not {"weights", "revision"} <= text.keys():
        raise InputError(f"{name} was not written by pixelgen: its text is that of another program")
    command = next((job for key, job in _COMMANDS.items() if key in parameters), None)
    numbers = {key: _whole(text.get(key)) for key in ("seed", "pick")}
    seed, pick = numbers.values()
    job = None
    if command in DRAWING_JOBS:
        own = {"weights": _pinned(text["weights"], text["revision"]), "seed": seed, "pick": pick}
        values = _job_values(command, parameters) | own
        if "fps" in values:  # of an animation alone
            values["out"] = f"{path.stem}-again{path.suffix}"
        job = {"command": command} | {k: v for k, v in values.items() if v is not None}
    return PictureInfo(
        picture=name,
        command=command,
        software=text.get("Software"),
        weights=text["weights"],
        revision=text["revision"],
        seed=seed,
        pick=pick,
        parameters=parameters,
        source_type=text.get(SOURCE_TYPE),
        drawn=text.get("drawn"),
        job=job,
        damaged=tuple(key for key in numbers if key in text and numbers[key] is None),
    )


def _job_values(command: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a job that `parameters` of a picture determine."""
    known = options_of(job_type(command))
    values = {_KEYS.get(key, key.replace("_", "-")): value for key, value in parameters.items()}
    if values.get("guidance") == 1:  # earlier versions recorded a schedule without effect
        values.pop("guidance-schedule", None)
    cut = parameters.get("cut")
    chosen = {
        key: value for key, value in values.items() if key in known and value not in (None, [])
    }
    # Said only of completions at full size; earlier pictures are of the encoder's codes.
    unsaid = {key: value for key, value in (("raw", True), ("code-steps", 0)) if key in known}
    return unsaid | chosen | (_CUTS.get(cut, {}) if isinstance(cut, str) else {})


def _pinned(weights: str, revision: str) -> str:
    """The reference to the weights that a picture names: on the Hub at their commit."""
    on_hub = weights.count("/") == 1 and not revision.startswith("sha256:")
    return f"{weights}@{revision}" if on_hub else weights


def _json_object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`; None for anything else."""
    try:
        value = parse_json(text)
        check_unicode(value, names_of_files=True)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _whole(text: str | None) -> int | None:
    """The number in `text`; None for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None
