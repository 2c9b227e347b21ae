"""`pixelgen sample`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelgen._version import __version__
from pixelgen.checkpoints import DEFAULT_WEIGHTS, Source, find, read_config
from pixelgen.cli.output import Output, slug
from pixelgen.cli.progress import LivePicture
from pixelgen.errors import PixelgenError
from pixelgen.imaging import enlarge, make_grid, square_columns
from pixelgen.labels import imagenet
from pixelgen.pipelines import ClassPipeline, SampleRequest
from pixelgen.pipelines.devices import check_device_name

if TYPE_CHECKING:
    from pixelgen.pipelines import SampleResult


def sample(
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="CLASS",
            help="Number, range (207-210), WordNet id or name; may be repeated. "
            "Without it: no class.",
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Pictures of every class.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the random numbers; drawn if left out.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Below 1: likelier pictures. Default: the weights' own.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Keep this share of the probability. Default: the weights' own."),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Above 1: more like the class. Default: the weights' own."),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Bundled name, folder, or Hub id owner/name, owner/name@revision.")
    ] = DEFAULT_WEIGHTS,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Pictures drawn side by side.")] = 16,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE|DIR|-", help="A .png file, a folder, or - for stdout."
        ),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid/--separate", help="One picture of all, or a file each.")
    ] = True,
    scale: Annotated[int, typer.Option(min=1, max=64, help="Enlarge for viewing.")] = 1,
    resample: Annotated[
        Literal["nearest", "lanczos"], typer.Option(help="How to enlarge.")
    ] = "nearest",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON about the result.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Nothing but errors.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Draw pictures of a class: `pixelgen sample --class "golden retriever" -n 4`."""
    check_device_name(device)
    if output == "-" and as_json:
        raise PixelgenError("stdout cannot take both a picture and --json", "-o FILE", 2)
    source = find(weights)
    config = read_config(source.path, source.name)
    request = SampleRequest.make(
        config,
        source.name,
        classes=classes,
        n=n,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
        batch_size=batch_size,
    )
    stem = f"pixelgen-{_subject(request.classes)}-s{request.drawing.seed}"
    target = Output.plan(output, stem, 1 if grid else request.count, force)
    view = {"grid": grid, "scale": scale} | ({"resample": resample} if scale > 1 else {})
    texts = _texts(request, source, target.count, view)
    target.refuse_to_overwrite(texts)

    pipe = ClassPipeline.from_pretrained(source, device)
    with LivePicture(request.count, quiet or as_json) as picture:
        result = pipe.run(request, picture if picture.active else None)
    images = [enlarge(image, scale, resample) for image in result.images]
    if grid:
        columns = request.n if len(request.classes) > 1 < request.n else square_columns(len(images))
        images = [make_grid(images, columns, gap=2 * scale)]
    files = target.write(images, texts)
    _tell(result, pipe, files, as_json, quiet)


def _subject(classes: Sequence[int]) -> str:
    """What the pictures show, for a file name."""
    if not classes:
        return "unconditional"
    if len(classes) > 1:
        return f"{len(classes)}-classes"
    return slug(imagenet()[classes[0]].names[0])


def _texts(
    request: SampleRequest, source: Source, files: int, view: dict[str, Any]
) -> list[dict[str, str]]:
    """The PNG text chunks of every file: all that is needed to make it again."""
    parameters = request.parameters() | view
    common = {
        "Software": f"pixelgen {__version__}",
        "seed": str(request.drawing.seed),
        "weights": source.name,
        "revision": source.revision(),
    }
    return [
        common | {"parameters": json.dumps(parameters | ({} if view["grid"] else {"picture": i}))}
        for i in range(files)
    ]


def _tell(
    result: SampleResult, pipe: ClassPipeline, files: Sequence[Path], as_json: bool, quiet: bool
) -> None:
    """Paths or JSON on stdout, a closing line on stderr."""
    if as_json:
        facts = {
            "files": [str(file) for file in files],
            "seed": result.seed,
            "weights": pipe.checkpoint.name,
            "revision": pipe.checkpoint.revision,
            "device": str(pipe.device),
            "classes": result.classes,
            "bits_per_dim": [round(bits, 4) for bits in result.bits_per_dim],
            "seconds": round(result.seconds, 3),
            "parameters": result.parameters,
        }
        typer.echo(json.dumps(facts))
        return
    for file in files:
        typer.echo(str(file))
    if not quiet:
        mean = sum(result.bits_per_dim) / len(result.bits_per_dim)
        count = len(result.images)
        typer.echo(
            f"{count} picture{'s' * (count > 1)} in {result.seconds:.1f} s, seed {result.seed}, "
            f"{mean:.2f} bits/dim",
            err=True,
        )
