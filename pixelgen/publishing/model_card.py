"""The model card of weights, from the recipes that trained them and the figures they reach."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelgen.checkpoints import CheckpointConfig, Figure, ModelCard
from pixelgen.errors import InputError, PixelgenError, counted
from pixelgen.evaluation.results import EvaluationReport
from pixelgen.files import read_file
from pixelgen.json_text import parse_json
from pixelgen.publishing.figures import evaluation_figures
from pixelgen.publishing.local_paths import without_local_paths
from pixelgen.toml import parse_toml
from pixelgen.training.recipe import Recipe, recipe_from_dict
from pixelgen.training.tasks import kind_of_task

SHEET = "samples.png"
"""The sheet of samples beside a card."""
_LARGEST_EVALUATION = 2**22


@dataclass(frozen=True)
class Training:
    """How one network of a folder was trained."""

    recipe: Recipe
    """Its recipe."""
    facts: Mapping[str, Any]
    """Its "training" in config.json."""

    @staticmethod
    def read(facts: Mapping[str, Any]) -> Training:
        """With the recipe in `facts`. Raises ValueError, KeyError or TypeError where there is no
        valid one."""
        return Training(recipe_from_dict(parse_toml(str(facts["recipe"]).encode())), facts)


def read_evaluation(path: Path) -> EvaluationReport:
    """The report that `pixelgen evaluate --json` wrote, without the places of files on this
    computer. Raises InputError for other files."""
    try:
        facts = parse_json(read_file(path, _LARGEST_EVALUATION))
        return EvaluationReport.from_dict(without_local_paths(facts))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not the output of `pixelgen evaluate --json`: {error}"
        ) from error


def card_of(
    name: str,
    runs: Sequence[Training],
    classes: Sequence[int | str],
    picture: tuple[int, int],
    evaluation: EvaluationReport | None,
    parts: Mapping[str, Mapping[str, Any]],
    sheet: bool,
) -> ModelCard:
    """The card of the weights `name`, trained by `runs`, of `classes` (names or numbers), for
    images of `picture` rows and columns.

    `parts` says by kind how the submodels were trained; with `sheet` there is a sheet of samples
    beside the card.
    """
    recipe = runs[0].recipe
    card = recipe.card
    height, width = picture
    size = f"{width}×{height}"
    task = kind_of_task(recipe)
    figures: list[Figure] = []
    if evaluation is not None:
        figures += evaluation_figures(evaluation, name, task.figure_unit)
    for run in runs:
        if (figure := run.facts.get(f"held_out_{task.figure}")) is not None:
            count = run.facts.get("held_out_pictures") or run.recipe.data.holdout
            where = f"{count} pictures held out of the {run.recipe.data.split} split"
            if given := task.held_out_condition(run.recipe):
                where = f"{given}, {where}"
            figures.append(Figure(f"{task.figure_unit}, {where}", f"{figure:.4f}"))
    text = task.card_text([run.recipe for run in runs], name, size, classes)
    candidates = recipe.sampling.candidates
    best = "most similar" if recipe.data.embedder else "most clearly of its class"
    selected = "not selected"
    if candidates > 1:
        selected = f"each the one of {candidates} candidates that is {best}"
    return ModelCard(
        name=name,
        summary=card.summary or text.summary,
        license=card.license,
        license_text=card.license_text,
        data=card.data and " ".join((card.data, *_pictures(runs[0]))),
        recipe=_trainings(runs, parts),
        figures=tuple(figures),
        usage=text.usage,
        samples=(((card.sheet or f"{text.sheet}, {size}, {selected}.", SHEET),) if sheet else ()),
        limits=card.limits,
    )


def _pictures(run: Training) -> list[str]:
    """How many pictures there were; nothing for weights of earlier versions, which do not say."""
    if (pictures := run.facts.get("pictures")) is None:
        return []
    return [f"{counted(pictures, 'picture')}, {run.recipe.data.holdout} of them held out."]


def card_from_config(config: CheckpointConfig, name: str, sheet: bool) -> ModelCard:
    """The card of weights that are used by `name`, from their configuration alone.

    Without a recipe in it the card only says what the weights are. Raises PixelgenError for a
    recipe or figures that are not as an export writes them.
    """
    training, (_, rows, columns) = config.training, config.image_shape
    if "recipe" not in training:
        what = f"Weights of pixelgen, {config.kind}, for pictures of {columns}×{rows}."
        return ModelCard(name=name, summary=what)
    try:
        runs = [Training.read(facts) for facts in (training, *training.get("others", ()))]
        evaluation = training.get("evaluation")
        report = None if evaluation is None else EvaluationReport.from_dict(evaluation)
        parts = training.get("parts", {})
        classes = config.class_names or config.labels
        return card_of(name, runs, classes, (rows, columns), report, parts, sheet)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PixelgenError(
            f"no card can be made of the recipe and figures in config.json: {error}",
            "set keep_card=True to use the README.md beside it",
            code="no-card-from-config",
        ) from error


def _trainings(runs: Sequence[Training], parts: Mapping[str, Mapping[str, Any]]) -> str:
    """The history of every run, under a heading if there are several, and of the submodels."""
    texts = [_history(run.facts) for run in runs]
    if len(runs) > 1:
        texts = [
            f"### {getattr(run.recipe.model, 'bottleneck', '')} numbers\n\n{history}"
            for run, history in zip(runs, texts, strict=True)
        ]
    for kind, training in parts.items():
        if history := _history(training):
            texts.append(f"### Training of the {kind}\n\n{history}")
    return "\n\n".join(texts)


def _history(training: Mapping[str, Any]) -> str:
    """How weights were trained, part by part, in order of time."""
    parts = []
    part: Mapping[str, Any] | None = training
    while part and {"steps", "images", "minutes", "recipe"} <= part.keys():
        parts.append(part)
        part = part.get("before")
    texts = []
    for number, part in enumerate(reversed(parts), 1):
        start = part.get("started_from")
        again = "" if start is None else f" --init {shlex.quote(str(start))}"
        which = f"Part {number}: " if len(parts) > 1 else ""
        texts.append(
            f"{which}{part['steps']} steps, {part['images']} pictures, "
            f"{counted(part['minutes'], 'minute', 0)}, by `pixelgen train{again}` with this recipe:"
            f"\n\n```toml\n{part['recipe']}```"
        )
    if len(parts) > 1:
        minutes = sum(part["minutes"] for part in parts)
        texts.insert(0, f"{counted(minutes, 'minute', 0)} in {len(parts)} parts.")
    return "\n\n".join(texts)
