"""`pixelgen score`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelgen.checkpoints import DEFAULT_PIXEL_WEIGHTS, read_config
from pixelgen.cli import completions, options
from pixelgen.cli.downloads import obtain
from pixelgen.cli.output import Output
from pixelgen.cli.photos import list_photos, read_photos
from pixelgen.cli.progress import ProgressLine
from pixelgen.cli.results import describe, fingerprint, tell
from pixelgen.cli.terminal import one_line
from pixelgen.errors import UsageError
from pixelgen.imaging import check_rows, heat_sheet, square
from pixelgen.labels import imagenet
from pixelgen.pipelines import ScorePipeline, ScoreRequest
from pixelgen.pipelines.codes_file import check_amount
from pixelgen.pipelines.devices import check_device_name

if TYPE_CHECKING:
    from pixelgen.pipelines import Score, ScoreResult


def score(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMG", help="Pictures or folders; - is stdin.", show_default=False),
    ],
    weights: options.Weights = DEFAULT_PIXEL_WEIGHTS,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            "-c",
            metavar="CLASS",
            help="Given this class: number, WordNet id or name. Without it: no class.",
            autocompletion=completions.classes,
        ),
    ] = None,
    classify: Annotated[
        bool,
        typer.Option(
            "--classify",
            help="Also the 5 classes that explain each picture best, with p(class | picture), all "
            "classes of the weights as likely before. A pass of the network for each class.",
        ),
    ] = False,
    heat: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Write each picture beside its surprise, pixel by pixel (for weights with a "
            "tokenizer code by code), to this .png.",
        ),
    ] = None,
    fit: options.Fit = "crop",
    device: options.Device = "auto",
    batch_size: options.BatchSize = 32,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Measure how surprising pictures are, the most surprising first.

    The figures are exact: -log2 p(picture) in bits, in all and per dimension
    (pixel and channel), of the picture averaged down to the size of the
    weights. Of weights with a tokenizer they are those of its codes, per
    code.

    \b
    Examples:
      pixelgen score photos/ cat.jpg
      pixelgen score cat.jpg --map heat.png
      pixelgen score cat.jpg --classify --json
    """
    check_device_name(device)
    if heat == "-":
        raise UsageError("stdout holds the figures", "--map FILE.png")
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    request = ScoreRequest.from_options(
        config, source.name, label=label, classify=classify, batch_size=batch_size
    )
    size = config.image_shape[1]
    count = len(list_photos(images))
    check_amount(count, size)
    target = None
    if heat is not None:
        check_rows(count, size)
        target = Output.plan(heat, "pixelgen-score", 1, force)
    names, squares = [], []
    for name, image in read_photos(images, quiet):
        names.append(name)
        squares.append(square(image, size, fit))
    about = {
        "pictures": names,
        "content": fingerprint(image.tobytes() for image in squares),
        "class": request.label,
        "fit": fit,
    }
    texts = describe(source, about, 1)
    if target is not None:
        target.refuse_to_overwrite(texts)

    pipe = ScorePipeline.from_pretrained(source, device)
    with ProgressLine("scoring", quiet or as_json) as meter:
        result = pipe.run(request, squares, progress=meter)
    ranked = sorted(
        zip(names, result.scores, strict=True), key=lambda pair: pair[1].bits, reverse=True
    )
    file = None
    if target is not None:
        place = "pixel" if config.tokenizer is None else "position of the codes"
        sheet = heat_sheet(
            [one.image for _, one in ranked],
            [one.surprise for _, one in ranked],
            [f"{one.bits_per_dim:.3f} {result.unit}  {name}" for name, one in ranked],
            f"bits per {place}",
        )
        (file,) = target.write([sheet], texts)
    facts = {
        "weights": pipe.checkpoint.name,
        "revision": pipe.checkpoint.revision,
        "device": str(pipe.device),
        "unit": result.unit,
        "values": result.values,
        "class": result.label,
        "fit": fit,
        "map": None if file is None else str(file),
        "seconds": round(result.seconds, 3),
        "pictures": [_facts(name, one) for name, one in ranked],
    }
    if not as_json:
        _table(ranked, result.unit)
    tell([], facts, _line(result, pipe.checkpoint.name, file), as_json, quiet)


def _table(ranked: Sequence[tuple[str, Score]], unit: str) -> None:
    """A line for each picture on stdout, those of its classes below it."""
    typer.echo(f"{unit:>9}  {'bits':>9}  picture")
    for name, one in ranked:
        typer.echo(f"{one.bits_per_dim:>9.4f}  {one.bits:>9.1f}  {one_line(name)}")
        for guess in one.ranking:
            typer.echo(f"{'':22}{guess.probability:>6.1%}  {guess.index} {_name(guess.index)}")


def _line(result: ScoreResult, weights: str, file: Path | None) -> str:
    """The closing line; `file` holds the map."""
    given = "no class" if result.label is None else f"class {_name(result.label)}"
    where = "" if file is None else f", map in {file}"
    count = len(result.scores)
    return (
        f"{count} picture{'s' * (count > 1)} in {result.seconds:.1f} s, {weights}, {given}{where}"
    )


def _facts(name: str, one: Score) -> dict[str, Any]:
    return {
        "picture": name,
        "bits_per_dim": round(one.bits_per_dim, 6),
        "bits": round(one.bits, 3),
        "classes": [
            {
                "index": guess.index,
                "name": _name(guess.index),
                "probability": guess.probability,
                "bits_per_dim": round(guess.bits_per_dim, 6),
            }
            for guess in one.ranking
        ],
    }


def _name(index: int) -> str:
    """What a class is called; labels beyond ILSVRC have no name."""
    every = imagenet()
    return every[index].names[0] if index < len(every) else f"class {index}"
