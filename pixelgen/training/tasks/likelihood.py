"""Autoregressive models of pixels and of a tokenizer's codes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.labels import imagenet_catalogue
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.metrics.reconstruction import encode
from pixelgen.metrics.verification import embed
from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import ClassTable, Condition
from pixelgen.models.config import GridConfig
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.training.class_prior_fit import ClassVectors, fit_class_vectors
from pixelgen.training.codes import AT_ONCE, EncodedBatches, check_size, encoded_views
from pixelgen.training.embedder_alignment import ALIGNMENT_FACES, rotation_between
from pixelgen.training.recipe import Recipe
from pixelgen.training.sample_sheets import portrait_sheet, sample_grid
from pixelgen.training.submodels import run_embedder, run_tokenizer
from pixelgen.training.tasks.base import (
    CardText,
    RunContext,
    Task,
    WarmStart,
    float_weights,
    image_shape,
    shapes,
)
from pixelgen.training.training_data import FaceConditioning, TrainingData, by_picture

READ_H = ("condition.linear.weight", "condition.map.weight")
"""Tensors of every layer that read the condition vector h and the map made from it."""
PROCESS_H = ("null_", "map_network.", "class_prior.")
"""Prefixes of what processes h before the layers, or replaces it."""


class BitsPerDimLoss(nn.Module):
    """Mean negative log-likelihood of a batch, in bits per dimension (section 2, equation 1).

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, C, H, W], classes int64 [B], vector [B, D] → a number. Where `dropped`
        bool [B] is true, the null vector replaces the vector."""
        if vector is not None and dropped is not None:
            alone = Condition(vector=vector)
            vector = self.model.drop_condition(alone, dropped).vector  # type: ignore[operator]
        condition = None
        if classes is not None or vector is not None:
            condition = Condition(classes, vector)
        log_prob: Tensor = self.model.log_prob(x, condition)  # type: ignore[operator]
        return log_prob.mean() / -math.log(2.0)


class LikelihoodTask(Task):
    """Autoregressive models of pixels: bits per dimension, and samples."""

    config_type = GridConfig
    loss = "bits_per_dim"
    loss_unit: ClassVar[str] = "bits/dim"
    figure = "bits_per_dim"
    figure_unit: ClassVar[str] = "bits/dim"

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        """Recipes of models without a tokenizer."""
        return super().fits(recipe) and not recipe.data.tokenizer

    @classmethod
    def card_text(
        cls, recipes: Sequence[Recipe], name: str, size: str, classes: Sequence[int | str]
    ) -> CardText:
        """See `Task`."""
        recipe = recipes[0]
        if recipe.data.embedder:
            return CardText(
                summary=f"An autoregressive model of {size} portraits of the person in a photo.",
                sheet="Faces, each followed by portraits of the person",
                usage=f"pixelgen portrait photo.jpg --weights {name}",
            )
        kind = "A class-conditional" if recipe.model.classes else "An unconditional"
        return CardText(
            summary=f"{kind} autoregressive model ({recipe.model.model}) of {size} pictures.",
            sheet="Samples",
            usage=f"pixelgen sample --weights {name}"
            + (f" --class {shlex.quote(str(classes[0]))}" if classes else ""),
        )

    @classmethod
    def held_out_condition(cls, recipe: Recipe) -> str:
        """The class, and the condition vector of classifier features or of another photo, where
        models have them."""
        if recipe.data.embedder:
            return "given another photo of the person"
        if recipe.model.vector_components:
            return "given class and condition vector"
        return "given the class" if recipe.model.classes else ""

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The images. Raises PixelgenError where they do not fit the model's grid."""
        config = self.recipe.model
        assert isinstance(config, GridConfig)  # see `config_type`
        shape = image_shape(data, self.recipe)
        grid = (config.channels, config.height, config.width)
        if shape != grid or config.levels != 256:
            raise PixelgenError(
                f"the data is 256 levels of {shape}, the model's grid {config.levels} of {grid} "
                "(channels, rows, columns)",
                "set data.size and the [model] table to one size",
            )
        return self._with_conditions(data, data.images[None], run)

    def _with_conditions(self, data: ImageData, views: Tensor, run: RunContext) -> TrainingData:
        """`views` [V, N, …] of the images with the condition vectors that the recipe asks for."""
        if not self.recipe.data.embedder:
            return by_picture(self.recipe, data, views, fit_vectors=self._fit_vectors(data, run))
        embedder = self._embedder(data, run.folder).first()
        faces = cut(data.images, embedder.config.size)
        run.note(f"embedding {len(faces)} faces")
        embeddings = embed(embedder.to(run.device), faces, 250)
        embedder.cpu()
        training_data = by_picture(self.recipe, data, views, embeddings)
        conditioning = FaceConditioning(embedder, faces[:ALIGNMENT_FACES])
        return replace(training_data, face_conditioning=conditioning)

    def _fit_vectors(
        self, data: ImageData, run: RunContext
    ) -> Callable[[Tensor, Tensor], ClassVectors] | None:
        """Fits condition vectors to classifier features of given rows, of given classes; None for
        models without such vectors."""
        if not self.recipe.model.vector_components:
            return None
        return lambda rows, classes: fit_class_vectors(
            data, rows, classes, self.recipe, run.folder, run.note, run.device, run.resumed
        )

    def _embedder(self, data: ImageData, folder: Path) -> FaceEmbedder:
        """The embedder of the recipe. Raises PixelgenError where it fits neither model nor data."""
        ref, expected = self.recipe.data.embedder, self.recipe.model.vector
        embedder = run_embedder(folder, ref)
        config = embedder.config
        if config.embedding != expected:
            raise PixelgenError(
                f"the embeddings of {ref} have {config.embedding} dimensions, "
                f"model.vector is {expected}"
            )
        if image_shape(data, self.recipe)[1:] != (config.height, config.width):
            raise PixelgenError(
                f"the embedder takes {config.width}×{config.height} pictures",
                "set data.size or data.crop",
            )
        return embedder

    def objective(self, model: nn.Module) -> nn.Module:
        """The mean bits per dimension."""
        return BitsPerDimLoss(model)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Exact bits per dimension."""
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        grid_model = cast(GridNetwork, model)
        return image_bits(grid_model, images, condition, batch, precision=precision)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """A grid of samples, or faces and their portraits."""
        self._show(model, held, condition, path, None)

    def _show(
        self,
        model: nn.Module,
        held: Tensor,
        condition: Condition | None,
        path: Path,
        tokenizer: Tokenizer | None,
    ) -> None:
        if condition is None or not self.recipe.data.embedder:
            sample_grid(model, self.recipe, path, tokenizer)
        else:
            portrait_sheet(model, self.recipe, path, tokenizer, held, condition)

    def warm_start(
        self, checkpoint: LoadedCheckpoint, model: nn.Module, data: TrainingData
    ) -> WarmStart:
        """From a model of the same kind, also of other classes or none, without condition vectors
        or with fewer layers."""
        self.check_network(checkpoint, checkpoint.network, model)
        weights = float_weights(checkpoint.network)
        unchanged = shapes(weights) == shapes(model.state_dict())
        config = checkpoint.config
        old = class_keys(config.labels, config.class_names)
        new = class_keys(data.labels, data.class_names)
        if old and new and old != new:
            weights, unchanged = with_classes(weights, model, old, new), False
        if isinstance(model, GatedPixelCNN):
            if config.labels and not model.config.classes:
                weights, unchanged = without_classes(weights), False
            weights = with_vectors(with_more_layers(weights, model), model)
            if data.face_conditioning is not None and checkpoint.face_embedder is not None:
                old_embedder = checkpoint.face_embedder.first()
                weights = _with_embedder(weights, old_embedder, data.face_conditioning)
        if new and not old:
            weights = with_class_tables(weights, model)
        return WarmStart(weights, checkpoint.config.training, unchanged)


class CodesLikelihoodTask(LikelihoodTask):
    """Autoregressive models of a tokenizer's codes: bits per code, and decoded samples."""

    loss_unit: ClassVar[str] = "bits/code"
    figure_unit: ClassVar[str] = "bits/code"
    tokenizer: Tokenizer

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        """Recipes of models with a tokenizer."""
        return isinstance(recipe.model, cls.config_type) and bool(recipe.data.tokenizer)

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The codes of the images. Raises PixelgenError where images, tokenizer and model do not
        fit together."""
        config = self.recipe.model
        ref = self.recipe.data.tokenizer
        assert isinstance(config, GridConfig)  # see `config_type`
        self.tokenizer = run_tokenizer(run.folder, ref)
        codes = self.tokenizer.config
        grid = (config.levels, config.channels, config.height, config.width)
        if grid != (codes.levels, *codes.code_shape):
            raise PixelgenError(
                f"the codes of {ref} are {(codes.levels, *codes.code_shape)} (levels, channels, "
                f"rows, columns), the model's grid is {grid}",
                "set levels, channels, height and width of [model] to those of the codes",
            )
        check_size(data, self.recipe.data, self.tokenizer)
        self.tokenizer.to(run.device)
        if not self.recipe.data.views:
            pixels = self._with_conditions(data, data.images[None], run)
            compute = self.recipe.compute
            held = encode(self.tokenizer, pixels.held, AT_ONCE, precision=compute.precision)
            batches = EncodedBatches(pixels.batches, self.tokenizer, compute)
            return replace(pixels, batches=batches, held=held)
        views = encoded_views(
            self.tokenizer,
            data,
            self.recipe.data,
            self.recipe.compute,
            self.recipe.seed,
            run.folder,
            run.note,
        )
        return self._with_conditions(data, views, run)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """A grid of decoded samples, or faces and their portraits."""
        self._show(model, held, condition, path, self.tokenizer)


def with_vectors(weights: dict[str, Tensor], model: GatedPixelCNN) -> dict[str, Tensor]:
    """Weights of a model without a condition vector h, or without a map of it → weights of `model`,
    which has them, with the same probabilities: what processes h is new, and what reads it is 0.
    All other weights are returned as they are."""
    if model.null_vector is None:
        return weights
    extended = dict(weights)
    for name, tensor in model.state_dict().items():
        if name in weights:
            continue
        if name.startswith(PROCESS_H):
            extended[name] = tensor.detach().clone().float()
        elif name.endswith(READ_H):
            extended[name] = torch.zeros_like(tensor, dtype=torch.float32)
    return extended


def with_more_layers(weights: dict[str, Tensor], model: GatedPixelCNN) -> dict[str, Tensor]:
    """Weights of a model with fewer layers than `model`, or fewer in its head → weights of `model`,
    with the same probabilities: the new layers, those of the stacks before the last, add 0 to
    residual and skip connections until they are trained. Weights of as many layers are returned as
    they are, and so are those of stacks without residual connections, which have no such start."""
    new = model.state_dict()
    of_head = [name for name in new if name.startswith("head.hidden.") and name not in weights]
    extended = weights | {name: torch.zeros_like(new[name]).float() for name in of_head}
    old = 1 + max((int(n.split(".")[1]) for n in weights if n.startswith("layers.")), default=-1)
    layers = model.config.layers
    if not 0 < old < layers or not model.config.vertical_residual:
        return extended
    last, moved = f"layers.{old - 1}.", f"layers.{layers - 1}."
    for name in [name for name in weights if name.startswith(last)]:
        extended[moved + name.removeprefix(last)] = extended.pop(name)
    for name in new.keys() - extended.keys():
        if name.startswith("layers."):
            part = name.split(".")[2]
            extended[name] = new[name].detach().clone().float()
            if part in ("vertical_out", "out", "skip"):
                extended[name].zero_()
    return extended


def class_keys(labels: Sequence[int], names: Sequence[str]) -> list[int | str]:
    """What tells the classes of weights or data from those of others: the ILSVRC index, also of a
    class of its own that is called as one of ILSVRC, or else the name. A number is no such name."""
    if not names:
        return list(labels)
    keys: list[int | str] = []
    for name in names:
        index = imagenet_catalogue().find(name) if any(map(str.isalpha, name)) else None
        keys.append(name if index is None else index)
    # Two classes that are called as one of ILSVRC are not both the same.
    return keys if len({*keys}) == len(keys) else list(names)


def without_classes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a model of classes → weights of a model without, which draws what the other draws
    of no class: what that adds to the maps before the gates goes into their biases. A vector h of
    classes goes too, with what its null vector adds; a map m(h) is left out."""
    kept = dict(weights)
    of_classes = any(name.startswith("class_prior.") for name in weights)
    for name in weights:
        layer, _, part = name.rpartition("condition.")
        added: Tensor | None = None
        if part == "table.weight":
            added = kept.pop(name)[-1]
        elif of_classes and part == "linear.weight":
            added = kept.pop(name) @ weights["null_vector"]
        elif of_classes and (part == "map.weight" or name.startswith(PROCESS_H)):
            del kept[name]
        if added is not None:
            for stack, term in zip(("vertical", "horizontal"), added.chunk(2), strict=True):
                bias = f"{layer}{stack}.bias"
                kept[bias] = kept[bias] + term
    return kept


def with_classes(
    weights: dict[str, Tensor],
    model: nn.Module,
    old: Sequence[int | str],
    new: Sequence[int | str],
) -> dict[str, Tensor]:
    """Weights of a model of the classes `old` → weights of `model`, whose classes are `new` (see
    `class_keys`): classes of both and "no class" keep their embeddings. Other classes get the mean
    of the old ones, which is nearer to any class than a random one."""
    remapped = dict(weights)
    old_row = {key: row for row, key in enumerate(old)}
    known = [row for row, key in enumerate(new) if key in old_row]
    for name, module in model.named_modules():
        key = f"{name}.weight"
        if isinstance(module, ClassTable) and len(weights.get(key, ())) == len(old) + 1:
            table = weights[key][:-1].mean(0).repeat(len(new) + 1, 1)
            table[known] = weights[key][[old_row[new[row]] for row in known]].to(table)
            table[-1] = weights[key][-1].to(table)
            remapped[key] = table
    return remapped


def with_class_tables(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights of a model without classes → weights of `model`, which has some, with the same
    probabilities for each: what every class adds is 0 until it is trained."""
    tables = {
        f"{name}.weight": torch.zeros_like(module.weight, dtype=torch.float32)
        for name, module in model.named_modules()
        if isinstance(module, ClassTable)
    }
    return tables | weights


def _with_embedder(
    weights: dict[str, Tensor], old: FaceEmbedder, conditioning: FaceConditioning
) -> dict[str, Tensor]:
    """Weights of a model conditioned on the embeddings of `old` → weights for those of another
    embedder, rotated onto them: independently trained embedders differ by a random rotation. They
    are returned as they are if the embedder is the same, or if the two cannot be aligned."""
    new = conditioning.embedder
    old_weights, new_weights = old.state_dict(), new.state_dict()
    if old_weights.keys() == new_weights.keys() and all(
        torch.equal(old_weights[name], new_weights[name]) for name in new_weights
    ):
        return weights
    alike = (old.config.size, old.config.embedding) == (new.config.size, new.config.embedding)
    if not alike or len(conditioning.faces) < new.config.embedding:
        return weights
    new_vectors, old_vectors = (embed(each, conditioning.faces, 250) for each in (new, old))
    return with_rotated_vectors(weights, rotation_between(new_vectors, old_vectors))


def with_rotated_vectors(weights: dict[str, Tensor], rotation: Tensor) -> dict[str, Tensor]:
    """Weights of a model of condition vectors h → weights with the same probabilities given
    `rotation`ᵀ h, `rotation` orthogonal [D, D]."""
    rotated = dict(weights)
    for name, tensor in weights.items():
        if name == "null_vector" or name.endswith((READ_H[0], "map_network.project.weight")):
            rotated[name] = tensor @ rotation.to(tensor)
    return rotated
