"""From a run to a checkpoint folder that others can use."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pixelgen.checkpoints import Figure, ModelCard, load_checkpoint, save_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.models import build_model
from pixelgen.models.config import FaceEmbedderConfig, TokenizerConfig
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.training.parts import run_embedder, run_tokenizer
from pixelgen.training.recipe import Recipe, recipe_from_dict, recipe_text
from pixelgen.training.state import RunState, load_weights, part_of, read_state
from pixelgen.training.tasks import kind_of_task

SHEET = "samples.png"


def export(
    run: Path,
    folder: Path,
    *,
    evaluation: Path | None = None,
    sheet: Path | None = None,
    tokenizer: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the averaged weights of `run`, in half precision, as the checkpoint `folder`.

    `evaluation`, the JSON of `pixelgen evaluate`, and `sheet`, a PNG of samples, go into the model
    card. `tokenizer`, weights, replaces the one that a model of codes was trained with: it must
    have the same encoder, its decoder may be a better one. Raises PixelgenError for a run without a
    state, a folder in use, and a tokenizer of other codes.
    """
    state, tensors = read_state(run)
    try:
        recipe = recipe_from_dict(state.recipe)
    except ValueError as error:
        raise PixelgenError(f"the recipe saved in {run} does not fit: {error}") from error
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not overwrite)):
        raise PixelgenError(f"{folder} exists and is not empty", "add --force to write into it", 2)
    figures = None if evaluation is None else _read_evaluation(evaluation)
    if sheet is not None and not sheet.is_file():
        raise PixelgenError(f"no picture {sheet}", exit_code=3)
    model = build_model(recipe.model)
    load_weights(model, part_of(tensors, "ema"), str(run))
    codec = run_tokenizer(run) if recipe.data.tokenizer else None
    if tokenizer is not None:
        codec = _same_codes(codec, tokenizer)
    embedder = run_embedder(run) if recipe.data.embedder else None
    counters = state.counters
    training: dict[str, Any] = {
        "steps": counters.step,
        "images": counters.images,
        "minutes": round(counters.seconds / 60, 1),
        f"held_out_{kind_of_task(recipe).figure}": counters.held_out,
        "class_dropout": recipe.data.class_dropout,
        "recipe": recipe_text(recipe),
    }
    if state.origin:
        training["started_from"] = state.origin
        training["before"] = state.before
    if figures is not None:
        training["evaluation"] = figures
    shown = recipe.model if codec is None else codec.config
    card = _card(
        folder.resolve().name,
        recipe,
        (shown.height, shown.width),
        state,
        figures,
        sheet is not None,
        training,
    )
    save_checkpoint(
        folder,
        model,
        tokenizer=codec,
        embedder=embedder,
        labels=state.labels,
        sampling=asdict(recipe.sampling),
        training=training,
        data={
            "path": recipe.data.path,
            "split": recipe.data.split,
            "crop": recipe.data.crop,
            "label": recipe.data.label,
        },
        card_text=str(card),
    )
    if sheet is not None:
        shutil.copyfile(sheet, folder / SHEET)
    return folder


def _same_codes(codec: Tokenizer | None, ref: str) -> Tokenizer:
    """The tokenizer of the weights `ref`, if it encodes as `codec` does."""
    if codec is None:
        raise PixelgenError("--tokenizer is for a model of codes, this run's is not one", "", 2)
    other = load_checkpoint(ref).codec
    ours, theirs = codec.encoder.state_dict(), other.encoder.state_dict()
    if ours.keys() != theirs.keys() or not all(torch.equal(ours[n], theirs[n]) for n in ours):
        raise PixelgenError(
            f"{ref} has another encoder than this run's tokenizer",
            "its codes mean something else: give weights of a run with losses.decoder_only",
            2,
        )
    return other


def _read_evaluation(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        # The fields that `_card` reads.
        for key in ("data", "split", "images", "reconstruction"):
            values[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PixelgenError(
            f"{path} is not the output of `pixelgen evaluate --json`: {error}", exit_code=3
        ) from error
    return dict(values)


def _card(
    name: str,
    recipe: Recipe,
    picture: tuple[int, int],
    state: RunState,
    evaluation: dict[str, Any] | None,
    sheet: bool,
    training: dict[str, Any],
) -> ModelCard:
    config, counters, text = recipe.model, state.counters, recipe.card
    height, width = picture
    size = f"{width}×{height}"
    task, figures = kind_of_task(recipe), []
    unit = task.figure_unit
    if evaluation is not None:
        where = f"{evaluation['split']} split, {evaluation['images']} pictures"
        again = (
            f"pixelgen evaluate {name} --data {evaluation['data']} --split {evaluation['split']}"
        )
        for kind in ("conditional", "unconditional"):
            if (figure := evaluation.get(kind)) is not None:
                value = f"{figure['bits_per_dim']:.4f} ± {figure['standard_error'] or 0:.4f}"
                figures.append(Figure(f"{unit}, {kind}, {where}", value, again))
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
        if (quality := evaluation.get("quality")) is not None:
            figures += _quality_figures(quality, f"{evaluation['split']} split", again)
    if counters.held_out is not None:
        where = f"{recipe.data.holdout} pictures held out of the {recipe.data.split} split"
        figures.append(Figure(f"{unit}, {where}", f"{counters.held_out:.4f}"))
    if isinstance(config, FaceEmbedderConfig):
        shown = "Held-out faces, each followed by those nearest to it"
        summary = f"A face embedder: aligned {size} faces as points on a sphere."
        use = f"pixelgen evaluate {name} --data FACES"
    elif isinstance(config, TokenizerConfig):
        shown = "Pictures, each with its reconstruction"
        summary = f"A tokenizer: {size} pictures as grids of codes, and back."
        use = f"pixelgen encode photo.jpg --weights {name} -o codes.safetensors"
    else:
        shown = "Samples"
        kind = "class-conditional" if config.classes else "unconditional"
        summary = f"A {kind} autoregressive model of {size} pictures."
        use = f"pixelgen sample --weights {name}" + (
            f" --class {state.labels[0]}" if state.labels else ""
        )
    return ModelCard(
        name=name,
        summary=text.summary or summary,
        license=text.license,
        license_text=text.license_text,
        data=text.data,
        recipe=_history(training),
        figures=tuple(figures),
        usage=use,
        samples=((text.sheet or f"{shown}, {size}, not selected.", SHEET),) if sheet else (),
        limits=text.limits,
    )


def _history(training: dict[str, Any]) -> str:
    """How weights were trained, part after part, the first one first."""
    parts = []
    part: dict[str, Any] | None = training
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


def _quality_figures(quality: dict[str, Any], split: str, again: str) -> list[Figure]:
    """What `Quality` says, as the JSON of `pixelgen evaluate --quality` holds it."""
    part = "" if quality["part"] == "all" else f" ({quality['part']} half)"
    where = f"{quality['classes']} classes{part} of the {split}"
    command = f"{again} --quality --no-likelihood --part {quality['part']}"
    for option, value in (quality["sampling"] or {}).items():
        command += f" --{option.replace('_', '-')} {value}"
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
        if (kid := marks["kid"]) is not None:
            value = f"{kid['mean']:.4f} ± {kid['standard_error'] or 0:.4f}"
            figures.append(Figure(f"KID (EfficientNet-lite2) {what}", value, command))
        if kind != "real" and marks["diversity"] is not None:
            value = f"{marks['diversity']:.3f}"
            figures.append(Figure(f"diversity, real = 1, {what}", value, command))
    return figures
