"""The model card of weights, from the recipes that made them and the figures that were measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelgen.checkpoints import CheckpointConfig, Figure, ModelCard
from pixelgen.errors import InputError, PixelgenError
from pixelgen.files import read_file
from pixelgen.models.config import AutoencoderConfig, FaceEmbedderConfig, TokenizerConfig
from pixelgen.publishing.figures import bits_text, kid_figures
from pixelgen.publishing.identity_figures import identity_figures
from pixelgen.toml import parse_toml
from pixelgen.training.recipe import Recipe, recipe_from_dict
from pixelgen.training.tasks import kind_of_task

SHEET = "samples.png"
"""The file of samples beside a card."""


@dataclass(frozen=True)
class Trained:
    """How one network of a folder was trained."""

    recipe: Recipe
    """What made it."""
    facts: Mapping[str, Any]
    """What config.json says of its training."""

    @staticmethod
    def read(facts: Mapping[str, Any]) -> Trained:
        """With the recipe in `facts`. Raises ValueError, KeyError or TypeError where there is none
        that fits."""
        return Trained(recipe_from_dict(parse_toml(str(facts["recipe"]).encode())), facts)


_LARGEST_EVALUATION = 2**22


def read_evaluation(path: Path) -> dict[str, Any]:
    """What `pixelgen evaluate --json` wrote. Raises PixelgenError (exit code 3) for other files."""
    try:
        values = json.loads(read_file(path, _LARGEST_EVALUATION))
        # The fields that `card_of` reads.
        for key in ("data", "split", "images", "reconstruction"):
            values[key]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is not the output of `pixelgen evaluate --json`: {error}"
        ) from error
    return dict(values)


def card_of(
    name: str,
    runs: Sequence[Trained],
    labels: Sequence[int],
    picture: tuple[int, int],
    evaluation: Mapping[str, Any] | None,
    parts: Mapping[str, Mapping[str, Any]],
    sheet: bool,
) -> ModelCard:
    """The card of the weights `name`, made by `runs`, of the classes `labels`, for pictures of
    `picture` rows and columns.

    `evaluation` is of `read_evaluation`; `parts` tells how the networks that the runs built on were
    trained, by what they are; with `sheet` there is a sheet of samples beside the card.
    """
    recipe = runs[0].recipe
    config, text = recipe.model, recipe.card
    height, width = picture
    size = f"{width}×{height}"
    task, figures = kind_of_task(recipe), []
    unit = task.figure_unit
    if evaluation is not None:
        where = f"{evaluation['split']} split, {evaluation['images']} pictures"
        again = (
            f"pixelgen evaluate {name} --data {evaluation['data']} --split {evaluation['split']}"
        )
        if (limit := evaluation.get("limit")) is not None:
            again += f" --limit {limit}"
        for kind, called in (
            ("given_vectors", "given class and features of each"),
            ("conditional", "conditional"),
            ("unconditional", "unconditional"),
        ):
            if (figure := evaluation.get(kind)) is not None:
                figures.append(Figure(f"{unit}, {called}, {where}", bits_text(figure), again))
        if (told := evaluation.get("verification")) is not None:
            what = f"all pairs, {where}"
            figures.append(Figure(f"ROC AUC of verification, {what}", f"{told['auc']:.4f}", again))
            what = f"true accepts at 1 % false accepts, {what}"
            figures.append(Figure(what, f"{told['accepted']:.1%}", again))
        if (near := evaluation["reconstruction"]) is not None:
            what = f"of reconstructions, {where}"
            figures.append(Figure(f"dB PSNR {what}", f"{near['psnr']:.2f}", again))
            figures.append(Figure(f"SSIM {what}", f"{near['ssim']:.4f}", again))
            if near["perceptual"] is not None:
                figures.append(
                    Figure(f"perceptual distance {what}", f"{near['perceptual']:.4f}", again)
                )
        if (measured := evaluation.get("autoencoders")) is not None:
            figures += _autoencoder_figures(measured, where, evaluation["split"], again)
        if (quality := evaluation.get("quality")) is not None:
            figures += _quality_figures(quality, f"{evaluation['split']} split", again)
        if (identity := evaluation.get("identity")) is not None:
            figures += identity_figures(identity, f"{evaluation['split']} split", again)
    for run in runs:
        if (figure := run.facts.get(f"held_out_{task.figure}")) is not None:
            data = run.recipe.data
            count = run.facts.get("held_out_pictures") or data.holdout
            where = f"{count} pictures held out of the {data.split} split"
            if isinstance(run.recipe.model, AutoencoderConfig):
                where = f"given the {run.recipe.model.bottleneck} numbers of each, {where}"
            if run.recipe.model.vector_components:
                where = f"given class and features of each, {where}"
            figures.append(Figure(f"{unit}, {where}", f"{figure:.4f}"))
    if isinstance(config, FaceEmbedderConfig):
        shown = "Held-out faces, each followed by those nearest to it"
        summary = f"A face embedder: aligned {size} faces as points on a sphere."
        use = f"pixelgen evaluate {name} --data FACES"
    elif isinstance(config, TokenizerConfig):
        shown = "Pictures, each with its reconstruction"
        summary = f"A tokenizer: {size} pictures as grids of codes, and back."
        use = f"pixelgen encode photo.jpg --weights {name} -o codes.safetensors"
    elif isinstance(config, AutoencoderConfig):
        models = (run.recipe.model for run in runs)
        each = (m.bottlenecks for m in models if isinstance(m, AutoencoderConfig))
        numbers = " or ".join(str(size) for sizes in each for size in sizes)
        shown = "Pictures, each with its mean and its samples"
        summary = (
            f"{size} pictures as {numbers} numbers, and back: a deconvolutional decoder gives "
            "their mean, a Gated PixelCNN draws pictures that they may be of."
        )
        use = f"pixelgen reconstruct photo.jpg --weights {name}"
    elif recipe.data.embedder:
        shown = "Faces, each followed by portraits of the person"
        summary = f"An autoregressive model of {size} portraits of the person in a photo."
        use = f"pixelgen portrait photo.jpg --weights {name}"
    else:
        shown = "Samples"
        kind = "class-conditional" if config.classes else "unconditional"
        summary = f"A {kind} autoregressive model of {size} pictures."
        use = f"pixelgen sample --weights {name}" + (f" --class {labels[0]}" if labels else "")
    candidates = runs[0].recipe.sampling.candidates
    selected = f"each the most similar of {candidates}" if candidates > 1 else "not selected"
    return ModelCard(
        name=name,
        summary=text.summary or summary,
        license=text.license,
        license_text=text.license_text,
        data=text.data,
        recipe=_trainings(runs, parts),
        figures=tuple(figures),
        usage=use,
        samples=((text.sheet or f"{shown}, {size}, {selected}.", SHEET),) if sheet else (),
        limits=text.limits,
    )


def card_again(config: CheckpointConfig, name: str, sheet: bool) -> ModelCard:
    """The card of weights that are used by `name`, of which there is only their configuration.

    Raises PixelgenError where that does not hold the recipe and figures as `pixelgen export` writes
    them; without any recipe the card says what the weights are, and no more.
    """
    training, (_, rows, columns) = config.training, config.image_shape
    if "recipe" not in training:
        what = f"Weights of pixelgen, {config.kind}, for pictures of {columns}×{rows}."
        return ModelCard(name=name, summary=what)
    try:
        runs = [Trained.read(facts) for facts in (training, *training.get("others", ()))]
        evaluation, parts = training.get("evaluation"), training.get("parts", {})
        return card_of(name, runs, config.labels, (rows, columns), evaluation, parts, sheet)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PixelgenError(
            f"no card can be made of the recipe and figures in config.json: {error}",
            "--keep-card takes the README.md beside it",
        ) from error


def _trainings(runs: Sequence[Trained], parts: Mapping[str, Mapping[str, Any]]) -> str:
    """How every run went, and what it built on; of several it is said which is meant."""
    told = [_history(run.facts) for run in runs]
    if len(runs) > 1:
        told = [
            f"### {getattr(run.recipe.model, 'bottleneck', '')} numbers\n\n{history}"
            for run, history in zip(runs, told, strict=True)
        ]
    for kind, training in parts.items():
        if history := _history(training):
            told.append(f"### The {kind} before it\n\n{history}")
    return "\n\n".join(told)


def _history(training: Mapping[str, Any]) -> str:
    """How weights were trained, part after part, the first one first."""
    parts = []
    part: Mapping[str, Any] | None = training
    while part and {"steps", "images", "minutes", "recipe"} <= part.keys():
        parts.append(part)
        part = part.get("before")
    texts = []
    for number, part in enumerate(reversed(parts), 1):
        again = f" --init {part['started_from']}" if "started_from" in part else ""
        which = f"Part {number}: " if len(parts) > 1 else ""
        texts.append(
            f"{which}{part['steps']} steps, {part['images']} pictures, {part['minutes']:.0f} "
            f"minutes, by `pixelgen train{again}` with this recipe:\n\n```toml\n{part['recipe']}```"
        )
    if len(parts) > 1:
        minutes = sum(part["minutes"] for part in parts)
        texts.insert(0, f"{minutes:.0f} minutes in {len(parts)} parts.")
    return "\n\n".join(texts)


def _autoencoder_figures(
    measured: dict[str, Any], where: str, split: str, again: str
) -> list[Figure]:
    """What `AutoencoderFigures` says, as the JSON of `pixelgen evaluate` holds it."""
    figures = []
    few = f"{measured['pictures']} pictures of the {split} split"
    drawn = _options(measured["sampling"])
    of_some = f"{again} --reconstructions {measured['pictures']}{drawn}"
    made = f"{again} --reconstructions {measured['pictures']} --quality{drawn}"
    for each in measured["bottlenecks"]:
        numbers = f"{each['bottleneck']} numbers"
        for kind, called in (
            ("given", f"given its {numbers}"),
            ("shuffled", f"given the {numbers} of another picture"),
            ("without", f"not told the {numbers}"),
        ):
            if (bits := each[kind]) is not None:
                figures.append(Figure(f"bits/dim, {called}, {where}", bits_text(bits), again))
        for kind, called in (("mean", "means"), ("samples", "PixelCNN samples")):
            of = f"of the {called} of {numbers}, {few}"
            near, judged = each[kind], each[kind]["judged"]
            command = of_some if judged is None else made
            value = f"{near['psnr']:.2f} / {near['ssim']:.4f}"
            figures.append(Figure(f"dB PSNR / SSIM {of}", value, command))
            if near["perceptual"] is not None:
                value = f"{near['perceptual']:.4f}"
                figures.append(Figure(f"perceptual distance {of}", value, command))
            value = f"{near['sharpness']:.3f}"
            figures.append(Figure(f"gradient energy, originals = 1, {of}", value, command))
            if judged is not None:
                value = f"{judged['top1']:.1%} / {judged['top5']:.1%}"
                what = "first class of the original first / among the first five"
                figures.append(Figure(f"{what}, {of}", value, command))
                figures += kid_figures(judged["kid"], of, command)
    return figures


def _options(sampling: dict[str, Any]) -> str:
    """How a command says what was drawn by."""
    given = ((name.replace("_", "-"), value) for name, value in sampling.items())
    return "".join(f" --{name} {value}" for name, value in given if value is not None)


def _quality_figures(quality: dict[str, Any], split: str, again: str) -> list[Figure]:
    """What `Quality` says, as the JSON of `pixelgen evaluate --quality` holds it."""
    part = "" if quality["part"] == "all" else f" ({quality['part']} half)"
    where = f"{quality['classes']} classes{part} of the {split}"
    command = f"{again} --quality --no-likelihood --part {quality['part']}"
    command += _options(quality["sampling"] or {})
    figures = []
    for kind, called in (
        ("real", "real pictures"),
        ("reconstructed", "reconstructions"),
        ("samples", "samples"),
    ):
        if (marks := quality[kind]) is None:
            continue
        what = f"of {marks['pictures']} {called}, {where}"
        value = f"{marks['top1']:.1%} / {marks['top5']:.1%}"
        figures.append(Figure(f"recognised, top-1 / top-5, {what}", value, command))
        figures += kid_figures(marks["kid"], what, command)
        if kind != "real" and marks["diversity"] is not None:
            value = f"{marks['diversity']:.3f}"
            figures.append(Figure(f"diversity, real = 1, {what}", value, command))
    return figures
