"""`pixelgen evaluate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelgen.checkpoints import CheckpointConfig, read_config
from pixelgen.cli import completions, options, terminal
from pixelgen.cli.downloads import obtain
from pixelgen.cli.evaluation_tables import (
    print_classification,
    print_evaluation,
    print_identity,
    print_quality,
)
from pixelgen.cli.global_options import largest_picture
from pixelgen.errors import UsageError
from pixelgen.jobs.process_share import ProcessShare
from pixelgen.pipelines.devices import check_device_name
from pixelgen.pipelines.reconstruct_request import CODE_STEPS

if TYPE_CHECKING:
    from pixelgen.checkpoints import LoadedCheckpoint
    from pixelgen.checkpoints.classification import ClassificationScores
    from pixelgen.evaluation.results import Evaluation, Identity, Quality

    Results = tuple[Evaluation, Quality | None, Identity | None, ClassificationScores | None]

_CONFLICTS = (
    ("unconditional", "no_likelihood"),
    ("importance_samples", "no_likelihood"),
    ("quality", "identity"),
    ("reconstructions", "identity"),
)
"""Pairs of options of which only one can be given."""
_SAMPLING = ("temperature", "top_p", "guidance", "seed")
_REQUIRES = {
    ("quality",): ("samples_per_class", "vector_temperature"),
    ("identity",): ("portraits", "people"),
    ("quality", "identity"): ("part", "candidates", *_SAMPLING),
    ("quality", "identity", "classify"): ("no_likelihood",),
}
"""Options that require one of others; auto-encoders, which always draw, require none for the
last."""
_OF_CLASSES = ("samples_per_class", "vector_temperature", "part", "candidates", "unconditional")
_INEFFECTIVE = {
    "autoencoder": _OF_CLASSES,
    "pixelvae": _OF_CLASSES,
    "tokenizer": ("samples_per_class", "seed", "unconditional"),
    "face-embedder": ("unconditional",),
}
"""Options without effect, by the kind of the weights."""


def evaluate(
    weights: Annotated[
        str,
        typer.Argument(
            help="A bundled name, a folder, or a Hub id owner/name.",
            autocompletion=completions.weights,
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="A folder, a CSV, JSONL or parquet file that lists pictures, or a data set "
            "owner/name on the Hub.",
            show_default=False,
        ),
    ],
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "validation",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use only this many rows, spread evenly over the split."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures in a batch.")] = 64,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Measure only the likelihood without classes.")
    ] = False,
    quality: Annotated[
        bool, typer.Option("--quality", help="Judge reconstructions and samples with a classifier.")
    ] = False,
    identity: Annotated[
        bool,
        typer.Option("--identity", help="Judge whether portraits show the people in the photos."),
    ] = False,
    classify: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Measure how often `score --classify` is right, on this many pictures, spread "
            "evenly over the split. Takes a pass of the network for each class of each picture.",
        ),
    ] = None,
    no_likelihood: Annotated[
        bool,
        typer.Option(
            "--no-likelihood",
            help="With --quality, --identity or --classify: skip the likelihood.",
        ),
    ] = False,
    samples_per_class: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --quality: pictures to draw of each class. Default: 4.",
        ),
    ] = None,
    reconstructions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With auto-encoders: pictures to reconstruct, spread evenly. Default: 1000.",
        ),
    ] = None,
    code_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Improve the codes of reconstructions in this many gradient steps (`reconstruct` "
            f"takes {CODE_STEPS}). Default: 0.",
        ),
    ] = None,
    importance_samples: options.ImportanceSamples = None,
    portraits: Annotated[
        int | None,
        typer.Option(min=1, help="With --identity: portraits to draw of each person. Default: 8."),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Candidates for each sample or portrait. Default: the weights' own.",
        ),
    ] = None,
    people: Annotated[
        int | None,
        typer.Option(min=1, help="With --identity: people to draw, spread evenly. Default: all."),
    ] = None,
    part: Annotated[
        Literal["tune", "report", "all"] | None,
        typer.Option(
            help="With --quality or --identity: which half of the classes or people to use: `tune` "
            "to choose options on, `report` to report. Default: all."
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of samples. Default: the weights' own.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Top-p of samples. Default: the weights' own.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance of samples. Default: the weights' own.")
    ] = None,
    vector_temperature: Annotated[
        float | None,
        typer.Option(
            help="With --quality: temperature of class vectors. Default: the weights' own."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of samples. Default: 0.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Evaluate weights on a data set.

    Measures exact bits per dimension over every row of a split, with the
    standard error; for auto-encoders also the quality of reconstructions. Of
    a PixelVAE there are only bounds, which are marked as such.

    --quality judges samples with a classifier: how recognisable, diverse and
    similar to real pictures they are. --identity judges whether portraits
    show the people in the photos without copying these.

    With `accelerate launch -m pixelgen evaluate …` every process measures a
    share of the pictures, with the same figures.

    \b
    Examples:
      pixelgen evaluate imagenet32 --data owner/name --split validation
      pixelgen evaluate imagenet64 --data pictures --quality --no-likelihood
      pixelgen evaluate faces64 --data people --identity --part report --json
    """
    check_device_name(device)
    every = {
        "unconditional": unconditional or None,
        "quality": quality or None,
        "identity": identity or None,
        "classify": classify,
        "no_likelihood": no_likelihood or None,
        "limit": limit,
        "samples_per_class": samples_per_class,
        "reconstructions": reconstructions,
        "code_steps": code_steps,
        "importance_samples": importance_samples,
        "portraits": portraits,
        "candidates": candidates,
        "people": people,
        "part": part,
        "temperature": temperature,
        "top_p": top_p,
        "guidance": guidance,
        "vector_temperature": vector_temperature,
        "seed": seed,
    }
    chosen = {name: value for name, value in every.items() if value is not None}
    for one, other in _CONFLICTS:
        if one in chosen and other in chosen:
            raise UsageError(f"{_flag(one)} cannot be combined with {_flag(other)}")
    share = ProcessShare.of_this_process()
    quiet = quiet or share.rank > 0
    source = obtain(weights, quiet)
    config = read_config(source.path, source.name)
    _check(chosen, source.name, config)

    from pixelgen.checkpoints.storage import load_checkpoint, watch_loading
    from pixelgen.cli.memory import keep_freed_memory
    from pixelgen.cli.progress import loading_note
    from pixelgen.data.row_reader import pictures_up_to
    from pixelgen.evaluation.results import EvaluationReport
    from pixelgen.metrics.shared_batches import shared_among
    from pixelgen.pipelines.devices import pick_device

    start = time.perf_counter()
    keep_freed_memory()
    with nullcontext() if quiet or as_json else watch_loading(loading_note):
        loaded = load_checkpoint(source, pick_device(share.device(device)))
    with shared_among(share.rank, share.count), _progress(quiet or as_json) as progress:
        split_of = {"data": data, "split": split, "limit": limit}
        notes: list[str] = []
        common = split_of | {"batch": batch_size, "progress": progress, "note": notes.append}
        with pictures_up_to(largest_picture()):
            result, judged, people_judged, ranked = _measure(loaded, chosen, common)
    for text in dict.fromkeys(notes):  # two evaluations read the same pictures
        terminal.note(text, quiet)
    if share.rank > 0:  # the first process has the same figures
        return
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
            classification=ranked,
            seconds=round(time.perf_counter() - start, 1),
        )
        terminal.json(report.to_dict(), indent=2, quiet=quiet)
        return
    terminal.line(f"{loaded.name} on {result.images} pictures of {data} ({split})")
    print_evaluation(result, config.likelihood_unit)
    if judged is not None:
        print_quality(judged)
    if people_judged is not None:
        print_identity(people_judged)
    if ranked is not None:
        print_classification(ranked)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _check(chosen: Mapping[str, object], name: str, config: CheckpointConfig) -> None:
    """Raises UsageError for options that lack another one, and for those that have no effect with
    the weights."""
    for alternatives, dependents in _REQUIRES.items():
        satisfied = any(option in chosen for option in alternatives)
        if satisfied or (len(alternatives) > 1 and config.bottlenecks):
            continue
        for option in dependents:
            if option in chosen:
                needed = " or ".join(map(_flag, alternatives))
                raise UsageError(f"{_flag(option)} requires {needed}")
    what = f"{name} is {config.kind_with_article}"
    for option in _INEFFECTIVE.get(config.kind, ()):
        if option in chosen:
            raise UsageError(f"{_flag(option)} has no effect here", what)
    if "unconditional" in chosen and not config.unconditional:
        never = f"{name} was never trained without a class"
        raise UsageError(never, "leave out --unconditional")
    if "reconstructions" in chosen and not config.bottlenecks:
        raise UsageError("--reconstructions requires auto-encoders", what)
    if "code_steps" in chosen and not config.can_encode:
        raise UsageError("--code-steps requires a tokenizer", what)
    if "importance_samples" in chosen and not config.has_prior:
        raise UsageError("--importance-samples requires a PixelVAE", what)
    if "classify" in chosen and not (config.labels and config.can_sample):
        raise UsageError(f"{name} knows no classes to rank")
    only_ranks = {"classify", "no_likelihood"} <= chosen.keys()
    if only_ranks and not {"quality", "identity"} & chosen.keys():
        for option in ("limit", "code_steps"):
            if option in chosen:
                ranked = "only --classify is measured, which says of how many pictures"
                raise UsageError(f"{_flag(option)} has no effect here", ranked)


def _measure(
    weights: LoadedCheckpoint, chosen: Mapping[str, Any], common: Mapping[str, Any]
) -> Results:
    """Run the evaluations that the options ask for; `common` are arguments of all of them."""
    from pixelgen.evaluation.evaluate import evaluate as measure_likelihood
    from pixelgen.evaluation.results import Evaluation

    def arguments(*names: str) -> dict[str, Any]:
        return {name: chosen[name] for name in names if name in chosen} | dict(common)

    likelihood = "no_likelihood" not in chosen
    quality = identity = ranked = None
    if "classify" in chosen:
        from pixelgen.evaluation.classification import measure_classification

        split = {name: value for name, value in common.items() if name != "limit"}
        ranked = measure_classification(weights, pictures=chosen["classify"], **split)
    if "identity" in chosen:
        from pixelgen.evaluation.identity import measure_identity

        people = ("portraits", "candidates", "people", "part")
        identity = measure_identity(weights, **arguments("code_steps", *people, *_SAMPLING))
        if not likelihood:
            return Evaluation(identity.photos), None, identity, ranked
    elif weights.config.bottlenecks:
        from pixelgen.evaluation.autoencoders import measure_autoencoders

        judged: dict[str, Any] = {"likelihood": likelihood, "quality": "quality" in chosen}
        options = arguments("reconstructions", "importance_samples", *_SAMPLING)
        return measure_autoencoders(weights, **options, **judged), None, None, None
    elif "quality" in chosen:
        from pixelgen.evaluation.quality import measure_quality

        classes = ("samples_per_class", "vector_temperature", "part", "candidates")
        quality = measure_quality(weights, **arguments("code_steps", *classes, *_SAMPLING))
        if not likelihood:
            return Evaluation(quality.real.pictures), quality, None, ranked
    elif ranked is not None and not likelihood:
        return Evaluation(ranked.pictures), None, None, ranked
    return (
        measure_likelihood(weights, **arguments("unconditional", "code_steps")),
        quality,
        identity,
        ranked,
    )


@contextmanager
def _progress(hidden: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A context with a function that shows on a terminal how far each step is, unless `hidden`."""
    if hidden or not terminal.shows_progress():  # some versions of rich would write an empty line
        yield lambda step, done, total: None
        return
    from rich.progress import Progress

    with Progress(console=terminal.stderr_console(), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        yield show
