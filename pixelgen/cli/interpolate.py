"""`pixelgen interpolate`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from pixelgen.checkpoints import DEFAULT_FACE_WEIGHTS, DEFAULT_WEIGHTS, read_config
from pixelgen.cli import completions, options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.live_preview import LivePreview
from pixelgen.cli.output import Output, check_stdout, slug
from pixelgen.cli.partial_results import save_finished_on_interrupt
from pixelgen.cli.photos import FaceChoice, check_photos, photo_name, read_photo
from pixelgen.cli.results import (
    describe,
    drawn_facts,
    drawn_line,
    fingerprint,
    synthetic,
    tell,
)
from pixelgen.cli.view import View, first_of_each
from pixelgen.errors import UsageError
from pixelgen.imaging import path_sheet, square
from pixelgen.labels import imagenet
from pixelgen.pipelines import (
    InterpolatePipeline,
    InterpolationRequest,
    PortraitRequest,
    PortraitResult,
    SampleRequest,
    path_request,
)
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

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
            autocompletion=completions.classes,
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
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of faces: draw so many ways, and keep the one that is most like its places. "
            "Default: the weights' own.",
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    guidance: Annotated[float | None, options.guidance("the person, class or picture")] = None,
    vector_temperature: options.VectorTemperature = None,
    weights: Annotated[
        str | None, options.weights(f"{DEFAULT_FACE_WEIGHTS}, of classes {DEFAULT_WEIGHTS}")
    ] = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
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
    live: options.Live = None,
    watch: options.Watch = None,
    animate: options.Animate = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Draw the way from face to face, from class to class, or from picture to picture.

    All frames are drawn with the same random numbers. The picture of all shows the faces in the
    photos at the ends of the way.

    With --weights that hold auto-encoders the photos may be of anything: the way leads from the
    numbers that are left of one to those of the other. The ends show the middle of the photos as
    the network sees it.

    \b
    Examples:
      pixelgen interpolate --class lion --class cougar -o cats.png
      pixelgen interpolate a.jpg b.jpg -o morph.gif
      pixelgen interpolate cat.jpg dog.png --weights autoencoder32
    """
    check_device_name(device)
    check_stdout(output, as_json)
    preview = LivePreview(live, watch, animate, force=force, quiet=quiet, as_json=as_json)
    photos, classes = photos or [], classes or []
    if not photos and not classes:  # told before weights are looked for
        raise UsageError("photos or classes must be given", "PHOTO PHOTO or --class")
    check_photos(photos)
    choice = FaceChoice(face, align)
    for_faces = {
        "--slerp": slerp,
        "--candidates": candidates is not None,
        "--face": face is not None,
        "--no-align": not align,
    }
    source = obtain(weights or (DEFAULT_WEIGHTS if classes else DEFAULT_FACE_WEIGHTS), quiet)
    config = read_config(source.path, source.name)
    request = path_request(
        config,
        source.name,
        photos=len(photos),
        classes=classes,
        steps=steps,
        slerp=slerp,
        bottleneck=bottleneck,
        candidates=candidates,
        face_options=[name for name, given in for_faces.items() if given],
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
        vector_temperature=vector_temperature,
        batch_size=batch_size,
    )
    if isinstance(request, SampleRequest):
        names = [imagenet()[index].names[0] for index in request.classes]
    else:
        names = [Path(photo_name(given)).stem for given in photos]
    size = config.image_shape[1]
    check_amount(steps, size * scale)
    each = request.drawing.options.candidates if isinstance(request, PortraitRequest) else 1
    check_amount(steps * each, size)
    parts = (slug(names[0]), "to", slug(names[-1]), f"s{request.drawing.seed}")
    stem = "-".join(filter(None, ("pixelgen", *parts)))
    target = Output.plan(output, stem, 1 if grid else steps, force, moving=True)
    view = View(grid, scale, resample)
    shown = view.parameters() | _motion(target, fps, ping_pong)
    crops: list[Image.Image] = []
    about = {"seed": str(request.drawing.seed)}
    if isinstance(request, PortraitRequest):
        crops = choice.cut(photos, request.face_size, quiet)
        shown |= choice.parameters(photos, crops)
        about = synthetic(grid and not target.animated) | about
    elif isinstance(request, InterpolationRequest):
        # One at a time: a photo may be a thousand times as large as what is kept of it.
        crops = [square(read_photo(given), size) for given in photos]
        shown["photos"] = [Path(photo_name(given)).name for given in photos]
        shown["crops"] = [fingerprint([crop.tobytes()]) for crop in crops]
    parameters = request.parameters() | shown
    texts = describe(source, parameters, target.count, about)
    target.refuse_to_overwrite(texts)
    if isinstance(request, PortraitRequest):
        about |= synthetic(True)
    preview.refuse_to_overwrite(target, source, parameters, about)

    def sheet(images: Sequence[Image.Image]) -> Image.Image:
        images = first_of_each(images, steps)
        # The frames of a way that is cut off stand alone: it does not lead to its last source.
        sources = [square(crop, size) for crop in crops] if len(images) == steps else []
        return path_sheet(view.finish(sources), view.finish(images), gap=view.gap)

    pipe = InterpolatePipeline.from_pretrained(source, device)
    with (
        save_finished_on_interrupt(target, texts, steps, view, sheet, as_json=as_json, quiet=quiet)
        if each == 1  # which way is kept is not known before the end
        else nullcontext() as finished,
        preview.follow(sheet, finished) as on_step,
    ):
        result = pipe.run(request, crops, on_step)
    if target.animated:
        images = view.finish(result.images)
        frames = [*images, *images[-2:0:-1]] if ping_pong else images
        files = target.write_animation(frames, texts[0], shown["fps"])
    else:
        files = target.write(view.lay_out(result.images, sheet), texts)
    preview.finish(lambda: sheet(result.images))
    facts, line = drawn_facts(result, pipe, files, preview), drawn_line(result, config)
    if isinstance(request, SampleRequest):
        facts["classes"] = request.classes
    else:
        facts["photos"] = [photo_name(given) for given in photos]
    if isinstance(result, PortraitResult):
        line += f", the nearest of {each} ways" * (each > 1)
        facts["similarity"] = [round(near, 4) for near in result.similarity]
    tell([*files, *preview.made(target)], facts, line, as_json, quiet)


def _motion(target: Output, fps: float | None, ping_pong: bool) -> dict[str, Any]:
    """How an animation moves; nothing for pictures. Raises PixelgenError (exit code 2) where
    pictures are asked to move."""
    if target.animated:
        return {"fps": fps or _FPS, "ping_pong": ping_pong}
    if fps is not None or ping_pong:
        name = "--ping-pong" if fps is None else "--fps"
        raise UsageError(f"{name} is for animations", "-o FILE.gif or FILE.webp")
    return {}
