"""`pixelgen sample`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from PIL import Image

from pixelgen.checkpoints import DEFAULT_WEIGHTS, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.live_preview import LivePreview
from pixelgen.cli.output import Output, check_stdout, slug
from pixelgen.cli.partial_results import save_finished_on_interrupt
from pixelgen.cli.results import describe, drawn_facts, drawn_line, tell
from pixelgen.cli.view import View
from pixelgen.imaging import make_grid, square_columns
from pixelgen.labels import imagenet
from pixelgen.pipelines import ClassPipeline, SampleRequest
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name


def sample(
    classes: options.Classes = None,
    n: Annotated[int, typer.Option("-n", help="Pictures of every class.")] = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    guidance: Annotated[float | None, options.guidance("the class")] = None,
    vector_temperature: options.VectorTemperature = None,
    weights: options.Weights = DEFAULT_WEIGHTS,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
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
    """Draw pictures of a class.

    They can be seen growing. Without --output they go where you are, named after class and seed.

    \b
    Examples:
      pixelgen sample --class 'golden retriever' -n 16
      pixelgen sample -c lion -c pizza -n 8 --scale 4 -o sheet.png
      pixelgen sample -c lion -n 4 --animate lions.gif
      pixelgen sample -c 207 --seed 1 -o - > dog.png
    """
    check_device_name(device)
    check_stdout(output, as_json)
    preview = LivePreview(live, watch, animate, force=force, quiet=quiet, as_json=as_json)
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    request = SampleRequest.from_options(
        config,
        source.name,
        classes=classes,
        n=n,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
        vector_temperature=vector_temperature,
        batch_size=batch_size,
    )
    count = request.count
    check_amount(count, config.image_shape[1] * scale)
    stem = f"pixelgen-{_subject(request.classes)}-s{request.drawing.seed}"
    target = Output.plan(output, stem, 1 if grid else count, force)
    view = View(grid, scale, resample)
    seeds = {"seed": str(request.drawing.seed)}
    parameters = request.parameters() | view.parameters()
    texts = describe(source, parameters, target.count, seeds)
    target.refuse_to_overwrite(texts)
    preview.refuse_to_overwrite(target, source, parameters, seeds)
    several = len(request.classes) > 1 < request.n
    columns = request.n if several else square_columns(count)

    def sheet(images: Sequence[Image.Image]) -> Image.Image:
        return make_grid(view.finish(images), columns, gap=view.gap)

    pipe = ClassPipeline.from_pretrained(source, device)
    with (
        save_finished_on_interrupt(
            target, texts, count, view, sheet, as_json=as_json, quiet=quiet
        ) as finished,
        preview.follow(sheet, finished) as on_step,
    ):
        result = pipe.run(request, on_step)
    files = target.write(view.lay_out(result.images, sheet), texts)
    preview.finish(lambda: sheet(result.images))
    facts = drawn_facts(result, pipe, files, preview) | {"classes": result.classes}
    tell([*files, *preview.made(target)], facts, drawn_line(result, config), as_json, quiet)


def _subject(classes: Sequence[int]) -> str:
    """What the pictures show, for a file name."""
    if not classes:
        return "unconditional"
    if len(classes) > 1:
        return f"{len(classes)}-classes"
    return slug(imagenet()[classes[0]].names[0])
