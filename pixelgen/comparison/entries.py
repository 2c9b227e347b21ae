"""What is compared: recipes and peers, all with the same data and budget."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from pixelgen.checkpoints.instantiate import initialised_network
from pixelgen.comparison.budget import Budget
from pixelgen.comparison.peers import PeerConfig, PeerNetwork, adapter_of, check_causal
from pixelgen.data import ImageData
from pixelgen.errors import PixelgenError, UsageError, did_you_mean
from pixelgen.files import expanded
from pixelgen.labels import ClassCatalogue
from pixelgen.metrics.progress import OnNote
from pixelgen.models.config import GridConfig
from pixelgen.training.recipe import IntervalsRecipe, Recipe, load_recipe
from pixelgen.training.recipe_files import bundled_recipes, table_recipes
from pixelgen.training.recipe_tables import toml_value
from pixelgen.training.tasks import RunContext, Task, kind_of_task, task_of
from pixelgen.training.throughput import training_flops
from pixelgen.training.training_data import TrainingData, load_pictures

PAPER = "paper"
"""The folder beside recipes that holds their variants in the size of the paper."""
HELD_OUT = 1000
"""Pictures of the training split that the curves are measured on, at most a tenth of it."""
CLOSED_FORM = ("uniform", "gaussian")
"""Keys of the rows that are not trained."""
_COUNTED = 4
"""Pictures on which operations are counted."""
_NAME = re.compile(r"\w[\w.+-]{0,60}")
_FIXED = ("data.path", "schedule.steps", "schedule.minutes")
"""Keys of recipes that the comparison sets."""


@dataclass(frozen=True)
class Entry:
    """A model of the comparison."""

    name: str
    """The name of its recipe, or of the peer."""
    recipe: Recipe
    parameters: int
    """Weights and biases, also the weights that a mask always sets to 0."""
    flops: float
    """Floating-point operations per picture of a forward and a backward pass."""
    pictures: int
    """Of the training split, held-out ones included."""
    labels: tuple[int, ...]
    """The labels of its classes; empty for models without."""
    class_names: tuple[str, ...]
    """Their names; empty where they have none of their own."""
    data_digest: str
    """`ImageData.digest` of the training split."""

    @property
    def task(self) -> Task:
        """What it minimises and measures."""
        return task_of(self.recipe)

    @property
    def bound(self) -> bool:
        """Whether its figures are upper bounds of its bits per dimension."""
        return kind_of_task(self.recipe).figure_is_bound

    def rows(self, images: ImageData) -> Tensor | None:
        """int64 [N], the row of the class condition of each picture; None for models without
        classes. Raises PixelgenError for a class that the training split lacks."""
        if not self.labels:
            return None
        if self.class_names:  # another split may number its classes anew
            images = images.relabelled(ClassCatalogue.named(self.labels, self.class_names))
        return images.rows(self.labels)


def read_recipes(
    sources: Sequence[str],
    data: str,
    *,
    paper: bool = False,
    size: int | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Recipe]:
    """Recipes by name, of files and of the names of recipes that come with the package, for the
    pictures `data`. With `paper` of the paper's size; with `size` for pictures of that side.

    Raises UsageError for a recipe that does not exist, two of a name, and models that cannot be
    compared in bits per dimension of pixels.
    """
    if not sources:
        raise UsageError("no recipe to compare", f"for example {', '.join(table_recipes())}")
    for text in overrides:
        key = text.partition("=")[0].strip()
        if key in _FIXED:
            raise UsageError(f"a comparison sets {key} itself", "give data and budget instead")
    recipes: dict[str, Recipe] = {}
    for source in sources:
        path = _path_of(source, paper)
        name = path.stem
        if name in recipes or name in CLOSED_FORM or not _NAME.fullmatch(name):
            what = "two recipes are called" if name in recipes else "a recipe cannot be called"
            raise UsageError(f"{what} {name!r}", "rename the file")
        recipe = load_recipe(path, [f"data.path={toml_value(data)}", *overrides])
        _check_comparable(name, recipe)
        recipes[name] = recipe if size is None else _resized(recipe, size)
    _check_same_pictures(recipes)
    return recipes


def _check_same_pictures(recipes: Mapping[str, Recipe]) -> None:
    """Raises UsageError for recipes whose figures are of different pictures."""

    def pictures(recipe: Recipe) -> dict[str, object]:
        of_model = {f"model.{n}": getattr(recipe.model, n) for n in ("channels", "height", "width")}
        same = ("split", "image", "size", "fit", "crop")
        return of_model | {f"data.{name}": getattr(recipe.data, name) for name in same}

    first, like = next(iter(recipes.items()))
    expected = pictures(like)
    for name, recipe in recipes.items():
        for key, value in pictures(recipe).items():
            if value != expected[key]:
                raise UsageError(
                    f"{first} and {name} take different pictures: {key} is {expected[key]!r} and "
                    f"{value!r}",
                    "set it for all of them",
                )


def _check_comparable(name: str, recipe: Recipe) -> None:
    """Raises UsageError for a model without a likelihood of pixels, or a bound of it, and for a
    recipe that names a checkout: code is run only where the user names it."""
    if isinstance(recipe.model, PeerConfig):
        raise UsageError(f"the recipe {name} names a checkout", "name it as a peer instead")
    if kind_of_task(recipe).figure_is_bound:
        return
    # The bits of an auto-encoder, or of a model of vectors, are given what was computed from the
    # picture itself, those of a tokenizer's codes are no bits of pixels.
    grid = isinstance(recipe.model, GridConfig)
    if not grid or recipe.data.tokenizer or recipe.model.vector:
        raise UsageError(f"{name} has no likelihood of pixels to compare", "leave it out")


def _path_of(source: str, paper: bool) -> Path:
    """The file of the recipe that `source` names."""
    path, known = expanded(source), bundled_recipes() | table_recipes()
    if not source.endswith(".toml"):
        if source not in known:
            raise UsageError(
                f"no recipe {source!r}{did_you_mean(source, known)}",
                f"a TOML file, or one of: {', '.join(table_recipes())}",
            )
        path = known[source]
    if not paper:
        return path
    variant = path.parent / PAPER / path.name
    if not variant.is_file():
        raise UsageError(f"no variant of {path.stem} in the paper's size: no file {variant}")
    return variant


def _resized(recipe: Recipe, size: int) -> Recipe:
    """The recipe for pictures of size×size, to which the data are averaged down."""
    names = {field.name for field in fields(recipe.model)}
    sides = {"height": size, "width": size} if "height" in names else {"size": size}
    try:
        if "pixels" in names:  # the sides of its PixelCNN follow from `size`
            table = recipe.model.to_dict() | sides
            model = type(recipe.model).from_dict(table)
        else:
            model = replace(recipe.model, **sides)  # type: ignore[arg-type]
        return replace(recipe, model=model, data=replace(recipe.data, size=size))
    except ValueError as error:
        raise UsageError(f"no pictures of size {size}: {error}") from error


def peer_recipe(path: Path, like: Recipe, sizes: Recipe) -> Recipe:
    """The recipe of the network in the checkout `path`: data and picture size as in `like`,
    optimiser, precision, layers and feature maps as in `sizes`; it is not compiled. Raises
    InputError for a folder that is no checkout."""
    path = expanded(path)
    adapter_of(path)
    channels, height, width = (getattr(like.model, n) for n in ("channels", "height", "width"))
    same = ("features", "layers", "kernel", "first_kernel", "output_features")
    model = PeerConfig(
        channels=channels,
        height=height,
        width=width,
        path=str(path.resolve()),
        **{name: getattr(sizes.model, name) for name in same},
    )
    data = replace(like.data, tokenizer="", embedder="", vectors="")
    return Recipe(
        model=model,
        seed=like.seed,
        data=data,
        optimiser=sizes.optimiser,
        schedule=sizes.schedule,
        compute=replace(sizes.compute, compile=False),
    )


def check_peer_names(peers: Mapping[str, Path], recipes: Mapping[str, Recipe]) -> None:
    """Raises UsageError for names that cannot be those of folders, or are taken."""
    for name in peers:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"a peer cannot be called {name!r}",
                "letters and digits, after the first also . + - and _",
            )
        if name in recipes or name in CLOSED_FORM:
            raise UsageError(f"a recipe and a peer are called {name!r}", "rename the peer")


def prepare_entry(
    name: str, recipe: Recipe, budget: Budget, device: torch.device, *, hold_out: bool, note: OnNote
) -> Entry:
    """A model of the comparison: its recipe with the length of the budget, without samples and
    measurements that would take some of it. With `hold_out`, the comparison chooses how many
    pictures are held out. Raises PixelgenError for data that do not fit the network."""
    images = load_pictures(recipe, note=note)
    if hold_out:
        held = min(HELD_OUT, len(images) // 10)
        recipe = replace(recipe, data=replace(recipe.data, holdout=held))
    checkpoint = recipe.intervals.checkpoint
    recipe = replace(
        recipe, intervals=IntervalsRecipe(checkpoint=checkpoint, validation=0, samples=0)
    )
    task = task_of(recipe)
    context = RunContext(Path(), note, device)
    try:
        data = task.prepare(images, context)
        parameters, flops = _count(recipe, task, data, device)
        schedule = budget.schedule(recipe.schedule, flops * recipe.optimiser.batch)
    except PixelgenError as error:
        raise type(error)(f"{name}: {error.message}", error.hint, code=error.code) from error
    return Entry(
        name=name,
        recipe=replace(recipe, schedule=schedule),
        parameters=parameters,
        flops=flops,
        pictures=len(images),
        labels=tuple(data.labels),
        class_names=tuple(data.class_names),
        data_digest=images.digest(labels=True),
    )


def _count(
    recipe: Recipe, task: Task, data: TrainingData, device: torch.device
) -> tuple[int, float]:
    """Parameters, and floating-point operations per picture, of the network of a recipe."""
    try:
        network = initialised_network(recipe.model).to(device)
    except ValueError as error:
        raise UsageError(str(error), "a smaller model needs less memory") from error
    if isinstance(network, PeerNetwork):
        check_causal(network)
    first = data.batches.draw(0, 0, min(_COUNTED, recipe.optimiser.batch))
    x, *more = first.inputs(device)
    assert x is not None
    flops = training_flops(task.objective(network), x, *more)
    return sum(p.numel() for p in network.parameters()), flops
