"""`pixelgen complete`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer
from PIL import Image

from pixelgen.checkpoints import DEFAULT_PIXEL_WEIGHTS, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.live_preview import LivePreview
from pixelgen.cli.output import Output, check_stdout, photo_slug
from pixelgen.cli.partial_results import save_finished_on_interrupt
from pixelgen.cli.photos import check_photos, read_photo
from pixelgen.cli.results import describe, drawn_facts, fingerprint, tell
from pixelgen.cli.terminal import note
from pixelgen.cli.view import View, first_of_each
from pixelgen.errors import UsageError
from pixelgen.imaging import cut_hole, make_grid, parse_box, parse_keep
from pixelgen.pipelines import CompletePipeline, CompletionRequest
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

if TYPE_CHECKING:
    from pixelgen.pipelines import CompletionResult


def complete(
    image: Annotated[
        str, typer.Argument(metavar="IMG", help="A picture; - is stdin.", show_default=False)
    ],
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="Fill what is white or transparent in this picture, which is as large as IMG.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="SIDE:PERCENT",
            help="Fill all but this part of the square picture: top:50%, bottom:, left:, right:.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="X,Y,W,H", help="Fill this box, in pixels of IMG."),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            help="Draw this many candidates of every completion and choose one by how well the "
            "known pixels below and after the hole follow from it. At --temperature 1 --top-p 1 "
            "--guidance 1 this is exact in the limit of many; with other values, candidates from "
            "the sharpened distribution are chosen by the model's own likelihood."
        ),
    ] = 1,
    classes: options.Classes = None,
    n: Annotated[int, typer.Option("-n", help="Completions of every class.")] = 4,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    guidance: Annotated[float | None, options.guidance("the class")] = None,
    weights: options.Weights = DEFAULT_PIXEL_WEIGHTS,
    fit: options.Fit = "crop",
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
    """Fill a part of a picture.

    Pixels are drawn in raster order (by the default weights in blocks of
    2×2), each given all before it, above and to the left, known or just
    drawn. Pixels below the hole, or after it in its last row, do NOT
    influence what is drawn, but for --refine. Hidden pixels influence
    nothing.

    The photo is averaged down to the size of the weights. A pixel there is
    filled if at least half of what it covers is hidden. Weights with a
    tokenizer redraw every code whose cell the hole touches; of the others the
    code stays, and the pixels as far as codes can hold them.

    The picture of all shows the original, what is known of it, and the
    completions, in a row for each class. The hole can be seen filling.

    \b
    Examples:
      pixelgen complete cat.jpg --keep top:50% -n 6 --scale 4
      pixelgen complete cat.jpg --box 80,80,96,64 --class tabby
      pixelgen complete cat.jpg --mask mask.png --separate
      pixelgen complete cat.jpg --keep top:50% --animate cat.gif
    """
    check_device_name(device)
    check_stdout(output, as_json)
    preview = LivePreview(live, watch, animate, force=force, quiet=quiet, as_json=as_json)
    if sum(part is not None for part in (mask, keep, box)) != 1:
        raise UsageError("one part must be named", "--mask, --keep or --box")
    check_photos([image] if mask is None else [image, mask])
    inside = None if box is None else parse_box(box)
    kept = None if keep is None else parse_keep(keep)
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    request = CompletionRequest.from_options(
        config,
        source.name,
        classes=classes,
        n=n,
        refine=refine,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
        batch_size=batch_size,
    )
    count = request.sample.count
    check_amount(count, config.image_shape[1] * scale)
    if grid:  # a row begins with the picture and with what is known of it
        check_amount(count + 2 * (count // n), config.image_shape[1] * scale)
    check_amount(request.candidate_count, config.image_shape[1])
    seed = request.sample.drawing.seed
    stem = f"{photo_slug(image)}-completed-s{seed}"
    target = Output.plan(output, stem, 1 if grid else count, force)
    photo = read_photo(image)
    shape = None if mask is None else read_photo(mask)
    hole = cut_hole(photo, config.image_shape[1], fit, mask=shape, box=inside, keep=kept)
    view = View(grid, scale, resample)
    pixels = (hole.photo.tobytes(), hole.around.tobytes(), hole.hidden.tobytes())
    parameters = {"content": fingerprint(pixels)} | request.parameters() | view.parameters()
    texts = describe(source, parameters, target.count, {"seed": str(seed)})
    target.refuse_to_overwrite(texts)
    preview.refuse_to_overwrite(target, source, parameters, {"seed": str(seed)})
    if not hole.hidden.any():
        note("nothing is hidden of what the weights see", quiet)

    pipe = CompletePipeline.from_pretrained(source, device)
    beside = pipe.beside(hole)

    def sheet(images: Sequence[Image.Image]) -> Image.Image:
        images = first_of_each(images, count)
        rows = [images[first : first + n] for first in range(0, len(images), n)]
        shown = [one for row in rows for one in (*beside, *row)]
        return make_grid(view.finish(shown), n + 2, gap=view.gap)

    with (
        save_finished_on_interrupt(target, texts, count, view, sheet, as_json=as_json, quiet=quiet)
        if refine == 1  # a batch of candidates is no batch of pictures
        else nullcontext() as finished,
        preview.follow(sheet, finished) as on_step,
    ):
        result = pipe.run(request, hole, on_step)
    files = target.write(view.lay_out(result.images, sheet), texts)
    preview.finish(lambda: sheet(result.images))
    facts = drawn_facts(result, pipe, files, preview) | {
        "classes": result.classes,
        "drawn": round(result.drawn, 4),
        "effective_candidates": [round(count, 2) for count in result.effective],
    }
    tell([*files, *preview.made(target)], facts, _line(result, refine), as_json, quiet)


def _line(result: CompletionResult, refine: int) -> str:
    """The closing line; `refine` is the number of candidates of each picture."""
    count = len(result.images)
    chosen = ""
    if refine > 1:
        effective = sum(result.effective) / count
        chosen = f", each of {refine} candidates, effectively {effective:.1f}"
    return (
        f"{count} completion{'s' * (count > 1)} of {result.drawn:.0%} of the picture in "
        f"{result.seconds:.1f} s, seed {result.seed}{chosen}"
    )
