"""`pixelgen portrait`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from pixelgen.checkpoints import DEFAULT_FACE_WEIGHTS, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.live_preview import LivePreview
from pixelgen.cli.output import Output, check_stdout, slug
from pixelgen.cli.partial_results import save_finished_on_interrupt
from pixelgen.cli.photos import FaceChoice, check_photos, photo_name
from pixelgen.cli.results import describe, drawn_facts, drawn_line, synthetic, tell
from pixelgen.cli.view import View, first_of_each
from pixelgen.imaging import portrait_sheet, square
from pixelgen.pipelines import PortraitPipeline, PortraitRequest
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name


def portrait(
    photos: options.Photos,
    n: Annotated[int, typer.Option("-n", help="Portraits.")] = 8,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    guidance: Annotated[float | None, options.guidance("the person")] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw so many for each portrait, and keep the one that is most like the person. "
            "Default: the weights' own.",
            show_default=False,
        ),
    ] = None,
    weights: options.Weights = DEFAULT_FACE_WEIGHTS,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    face: options.Face = None,
    align: options.Align = True,
    output: options.Output = None,
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
    """Draw new portraits of the person in a photo, or in several.

    The picture of all shows the face in the photo at the left, the portraits beside it. They can be
    seen growing.

    \b
    Examples:
      pixelgen portrait me.jpg
      pixelgen portrait me.jpg me-too.jpg -n 16
      pixelgen portrait party.jpg --face 2 --separate
    """
    check_device_name(device)
    check_stdout(output, as_json)
    preview = LivePreview(live, watch, animate, force=force, quiet=quiet, as_json=as_json)
    check_photos(photos)
    choice = FaceChoice(face, align)
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    request = PortraitRequest.for_person(
        config,
        source.name,
        len(photos),
        n,
        candidates=candidates,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
        batch_size=batch_size,
    )
    size = config.image_shape[1]
    check_amount(n, size * scale)
    if grid:  # a sheet shows the photos too
        check_amount(n + len(photos), size * scale)
    check_amount(request.candidate_count, size)
    name = slug(Path(photo_name(photos[0])).stem)
    stem = "-".join(filter(None, ("pixelgen-portrait", name, f"s{request.drawing.seed}")))
    target = Output.plan(output, stem, 1 if grid else n, force)
    crops = choice.cut(photos, request.face_size, quiet)
    view = View(grid, scale, resample)
    parameters = request.parameters() | choice.parameters(photos, crops) | view.parameters()
    seeds = {"seed": str(request.drawing.seed)}
    texts = describe(source, parameters, target.count, synthetic(grid) | seeds)
    target.refuse_to_overwrite(texts)
    preview.refuse_to_overwrite(target, source, parameters, synthetic(True) | seeds)

    def sheet(images: Sequence[Image.Image]) -> Image.Image:
        sources = [square(crop, size) for crop in crops]
        drawn = first_of_each(images, n)
        return portrait_sheet(view.finish(sources), view.finish(drawn), gap=view.gap)

    def choose(images: Sequence[Image.Image]) -> list[Image.Image]:
        h = pipe.person(pipe.embed(crops))
        return [images[i] for i in pipe.choose(images, h, request.drawing.options.candidates)[0]]

    pipe = PortraitPipeline.from_pretrained(source, device)
    with (
        save_finished_on_interrupt(
            target, texts, n, view, sheet, as_json=as_json, quiet=quiet, choose=choose
        ) as finished,
        preview.follow(sheet, finished) as on_step,
    ):
        result = pipe.run(request, crops, on_step)
    files = target.write(view.lay_out(result.images, sheet), texts)
    preview.finish(lambda: sheet(result.images))
    facts = drawn_facts(result, pipe, files, preview) | {
        "photos": [photo_name(given) for given in photos],
        "similarity": [round(near, 4) for near in result.similarity],
    }
    mean = sum(result.similarity) / n
    drawn = request.drawing.options.candidates
    chosen = f", each the nearest of {drawn}" * (drawn > 1)
    line = f"{drawn_line(result, config)}, similarity {mean:.2f}{chosen}"
    tell([*files, *preview.made(target)], facts, line, as_json, quiet)
