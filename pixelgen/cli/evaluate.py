"""`pixelgen evaluate`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelgen.checkpoints import CheckpointConfig, read_config
from pixelgen.cli import completions, options
from pixelgen.cli.console import shows_progress, stderr_console
from pixelgen.cli.downloads import obtain
from pixelgen.cli.identity_table import tell_identity
from pixelgen.errors import UsageError
from pixelgen.pipelines.devices import check_device_name

if TYPE_CHECKING:
    from pixelgen.evaluation.results import (
        AutoencoderScores,
        BitsPerDim,
        DecoderScores,
        Evaluation,
        Quality,
        QualityScores,
    )


def evaluate(
    weights: Annotated[
        str,
        typer.Argument(
            help="A name, a folder, or a Hub owner/name.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ],
    data: Annotated[
        str, typer.Option(help="A folder, or a Hub data set owner/name.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="The split to measure on.")] = "validation",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many rows, spread evenly over the split.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at a time.")] = 64,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Measure without classes only.")
    ] = False,
    quality: Annotated[
        bool, typer.Option("--quality", help="Judge reconstructions and samples by a classifier.")
    ] = False,
    identity: Annotated[
        bool,
        typer.Option("--identity", help="Judge whether portraits are of the people in the photos."),
    ] = False,
    no_likelihood: Annotated[
        bool,
        typer.Option("--no-likelihood", help="With --quality or --identity: nothing else."),
    ] = False,
    samples_per_class: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --quality: pictures to draw of every class. Default: 4.",
        ),
    ] = None,
    reconstructions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With auto-encoders: so many pictures are reconstructed, spread evenly. "
            "Default: 1000.",
        ),
    ] = None,
    portraits: Annotated[
        int | None,
        typer.Option(min=1, help="With --identity: portraits of every person. Default: 8."),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --identity: pictures to draw for every portrait. Default: the weights' own.",
        ),
    ] = None,
    people: Annotated[
        int | None,
        typer.Option(min=1, help="With --identity: so many people, spread evenly. Default: all."),
    ] = None,
    part: Annotated[
        Literal["tune", "report", "all"] | None,
        typer.Option(
            help="With --quality or --identity: every second class or person, to choose settings "
            "by; the others, to report; or all, the default."
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of what is drawn. Default: the weights' own.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Of what is drawn. Default: the weights' own.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Of what is drawn. Default: the weights' own.")
    ] = None,
    vector_temperature: Annotated[
        float | None,
        typer.Option(help="With --quality: of vectors of classes. Default: the weights' own."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is drawn. Default: 0.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure weights on a data set.

    Exact bits per dimension over every row of a split, with its standard
    error. Of auto-encoders also how near to the pictures both decoders come.

    --quality judges by a classifier: how recognisable, near to real pictures
    and diverse samples are. --identity judges whether portraits are of the
    people in the photos, and no copies of these.

    \b
    Examples:
      pixelgen evaluate imagenet32 --data owner/name --split validation
      pixelgen evaluate imagenet64 --data pictures --quality --no-likelihood
      pixelgen evaluate faces64 --data people --identity --part report --json
    """
    check_device_name(device)
    if unconditional and no_likelihood:
        raise UsageError("--unconditional is of the likelihood", "drop --no-likelihood")
    if quality and identity:
        raise UsageError("--quality is of classes, --identity of people", "choose one")
    if reconstructions is not None and identity:
        raise UsageError("--reconstructions is of auto-encoders, --identity of people")
    given = {
        "no_likelihood": no_likelihood or None,
        "part": part,
        "temperature": temperature,
        "top_p": top_p,
        "guidance": guidance,
        "seed": seed,
    }
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    # Auto-encoders draw what they reconstruct also where nobody judges it.
    draws = quality or identity or bool(config.bottlenecks)
    options: dict[str, Any] = _given(given, "--quality or --identity", draws)
    options.pop("no_likelihood", None)
    of_classes = {"samples_per_class": samples_per_class, "vector_temperature": vector_temperature}
    options |= _given(of_classes, "--quality", quality)
    of_people = {"portraits": portraits, "candidates": candidates, "people": people}
    options |= _given(of_people, "--identity", identity)
    foreign = of_classes | {"unconditional": unconditional or None, "part": part, "seed": seed}
    _refuse(source.name, config, foreign)
    if reconstructions is not None and not config.bottlenecks:
        what = "--reconstructions is for what auto-encoders make"
        raise UsageError(what, f"{source.name} is {config.called}")

    from rich.progress import Progress

    from pixelgen.checkpoints import load_checkpoint
    from pixelgen.cli.memory import keep_freed_memory
    from pixelgen.evaluation.evaluate import evaluate as measure
    from pixelgen.evaluation.results import Evaluation, EvaluationReport
    from pixelgen.pipelines.devices import pick_device

    start = time.perf_counter()
    keep_freed_memory()
    loaded = load_checkpoint(source, pick_device(device))
    hidden = quiet or as_json or not shows_progress()
    with Progress(console=stderr_console(), transient=True, disable=hidden) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        shared: dict[str, Any] = {"limit": limit, "batch": batch_size, "progress": show}
        judged = people_judged = None
        if identity:
            from pixelgen.evaluation.identity import measure_identity

            people_judged = measure_identity(loaded, data, split, **shared, **options)
        if people_judged is not None and no_likelihood:
            result = Evaluation(people_judged.photos, None, None, None)
        elif config.bottlenecks:
            from pixelgen.evaluation.autoencoders import measure_autoencoders

            options |= {"likelihood": not no_likelihood, "quality": quality}
            if reconstructions is not None:
                options["reconstructions"] = reconstructions
            result = measure_autoencoders(loaded, data, split, **shared, **options)
        else:
            if quality:
                from pixelgen.evaluation.quality import measure_quality

                judged = measure_quality(loaded, data, split, **shared, **options)
            if judged is not None and no_likelihood:
                result = Evaluation(judged.real.pictures, None, None, None)
            else:
                result = measure(loaded, data, split, unconditional=unconditional, **shared)
    if as_json:
        report = EvaluationReport(
            weights=loaded.name,
            revision=loaded.revision,
            data=data,
            split=split,
            limit=limit,
            result=result,
            quality=judged,
            identity=people_judged,
            seconds=round(time.perf_counter() - start, 1),
        )
        typer.echo(json.dumps(report.to_dict(), indent=2))
        return
    typer.echo(f"{loaded.name} on {result.images} pictures of {data} ({split})")
    _tell_likelihood(result, config.unit)
    if result.autoencoders is not None:
        _tell_autoencoders(result.autoencoders)
    if judged is not None:
        _tell_quality(judged)
    if people_judged is not None:
        tell_identity(people_judged)


def _given(options: dict[str, Any], what: str, wanted: bool) -> dict[str, Any]:
    """The options that were given. Raises PixelgenError (exit code 2) where they are not `wanted`,
    being for `what`."""
    found = {name: value for name, value in options.items() if value is not None}
    if found and not wanted:
        name = next(iter(found)).replace("_", "-")
        raise UsageError(f"--{name} is for {what}", f"add {what}")
    return found


_IDLE = {
    "autoencoder": ("samples_per_class", "vector_temperature", "part", "unconditional"),
    "tokenizer": ("samples_per_class", "seed", "unconditional"),
    "face-embedder": ("unconditional",),
}
"""Options that would do nothing, by the kind of the weights."""


def _refuse(name: str, config: CheckpointConfig, options: Mapping[str, object]) -> None:
    """Raises PixelgenError (exit code 2) for options that do nothing with these weights."""
    for option in _IDLE.get(config.kind, ()):
        if options[option] is not None:
            what = f"--{option.replace('_', '-')} does nothing here"
            raise UsageError(what, f"{name} is {config.called}")


def _tell_likelihood(result: Evaluation, unit: str) -> None:
    for name in ("given_vectors", "conditional", "unconditional"):
        figure: BitsPerDim | None = getattr(result, name)
        if figure is not None:
            error = "" if figure.standard_error is None else f" ± {figure.standard_error:.4f}"
            typer.echo(f"{name.replace('_', ' '):>13}  {figure.bits_per_dim:.4f}{error} {unit}")
    if (near := result.reconstruction) is not None:
        apart = "" if near.perceptual is None else f", perceptual distance {near.perceptual:.4f}"
        typer.echo(f"{'reconstructed':>13}  {near.psnr:.2f} dB PSNR, {near.ssim:.4f} SSIM{apart}")

    if (told := result.verification) is not None:
        typer.echo(
            f"{'people':>13}  {told.auc:.4f} ROC AUC, {told.accepted:.1%} of {told.pairs} pairs "
            f"accepted at 1 % of {told.others} others"
        )


def _tell_quality(quality: Quality) -> None:
    """What was judged, and a table."""
    how = ""
    if (drawn := quality.sampling) is not None:
        how = (
            f"; samples: {drawn.samples_per_class} a class, temperature {drawn.temperature:g}, "
            f"top-p {drawn.top_p:g}, guidance {drawn.guidance:g}, seed {drawn.seed}"
        )
        if drawn.vector_temperature is not None:
            how += f", vector temperature {drawn.vector_temperature:g}"
    size, few = quality.judge_size, "" if quality.part == "all" else f" (part {quality.part})"
    typer.echo(f"{quality.classes} classes{few}, judged at {size}×{size}{how}")
    typer.echo(f"{'':13}  {'top-1':>7}  {'top-5':>7}  {'KID':>16}  {'diversity':>9}")
    for name in ("real", "reconstructed", "samples"):
        marks: QualityScores | None = getattr(quality, name)
        if marks is None:
            continue
        kid = "–"
        if marks.kid is not None:
            error = marks.kid.standard_error
            kid = f"{marks.kid.mean:.4f}" + ("" if error is None else f" ± {error:.4f}")
        diversity = "–" if marks.diversity is None else f"{marks.diversity:.3f}"
        shares = f"{marks.top1:>7.1%}  {marks.top5:>7.1%}"
        typer.echo(f"{name:>13}  {shares}  {kid:>16}  {diversity:>9}")


def _tell_autoencoders(figures: AutoencoderScores) -> None:
    """Likelihoods, and a table of both decoders, for every bottleneck."""
    drawn, size = figures.sampling, figures.judge_size
    judged = "" if size is None else f", judged at {size}×{size}"
    typer.echo(
        f"{figures.pictures} pictures made anew, one sample each: temperature "
        f"{drawn.temperature:g}, top-p {drawn.top_p:g}, guidance {drawn.guidance:g}, "
        f"seed {drawn.seed}{judged}"
    )
    for each in figures.bottlenecks:
        typer.echo(f"{each.bottleneck} numbers")
        for name, called in (
            ("given", "given"),
            ("shuffled", "of another"),
            ("without", "without"),
        ):
            bits: BitsPerDim | None = getattr(each, name)
            if bits is not None:
                error = "" if bits.standard_error is None else f" ± {bits.standard_error:.4f}"
                typer.echo(f"{called:>13}  {bits.bits_per_dim:.4f}{error} bits/dim")
        for name in ("mean", "samples"):
            made: DecoderScores = getattr(each, name)
            line = f"{made.psnr:.2f} dB PSNR, {made.ssim:.4f} SSIM"
            if made.perceptual is not None:
                line += f", perceptual distance {made.perceptual:.4f}"
            line += f", sharpness {made.sharpness:.3f}"
            if (seen := made.judged) is not None:
                line += f", same class {seen.top1:.1%}, among five {seen.top5:.1%}"
                line += "" if seen.kid is None else f", KID {seen.kid.mean:.4f}"
            typer.echo(f"{name:>13}  {line}")
