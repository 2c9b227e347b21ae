"""`pixelgen reconstruct`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.checkpoints import DEFAULT_RECONSTRUCTION_WEIGHTS, read_config
from pixelgen.cli import options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.live_preview import LivePreview
from pixelgen.cli.output import Output, check_stdout, photo_slug
from pixelgen.cli.photos import list_photos, read_photos
from pixelgen.cli.results import describe, fingerprint, made_facts, tell
from pixelgen.cli.view import View
from pixelgen.errors import UsageError
from pixelgen.imaging import stack_rows, tile_count
from pixelgen.pipelines import ReconstructPipeline, ReconstructRequest
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name
from pixelgen.pipelines.reconstruct_pipeline import LONGEST, Cut, fit_photo

if TYPE_CHECKING:
    from PIL import Image

    from pixelgen.imaging import ReconstructionMetrics
    from pixelgen.pipelines import ReconstructResult


def reconstruct(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMG", help="Pictures or folders; - is stdin.", show_default=False),
    ],
    bottleneck: Annotated[
        list[int] | None,
        typer.Option(help="Numbers in between; may be repeated. Default: all of the weights."),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", help="Samples of each bottleneck. Default: 3.")
    ] = None,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    guidance: Annotated[float | None, options.guidance("the picture")] = None,
    weights: options.Weights = DEFAULT_RECONSTRUCTION_WEIGHTS,
    center_crop: Annotated[
        bool, typer.Option("--center-crop", help="Take the middle square of a photo: the default.")
    ] = False,
    resize: Annotated[
        bool, typer.Option("--resize", help="Squeeze the whole photo into a square.")
    ] = False,
    patches: Annotated[
        bool, typer.Option("--patches", help="Take the photo piece by piece, and join them again.")
    ] = False,
    max_side: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"With --patches: shrink longer photos to so many pixels first ({LONGEST})."
        ),
    ] = None,
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
    """Draw pictures anew from a few numbers each.

    A row shows the original and, for each bottleneck, the mean of the pictures that its numbers may
    be of (a decoder trained on squared errors), and samples of them (a PixelCNN). With weights that
    hold a tokenizer it shows the original and what is left of it. The samples can be seen growing.

    \b
    Examples:
      pixelgen reconstruct cat.jpg dog.png -o sheet.png
      pixelgen reconstruct cat.jpg --patches
      pixelgen reconstruct photos/ --bottleneck 100 -n 5
      pixelgen reconstruct cat.jpg --weights imagenet64
    """
    check_device_name(device)
    check_stdout(output, as_json)
    preview = LivePreview(live, watch, animate, force=force, quiet=quiet, as_json=as_json)
    cut = _cut(center_crop, resize, patches)
    if max_side is not None and cut != "patches":
        raise UsageError("--max-side is for pieces", "--patches")
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    request = ReconstructRequest.from_options(
        config,
        source.name,
        bottlenecks=bottleneck,
        n=n,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
        batch_size=batch_size,
    )
    preview.check_draws(request.drawing is not None, source.name)
    size = config.image_shape[1]
    if request.drawing is not None:  # before so many places are named
        check_amount(request.n * len(request.bottlenecks), size * scale)

    def planned(names: Sequence[str]) -> Output:
        endings = _endings(request, len(names))
        count = 1 if grid else len(endings)
        return Output.plan(output, _stem(request, names), count, force, () if grid else endings)

    planned(list_photos(images))  # a bad place is told before photos are read
    names, pictures = _read(
        images, size, cut, max_side or LONGEST, len(request.columns), scale, quiet
    )
    target = planned(names)
    content = (part for p in pictures for part in (str(p.size).encode(), p.tobytes()))
    view = View(grid, scale, resample)
    about = {} if request.drawing is None else {"seed": str(request.drawing.seed)}
    shown = {"cut": cut} | view.parameters()
    parameters = {"content": fingerprint(content)} | request.parameters() | shown
    texts = describe(source, parameters, target.count, about)
    target.refuse_to_overwrite(texts)
    preview.refuse_to_overwrite(target, source, parameters, about)

    pipe = ReconstructPipeline.from_pretrained(source, device)

    def sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
        return stack_rows([view.finish(row) for row in rows], gap=view.gap)

    with preview.follow(lambda drawn: sheet(pipe.unfinished(request, pictures, drawn))) as on_step:
        result = pipe.run(request, pictures, on_step)
    rows = result.rows()
    every = [image for row in rows for image in row]
    files = target.write(view.lay_out(every, lambda _: sheet(rows)), texts)
    preview.finish(lambda: sheet(rows))
    facts = made_facts(result, pipe, files, preview) | {"pictures": _facts(result, names)}
    tell([*files, *preview.made(target)], facts, _lines(result), as_json, quiet)


def _cut(center_crop: bool, resize: bool, patches: bool) -> Cut:
    """How photos come to the network. Raises PixelgenError (exit code 2) for several ways."""
    if center_crop + resize + patches > 1:
        raise UsageError("give one of --center-crop, --resize and --patches")
    return "patches" if patches else "stretch" if resize else "crop"


def _stem(request: ReconstructRequest, names: Sequence[str]) -> str:
    """What a file that the user does not name is called."""
    subject = f"{len(names)}-pictures"
    if len(names) == 1:
        subject = photo_slug(names[0])
    seed = "" if request.drawing is None else f"-s{request.drawing.seed}"
    return f"{subject}-reconstructed{seed}"


def _endings(request: ReconstructRequest, pictures: int) -> list[str]:
    """How the names of files end that hold a picture each."""
    if pictures == 1:
        return [*request.columns]
    return [f"{i + 1}-{column}" for i in range(pictures) for column in request.columns]


def _read(
    images: Sequence[str],
    size: int,
    cut: Cut,
    longest: int,
    columns: int,
    scale: int,
    quiet: bool,
) -> tuple[list[str], list[Image.Image]]:
    """The names of pictures, and the pictures as the network takes them. Raises PixelgenError for
    unreadable ones, and for too many."""
    names: list[str] = []
    pictures: list[Image.Image] = []
    pieces = 0
    for name, photo in read_photos(images, quiet):
        picture = fit_photo(photo, size, cut, longest)
        pieces += tile_count(*picture.size, size)
        check_amount(pieces * columns, size * scale)
        names.append(name)
        pictures.append(picture)
    return names, pictures


def _lines(result: ReconstructResult) -> str:
    """The closing lines: one for each bottleneck, and one about all."""
    lines = []
    for column in zip(*result.by_source, strict=True):
        line = f"{_mean([made.likeness.psnr for made in column]):.2f} dB PSNR"
        if (bottleneck := column[0].bottleneck) is not None:
            drawn = [near.psnr for made in column for near in made.samples_likeness]
            bits = [made.bits_per_dim or 0.0 for made in column]
            line = (
                f"{bottleneck} numbers: mean {line}, samples {_mean(drawn):.2f} dB, "
                f"{_mean(bits):.2f} bits/dim"
            )
        lines.append(line)
    count = len(result.sources)
    ending = "" if result.seed is None else f", seed {result.seed}"
    lines.append(f"{count} picture{'s' * (count > 1)} in {result.seconds:.1f} s{ending}")
    return "\n".join(lines)


def _facts(result: ReconstructResult, names: Sequence[str]) -> list[dict[str, Any]]:
    """What `--json` says of every picture."""
    return [
        {
            "picture": name,
            "width": picture.width,
            "height": picture.height,
            "reconstructions": [
                {
                    "bottleneck": made.bottleneck,
                    "bits_per_dim": made.bits_per_dim and round(made.bits_per_dim, 4),
                    **_near(made.likeness),
                    "samples": [_near(near) for near in made.samples_likeness],
                }
                for made in row
            ],
        }
        for name, picture, row in zip(names, result.sources, result.by_source, strict=True)
    ]


def _near(likeness: ReconstructionMetrics) -> dict[str, float]:
    return {"psnr": round(likeness.psnr, 3), "ssim": round(likeness.ssim, 4)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
