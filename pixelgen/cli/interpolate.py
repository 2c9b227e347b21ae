"""`pixelgen interpolate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from pixelgen.checkpoints import (
    DEFAULT_FACE_WEIGHTS,
    DEFAULT_WEIGHTS,
    CheckpointConfig,
    Source,
    find,
    read_config,
)
from pixelgen.cli import options
from pixelgen.cli.output import Output, check_stdout, slug
from pixelgen.cli.photos import FaceChoice, check_photos, photo_name, read_photo
from pixelgen.cli.progress import LivePicture
from pixelgen.cli.results import (
    describe,
    drawn_facts,
    drawn_line,
    fingerprint,
    synthetic,
    tell,
)
from pixelgen.errors import PixelgenError
from pixelgen.imaging import enlarge, path_sheet, square
from pixelgen.labels import imagenet
from pixelgen.pipelines import (
    ClassPipeline,
    DrawingOptions,
    InterpolationRequest,
    InterpolationResult,
    PortraitPipeline,
    PortraitRequest,
    PortraitResult,
    Progress,
    ReconstructPipeline,
    SampleRequest,
    SampleResult,
)
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

Request = SampleRequest | PortraitRequest | InterpolationRequest
Run = Callable[
    [Callable[[Progress], None] | None], SampleResult | PortraitResult | InterpolationResult
]

_USAGE = 2
_FPS = 10.0


def interpolate(
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHOTO", help="Two or more; - is stdin.", show_default=False),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="CLASS",
            help="Instead of photos, two or more times: number, range, WordNet id or name.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Frames from the first to the last.")] = 9,
    slerp: Annotated[
        bool, typer.Option("--slerp", help="Along the sphere of faces, not straight through it.")
    ] = False,
    bottleneck: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With auto-encoders: numbers that pictures are taken to. Default: the most.",
        ),
    ] = None,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    guidance: Annotated[float | None, options.guidance("the person, class or picture")] = None,
    weights: Annotated[
        str | None, options.weights(f"{DEFAULT_FACE_WEIGHTS}, of classes {DEFAULT_WEIGHTS}")
    ] = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 16,
    face: options.Face = None,
    align: options.Align = True,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|DIR|-",
            help="A .png file, a .gif or .webp animation, a folder, or - for stdout.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=50, help=f"Frames a second of an animation. Default: {_FPS:g}."),
    ] = None,
    ping_pong: Annotated[
        bool, typer.Option("--ping-pong", help="An animation runs there and back.")
    ] = False,
    grid: options.Grid = True,
    scale: options.Scale = 1,
    resample: options.Resample = "nearest",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Draw the way from one face to another: `pixelgen interpolate a.jpg b.jpg -o morph.gif`.

    All frames are drawn with the same random numbers. The picture of all shows the faces in the
    photos at the ends of the way.

    With --weights that hold auto-encoders the photos may be of anything: the way leads from the
    numbers that are left of one to those of the other. The ends show the middle of the photos as
    the network sees it.
    """
    check_device_name(device)
    check_stdout(output, as_json)
    photos, classes = photos or [], classes or []
    check_photos(photos)
    choice = FaceChoice(face, align)
    for_faces = {"--slerp": slerp, "--face": face, "--no-align": not align}
    of_faces = [name for name, given in for_faces.items() if given]
    of_photos = ["a photo"] * bool(photos) + of_faces + ["--bottleneck"] * bool(bottleneck)
    _check_subject(classes, of_photos)
    source = find(weights or (DEFAULT_WEIGHTS if classes else DEFAULT_FACE_WEIGHTS))
    config = read_config(source.path, source.name)
    drawing: DrawingOptions = {
        "seed": seed,
        "temperature": temperature,
        "top_p": top_p,
        "guidance": guidance,
        "batch_size": batch_size,
    }
    request: Request
    if classes:
        request = SampleRequest.make(config, source.name, classes=classes, steps=steps, **drawing)
        names = [imagenet()[index].names[0] for index in request.classes]
    else:
        _check_weights(config, source.name, of_faces, bottleneck)
        if config.bottlenecks:
            request = InterpolationRequest.make(
                config, source.name, len(photos), steps, bottleneck=bottleneck, **drawing
            )
        else:
            request = PortraitRequest.along_path(
                config, source.name, len(photos), steps, slerp=slerp, **drawing
            )
        names = [Path(photo_name(given)).stem for given in photos]
    size = config.picture[1]
    check_amount(steps, size * scale)
    parts = (slug(names[0]), "to", slug(names[-1]), f"s{request.drawing.seed}")
    stem = "-".join(filter(None, ("pixelgen", *parts)))
    target = Output.plan(output, stem, 1 if grid else steps, force, moving=True)
    view: dict[str, Any] = {"grid": grid, "scale": scale}
    view |= ({"resample": resample} if scale > 1 else {}) | _motion(target, fps, ping_pong)
    crops: list[Image.Image] = []
    about = {"seed": str(request.drawing.seed)}
    if isinstance(request, PortraitRequest):
        crops = choice.cut(photos, request.face_size, quiet)
        view |= choice.parameters(photos, crops)
        about = synthetic(grid and not target.animated) | about
    elif isinstance(request, InterpolationRequest):
        # One at a time: a photo may be a thousand times as large as what is kept of it.
        crops = [square(read_photo(given), size) for given in photos]
        view["photos"] = [Path(photo_name(given)).name for given in photos]
        view["crops"] = [fingerprint([crop.tobytes()]) for crop in crops]
    texts = describe(source, request.parameters() | view, target.count, about)
    target.refuse_to_overwrite(texts)

    pipe, run = _prepared(request, crops, source, device)
    with LivePicture(steps, quiet or as_json) as picture:
        result = run(picture if picture.active else None)
    images = [enlarge(image, scale, resample) for image in result.images]
    if target.animated:
        frames = [*images, *images[-2:0:-1]] if ping_pong else images
        files = target.write_animation(frames, texts[0], view["fps"])
    else:
        if grid:
            sources = [enlarge(square(crop, size), scale, resample) for crop in crops]
            images = [path_sheet(sources, images, gap=2 * scale)]
        files = target.write(images, texts)
    facts, line = drawn_facts(result, pipe, files), drawn_line(result)
    if isinstance(request, SampleRequest):
        facts["classes"] = request.classes
    else:
        facts["photos"] = [photo_name(given) for given in photos]
    if isinstance(result, PortraitResult):
        facts["similarity"] = [round(near, 4) for near in result.similarity]
    tell(files, facts, line, as_json, quiet)


def _check_subject(classes: Sequence[str], of_photos: Sequence[str]) -> None:
    """Raises PixelgenError (exit code 2) unless there are either classes, or photos, whose options
    are `of_photos`."""
    if classes and of_photos:
        raise PixelgenError(f"{of_photos[0]} does not go with --class", "", _USAGE)
    if not classes and "a photo" not in of_photos:
        raise PixelgenError("photos or classes must be given", "PHOTO PHOTO or --class", _USAGE)


def _check_weights(
    config: CheckpointConfig, name: str, of_faces: Sequence[str], bottleneck: int | None
) -> None:
    """Raises PixelgenError (exit code 2) for options of faces, `of_faces`, where the weights `name`
    hold auto-encoders, and for a bottleneck where they do not."""
    if config.bottlenecks and of_faces:
        raise PixelgenError(f"{of_faces[0]} is for faces, {name} takes any picture", "", _USAGE)
    if not config.bottlenecks and bottleneck is not None:
        raise PixelgenError(f"--bottleneck is for auto-encoders, {name} has none", "", _USAGE)


def _motion(target: Output, fps: float | None, ping_pong: bool) -> dict[str, Any]:
    """How an animation moves; nothing for pictures. Raises PixelgenError (exit code 2) where
    pictures are asked to move."""
    if target.animated:
        return {"fps": fps or _FPS, "ping_pong": ping_pong}
    if fps is not None or ping_pong:
        name = "--ping-pong" if fps is None else "--fps"
        raise PixelgenError(f"{name} is for animations", "-o FILE.gif or FILE.webp", _USAGE)
    return {}


def _prepared(
    request: Request, crops: Sequence[Image.Image], source: Source, device: str
) -> tuple[ClassPipeline | PortraitPipeline | ReconstructPipeline, Run]:
    """The pipeline, loaded, and what carries out the request with it."""
    if isinstance(request, SampleRequest):
        by_class = ClassPipeline.from_pretrained(source, device)
        return by_class, partial(by_class.run, request)
    if isinstance(request, InterpolationRequest):
        by_code = ReconstructPipeline.from_pretrained(source, device)
        return by_code, partial(by_code.run_path, request, crops)
    by_face = PortraitPipeline.from_pretrained(source, device)
    return by_face, partial(by_face.run, request, crops)
