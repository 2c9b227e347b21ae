"""A recipe for a user's own pictures, made from what they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pixelgen.checkpoints import CheckpointConfig, read_config, resolve_weights
from pixelgen.data import DataSummary
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging import DataFit
from pixelgen.models.config import AnyConfig, GatedPixelCNNConfig
from pixelgen.training.recipe import Recipe, recipe_from_dict
from pixelgen.training.recipe_tables import override
from pixelgen.training.schedule import COMPILE_MINUTES, operations_in
from pixelgen.training.training_data import only_class

Preset = Literal["auto", "tiny", "small", "base"]
"""Size of a network that starts from scratch; "auto" follows the number of pictures, and what the
device computes in the minutes of the run."""
START = {32: "imagenet32", 64: "imagenet64"}
"""Bundled weights that a run starts from, by the size of pictures."""
TOKENIZER = "imagenet64"
"""Weights whose tokenizer makes codes of 64×64 pictures."""
FROM_NOTHING = "none"
LARGEST_HOLDOUT = 2000
_LISTED = 20
"""Classes that a model card names."""
SHEET_MINUTES = 5.0
"""Between sheets of samples, at least; a sheet takes seconds."""

_PRESETS: dict[Preset, dict[str, Any]] = {
    "tiny": {"features": 64, "layers": 5, "output_features": 96, "head_features": 48},
    "small": {"features": 96, "layers": 7, "output_features": 160, "head_features": 64},
    "base": {"features": 192, "layers": 9, "output_features": 256, "head_features": 96},
}
_FITTED: dict[DataFit, str] = {
    "crop": "cropped to their middle",
    "stretch": "stretched to squares",
    "pad": "padded to squares with the colour of their edges",
}
_AUTO: tuple[tuple[Preset, int, float], ...] = (("base", 30000, 13.5e9), ("small", 3000, 3.0e9))
"""What "auto" takes instead of "tiny", the largest first: the preset, the pictures from which on it
does, and the floating-point operations of training on one of them, about."""
_SEEN_AT_LEAST = 20000
"""Pictures that a run should have time for, or all of them once if they are fewer."""


@dataclass(frozen=True, kw_only=True)
class PhotoTraining:
    """How own pictures are trained on."""

    size: Literal[32, 64] = 64
    """Side of the pictures that the model draws."""
    fit: DataFit = "crop"
    """How pictures are made square."""
    start: str | None = None
    """Weights that the run starts from; None: those of `START`; "none": from scratch."""
    preset: Preset = "auto"
    """Size of the network if it starts from scratch."""
    minutes: float = 20.0
    """Length of the run."""
    license: str = ""
    """Licence id of the weights; empty: unknown."""

    def __post_init__(self) -> None:
        if self.size not in START:
            raise UsageError(f"no size {self.size}: pictures are 32 or 64 pixels wide")
        if not 0 < self.minutes < math.inf:
            raise UsageError(f"minutes must be a positive number, not {self.minutes}")
        if self.preset not in ("auto", *_PRESETS):
            raise UsageError(f"no preset {self.preset!r}: auto, {', '.join(_PRESETS)}")
        if self.preset != "auto" and self.start != FROM_NOTHING:
            raise UsageError(
                "a preset is the size of a network that starts from scratch",
                'set start = "none"',
                code="preset-needs-nothing",
            )

    @property
    def starts_from(self) -> str | None:
        """The weights that the run starts from, or None."""
        start = START[self.size] if self.start is None else self.start
        return None if start == FROM_NOTHING else start


def photo_recipe(
    data: DataSummary, options: PhotoTraining, overrides: Iterable[str] = ()
) -> Recipe:
    """The recipe for the pictures that `data` describes, with `key.sub=value` overrides applied.

    Raises UsageError for overrides that do not fit, and PixelgenError for too few pictures, and for
    weights that it cannot start from.
    """
    if data.pictures < 2:
        raise PixelgenError(f"{data.path} has one picture: training needs at least two")
    single = [name for name, count in data.counts.items() if count < 2]
    if single and len(data.counts) > 1:
        more = f", and so have {len(single) - 1} others" if len(single) > 2 else ""
        more = f", and so has {single[1]!r}" if len(single) == 2 else more
        raise PixelgenError(
            f"class {single[0]!r} of {data.path} has one picture{more}",
            "a class needs at least two: add pictures, or remove it",
        )
    start = options.starts_from
    config = None
    if start is not None:
        source = resolve_weights(start)
        config = read_config(source.path, source.name)
        _check_start(config, options, source.name)
    table: dict[str, Any] = {
        "seed": 1,
        "model": _model(data, options, config),
        "data": _data(data, options, config),
        "optimiser": {"batch": 32, "ema": 0.998},
        "schedule": {"minutes": options.minutes, "decay_from": 0.3},
        "compute": {
            "precision": "bf16",
            "compile": options.minutes >= COMPILE_MINUTES,
            "channels_last": True,
        },
        "intervals": {"samples": max(options.minutes / 4, SHEET_MINUTES)},
        "sampling": _sampling(config),
        "card": {"license": options.license} if options.license else {},
    }
    # What is known already needs small steps; what starts from scratch large ones.
    rate = {"lr": 2e-3, "warmup": 200} if config is None else {"lr": 8e-4, "warmup": 50}
    table["optimiser"] |= rate
    for text in overrides:
        override(table, text)
    try:
        recipe = recipe_from_dict(table)
        card = replace(recipe.card, data=recipe.card.data or _card_text(data, recipe))
        return replace(recipe, card=card)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_start(config: CheckpointConfig, options: PhotoTraining, name: str) -> None:
    """Raises UsageError for weights that a model of own pictures cannot start from."""
    rows, columns = config.image_shape[1:]
    if not isinstance(config.model, GatedPixelCNNConfig) or config.embedder is not None:
        raise UsageError(f"{name} is {config.kind_with_article}: training cannot start from it")
    if (rows, columns) != (options.size, options.size):
        raise UsageError(
            f"{name} draws pictures of {columns}×{rows} pixels, not {options.size}×{options.size}",
            f"set size = {rows}" if rows in START else "",
        )


def _model(
    data: DataSummary, options: PhotoTraining, config: CheckpointConfig | None
) -> dict[str, Any]:
    classes = max(len(data.counts), 1)
    if config is not None:
        assert isinstance(config.model, GatedPixelCNNConfig)  # see `_check_start`
        # Few pictures are learned by heart: dropout holds that up.
        model = replace(config.model, classes=classes, dropout=max(config.model.dropout, 0.1))
        # Their p(h | class) is taken as it is where it is of these classes (see `data.vectors`).
        if model.vector_components and not _same_classes(data, config):
            each = data.pictures // classes
            model = replace(
                model, vector_components=min(model.vector_components, max(each // 40, 1))
            )
        return model.to_dict()
    preset = options.preset
    if preset == "auto":
        preset = _auto_preset(data.pictures, options.minutes)
    grid: dict[str, Any] = (
        {"height": 32, "width": 32, "patch": 2, "likelihood": "logistic", "head_linear_mean": True,
         "input_skip": True}
        if options.size == 32
        else {"height": 16, "width": 16, "levels": 8, "embedding": "table", "head_layers": 2}
    )  # fmt: skip
    return {
        "model": GatedPixelCNNConfig.model,
        "channels": 3,
        **grid,
        "channel_order": "head",
        "kernel": 3,
        "first_kernel": 5,
        "vertical_residual": True,
        "skip_outputs": True,
        "normalisation": "channel",
        "dropout": 0.1,
        "classes": classes,
        **_PRESETS[preset],
    }


def _same_classes(data: DataSummary, config: CheckpointConfig) -> bool:
    """Whether weights have the classes of the data, and no others."""
    names = [*data.counts] or [only_class(data.path)]
    return names == [config.classes.name(label) for label in config.labels]


def preset_of(model: AnyConfig) -> Preset:
    """The preset that the network of a run has; "auto" where it has none."""
    values = model.to_dict().items()
    return next((name for name, preset in _PRESETS.items() if preset.items() <= values), "auto")


def _auto_preset(pictures: int, minutes: float) -> Preset:
    """The largest network that this many pictures are enough for, and the minutes."""
    import torch

    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    budget = operations_in(minutes, "gpu" if gpu else "cpu")
    seen = min(pictures, _SEEN_AT_LEAST)
    for preset, least, operations in _AUTO:
        if pictures >= least and operations * seen <= budget:
            return preset
    return "tiny"


def _data(
    data: DataSummary, options: PhotoTraining, config: CheckpointConfig | None
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "path": data.path,
        "split": data.split,
        "image": data.image_column,
        "label": data.label_column,
        "size": options.size,
        "fit": options.fit,
        "skip_unreadable": True,
        "jitter": 2,
        "holdout": min(LARGEST_HOLDOUT, data.pictures // 10),
    }
    coded = options.size == 64 if config is None else config.tokenizer is not None
    if coded:
        values |= {"tokenizer": options.starts_from or TOKENIZER, "views": 8}
    if config is not None and config.model.vector_features:
        values |= {"vectors": options.starts_from, "vector_noise": 0.2}
        scale = config.data.get("features_scale")
        values |= {} if scale is None else {"features_scale": scale}
    return values


def _card_text(data: DataSummary, recipe: Recipe) -> str:
    """What the model card says of the pictures; how many can be read is known after the run."""
    names = [*data.counts]
    listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    kinds = f" of {len(names)} classes ({listed})" if len(names) > 1 else ""
    made = f", {_FITTED[recipe.data.fit]}" if recipe.data.fit else ""
    return f"Pictures{kinds}{made}, {recipe.data.size}×{recipe.data.size}."


_VECTOR_TEMPERATURE = 0.3
"""The highest that is typical enough without a classifier of candidates."""


def _sampling(config: CheckpointConfig | None) -> dict[str, Any]:
    """Defaults that favour what is typical, as for the weights that it starts from."""
    if config is None:
        return {"temperature": 0.9, "guidance": 2.0}
    values = asdict(config.sampling)
    # The classifier, with which higher ones were chosen, does not know classes of one's own.
    values["vector_temperature"] = min(values["vector_temperature"], _VECTOR_TEMPERATURE)
    names = ("temperature", "guidance", "vector_temperature", "candidates")
    return {name: values[name] for name in names}
