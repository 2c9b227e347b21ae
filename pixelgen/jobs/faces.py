"""Find faces, and cut them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixelgen._version import __version__
from pixelgen.errors import InputError, PixelgenError, UsageError
from pixelgen.files import expanded, folded
from pixelgen.imaging import Face, FaceDetector, IfExists, align, detect_faces, residual, save_png
from pixelgen.jobs.context import JobContext
from pixelgen.jobs.job import Job, check_range, option
from pixelgen.jobs.output import check_folder
from pixelgen.jobs.photos import check_photos, photo_name, read_photo
from pixelgen.jobs.report import JsonFields, Report, json_field

if TYPE_CHECKING:
    from PIL import Image

_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class DetectedFace(JsonFields):
    """A face in a photo, places in pixels of it."""

    number: int
    """From 1, the largest face first."""
    box: list[float] = json_field(digits=2)
    """Left, top, right, bottom."""
    score: float = json_field(digits=4)
    """How sure the detector is, up to 1."""
    landmarks: list[list[float]] = json_field(digits=2)
    """x and y of eyes, nose and corners of the mouth."""
    residual: float = json_field(digits=2)
    """How far the landmarks are from those of an average face, in pixels of 64×64."""
    file: str | None = json_field(omit_none=True)
    """Where the aligned face was written."""


@dataclass(frozen=True, kw_only=True)
class PhotoFaces(JsonFields):
    """The faces in a photo."""

    photo: str
    """Its name."""
    faces: list[DetectedFace]
    error: str | None
    """Why there are none."""
    readable: bool = json_field(hidden=True)
    """Whether the photo could be read."""


@dataclass(frozen=True, kw_only=True)
class FacesReport(Report):
    """The faces in photos."""

    photos: list[PhotoFaces]

    def check(self) -> None:
        """Raise InputError if a photo could not be read, or none has a face."""
        photos = self.photos
        unreadable = sum(not photo.readable for photo in photos)
        if len(photos) == 1 and photos[0].error:
            raise InputError(photos[0].error)
        if unreadable:
            raise InputError(f"{unreadable} of {len(photos)} photos could not be read")
        if not any(photo.faces for photo in photos):
            raise InputError(f"no face found in any of {len(photos)} photos")


@dataclass(frozen=True, kw_only=True)
class FacesJob(Job):
    """Find the faces in photos, largest first."""

    photos: Sequence[str]
    """Paths; - is the input stream."""
    output: str | None = option(None, endings=())
    """A folder for every face, aligned; None: they are not written."""
    size: int | None = None
    """Side of a written face in pixels, 8 … 1024; None: 64."""
    force: bool = False
    """Whether existing files are replaced."""

    def __post_init__(self) -> None:
        check_range("size", self.size, 8, 1024)
        if self.size is not None and self.output is None:
            raise UsageError("size requires output", "give a folder", code="size-without-output")

    def run(
        self,
        context: JobContext | None = None,
        on_photo: Callable[[PhotoFaces], None] = lambda photo: None,
    ) -> FacesReport:
        """Find and write them; see `Job.run`. `on_photo` is called after every photo. What could
        not be read, or has no face, is in the report, and raised by its `check`."""
        context = context or JobContext()
        check_photos(self.photos)
        folder = None if self.output is None else expanded(self.output)
        if folder is not None:
            check_folder(folder)
        from pixelgen.imaging.mtcnn import MtcnnDetector

        detector = MtcnnDetector()
        written: set[str] = set()
        done = []
        with context.meter("searching") as meter:
            for path in meter.track(self.photos):
                photo = self._search(path, detector, folder, written, context)
                meter.hide()
                on_photo(photo)
                if photo.error and len(self.photos) > 1:
                    (context.note if photo.readable else context.warn)(photo.error)
                done.append(photo)
        return FacesReport(photos=done)

    def _search(
        self,
        path: str,
        detector: FaceDetector,
        folder: Path | None,
        written: set[str],
        context: JobContext,
    ) -> PhotoFaces:
        """The faces in a photo, or why there are none; they are written to `folder`, if given."""
        name = photo_name(path)
        try:
            image = read_photo(path, context)
        except PixelgenError as error:
            why = f"{error.message} ({error.hint})" if error.hint else error.message
            return PhotoFaces(photo=name, faces=[], error=why, readable=False)
        problem: str | None = None
        faces: list[Face] = []
        try:
            faces = detect_faces(image, detector, name)
        except InputError as error:
            problem = error.message
        files: list[str | None] = [None] * len(faces)
        if folder is not None:
            files = [*self._write(name, image, faces, folder, written)]
        found = [
            DetectedFace(
                number=number,
                box=list(face.box),
                score=face.score,
                landmarks=[[x, y] for x, y in face.landmarks],
                residual=residual(face.landmarks),
                file=file,
            )
            for number, (face, file) in enumerate(zip(faces, files, strict=True), start=1)
        ]
        return PhotoFaces(photo=name, faces=found, error=problem, readable=True)

    def _write(
        self,
        name: str,
        image: Image.Image,
        faces: Sequence[Face],
        folder: Path,
        written: set[str],
    ) -> list[str]:
        """Write faces as NAME-1.png, NAME-2.png, … and add the files to `written`."""
        files, size = [], self.size or _SIZE
        for number, face in enumerate(faces, start=1):
            path = folder / f"{Path(name).stem}-{number}.png"
            # Photos of one name in different folders never replace each other's faces.
            if_exists: IfExists = (
                "replace" if self.force and folded(path) not in written else "number"
            )
            parameters = {"photo": Path(name).name, "face": number, "size": size}
            text = {"Software": f"pixelgen {__version__}", "parameters": json.dumps(parameters)}
            path = save_png(path, align(image, face.landmarks, size), text, if_exists)
            written.add(folded(path))
            files.append(str(path))
        return files
