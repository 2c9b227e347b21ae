"""`pixelgen faces`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen._version import __version__
from pixelgen.cli import options
from pixelgen.cli.output import check_folder
from pixelgen.cli.photos import check_photos, photo_name, read_photo
from pixelgen.cli.progress import ProgressLine
from pixelgen.cli.terminal import note, one_line
from pixelgen.errors import InputError, PixelgenError
from pixelgen.files import expanded, folded
from pixelgen.imaging import Face, FaceDetector, IfExists, align, residual, save_png

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE = 3


@dataclass
class _Photo:
    """A photo, and what became of it."""

    name: str
    """What messages and files call it."""
    faces: Sequence[Face] = ()
    crops: list[Path] = field(default_factory=list)
    """Where the aligned faces were written."""
    trouble: str = ""
    """Why there are no faces."""
    readable: bool = True


def faces(
    photos: options.Photos,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Write every face, aligned, into this folder."
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=8, max=1024, help="Side of a written face.")] = 64,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Find faces, largest first, and cut them out.

    \b
    Examples:
      pixelgen faces party.jpg
      pixelgen faces party.jpg cat.jpg -o crops --size 128
      pixelgen faces party.jpg --json
    """
    check_photos(photos)
    if output is not None:
        output = expanded(output)
        check_folder(output)
    from pixelgen.imaging.mtcnn import MtcnnDetector

    detector = MtcnnDetector()
    written: set[str] = set()
    done = []
    with ProgressLine("searching", quiet or as_json) as meter:
        for given in meter.track(photos):
            photo = _Photo(photo_name(given))
            image = _search(given, photo, detector)
            if image is not None and output is not None:
                _write(photo, image, output, size, force, written)
            meter.hide()
            if photo.faces and not as_json:
                _tell(photo)
            if photo.trouble and len(photos) > 1:
                note(photo.trouble, quiet and photo.readable)
            done.append(photo)
    if as_json and any(photo.faces for photo in done):
        typer.echo(json.dumps({"photos": [_facts(photo) for photo in done]}))
    _end(done)


def _search(given: str, photo: _Photo, detector: FaceDetector) -> Image.Image | None:
    """Fill in the faces of `photo`, or why there are none; the picture, if it could be read."""
    try:
        image = read_photo(given)
    except PixelgenError as error:
        photo.readable = False
        photo.trouble = f"{error.message} ({error.hint})" if error.hint else error.message
        return None
    photo.faces = detector.detect(image)
    if not photo.faces:
        photo.trouble = f"no face found in {photo.name}"
    return image


def _write(
    photo: _Photo, image: Image.Image, folder: Path, size: int, force: bool, written: set[str]
) -> None:
    """Write the faces of `photo` as NAME-1.png, NAME-2.png, … and note the files in `written`."""
    for number, face in enumerate(photo.faces, start=1):
        path = folder / f"{Path(photo.name).stem}-{number}.png"
        # Photos of one name in different folders never replace each other's faces.
        if_exists: IfExists = "replace" if force and folded(path) not in written else "number"
        parameters = {"photo": Path(photo.name).name, "face": number, "size": size}
        text = {"Software": f"pixelgen {__version__}", "parameters": json.dumps(parameters)}
        path = save_png(path, align(image, face.landmarks, size), text, if_exists)
        written.add(folded(path))
        photo.crops.append(path)


def _tell(photo: _Photo) -> None:
    """A line for each face: its file, or photo, number, box and score, separated by tabs."""
    if photo.crops:
        for path in photo.crops:
            typer.echo(str(path))
        return
    for number, face in enumerate(photo.faces, start=1):
        box = " ".join(f"{edge:.0f}" for edge in face.box)
        typer.echo(f"{one_line(photo.name)}\t{number}\t{box}\t{face.score:.3f}")


def _facts(photo: _Photo) -> dict[str, Any]:
    """What `--json` says about a photo: places in pixels, the residual in those of 64×64."""
    found = [
        {
            "number": number,
            "box": [round(edge, 2) for edge in face.box],
            "score": round(face.score, 4),
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in face.landmarks],
            "residual": round(residual(face.landmarks), 2),
        }
        for number, face in enumerate(photo.faces, start=1)
    ]
    for facts, path in zip(found, photo.crops, strict=False):
        facts["file"] = str(path)
    return {"photo": photo.name, "faces": found, "error": photo.trouble or None}


def _end(photos: Sequence[_Photo]) -> None:
    """Raises PixelgenError (exit code 3) if a photo could not be read, or none has a face."""
    unreadable = sum(not photo.readable for photo in photos)
    if len(photos) == 1 and photos[0].trouble:
        raise InputError(photos[0].trouble)
    if unreadable:
        raise InputError(f"{unreadable} of {len(photos)} photos could not be read")
    if not any(photo.faces for photo in photos):
        raise InputError(f"no face found in any of {len(photos)} photos")
