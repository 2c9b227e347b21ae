"""Auto-encoders: a latent h, a decoder of the mean and a PixelCNN decoder (section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData
from pixelgen.errors import UsageError
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.metrics.latents import conditions_given, latents_and_means
from pixelgen.metrics.reconstruction import psnr
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.likelihood import to_signed
from pixelgen.random_streams import RandomStream, mix
from pixelgen.training.batches import hold_out
from pixelgen.training.distillation import Distillation, load_distillation, teacher_features
from pixelgen.training.principal_components import components_of
from pixelgen.training.recipe import AutoencoderRecipe, Recipe
from pixelgen.training.sample_sheets import autoencoder_sheet
from pixelgen.training.tasks.base import (
    CardText,
    RunContext,
    Task,
    WarmStart,
    check_image_size,
    float_weights,
    shapes,
)
from pixelgen.training.tasks.likelihood import PROCESS_H, READ_H
from pixelgen.training.training_data import TrainingData, by_picture, check_data


class AutoencoderLoss(nn.Module):
    """Bits per dimension given h, the squared error of the mean (section 3.4), and the distillation
    of a classifier into the semantic latents, each with its weight.

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(
        self,
        model: Autoencoder,
        recipe: AutoencoderRecipe,
        distillation: Distillation | None = None,
    ) -> None:
        """Freezes the parts of `model` whose loss has weight 0. `distillation` is required where
        `semantic_weight` is positive."""
        super().__init__()
        self.model, self.recipe, self.distillation = model, recipe, distillation
        for part in (model.pixels, model.map_of_mean):
            if part is not None:
                part.requires_grad_(recipe.bits_weight > 0)
        if model.semantic is not None:
            model.semantic.requires_grad_(recipe.semantic_weight > 0)

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255 → a number. The PixelCNN is not given h where `dropped`
        bool [B] is true; `classes` are not used. `vector` [B, F] holds the classifier's features of
        the images."""
        images = to_signed(x, 256)
        return self.of_latents(x, images, self.model.encode(images), vector, dropped)

    def of_latents(
        self,
        x: Tensor,
        images: Tensor,
        h: Tensor,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """The loss of `forward` for latents h [B, D] of the `images`, which are x in -1 … 1."""
        semantic = h[:, self.model.config.spatial :]
        if self.recipe.noise:
            h = h + self.recipe.noise * torch.randn_like(h)
        if share := self.recipe.semantic_dropout:
            without = torch.rand(len(h), 1, device=h.device) < share
            h = torch.where(without, self.model.truncate(h, self.model.config.spatial), h)
        if inner := self.model.config.inner:
            # Batches are drawn in random order, so the first images are a random share.
            count = math.ceil(self.recipe.inner_share * len(h))
            h = torch.cat((self.model.truncate(h[:count], inner), h[count:]))
        mean = self.model.predict(h if self.recipe.joint else h.detach())
        loss: Tensor = self.recipe.mean_weight * (mean - images).square().mean()
        if self.distillation is not None:
            assert vector is not None  # see `AutoencoderTask.prepare`
            loss = loss + self.recipe.semantic_weight * self.distillation(semantic, vector).mean()
        if not self.recipe.bits_weight:
            return loss
        condition = self.model.condition(h, mean)
        if dropped is not None:
            condition = self.model.pixels.drop_condition(condition, dropped)
        bits = self.model.pixels.log_prob(x, condition).mean() / -math.log(2.0)
        return loss + self.recipe.bits_weight * bits


class AutoencoderTask(Task):
    """Auto-encoders: bits per dimension given h beside squared errors, and the output of both
    decoders.

    The squared error trains the encoder from the first step on, while the PixelCNN still does
    without h.
    """

    config_type = AutoencoderConfig
    loss = "loss"
    loss_unit = "loss"
    figure: ClassVar[str] = "bits_per_dim"
    figure_unit: ClassVar[str] = "bits/dim"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.distillation: Distillation | None = None
        if recipe.autoencoder.semantic_weight:
            assert isinstance(recipe.model, AutoencoderConfig)  # see `config_type`
            torch.manual_seed(mix(recipe.seed, RandomStream.AUXILIARY_WEIGHTS))
            self.distillation = load_distillation(recipe.model.semantic)
            self.critic = self.distillation.student_head

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        """Recipes that train the PixelCNN; a subclass of the network has a task of its own."""
        return type(recipe.model) is cls.config_type and recipe.autoencoder.bits_weight > 0

    @classmethod
    def check_cold_start(cls, recipe: Recipe) -> None:
        """Semantic latents need a teacher, or weights that had one."""
        config = recipe.model
        assert isinstance(config, AutoencoderConfig)  # see `config_type`
        if config.semantic and not recipe.autoencoder.semantic_weight:
            raise _untrained_semantics()

    @classmethod
    def card_text(
        cls, recipes: Sequence[Recipe], name: str, size: str, classes: Sequence[int | str]
    ) -> CardText:
        """See `Task`."""
        configs = (recipe.model for recipe in recipes)
        bottlenecks = (c.bottlenecks for c in configs if isinstance(c, AutoencoderConfig))
        numbers = " or ".join(str(size) for sizes in bottlenecks for size in sizes)
        return CardText(
            summary=f"{size} pictures as {numbers} numbers, and back: a deconvolutional decoder "
            "gives their mean, a Gated PixelCNN draws pictures that they may be of.",
            sheet="Pictures, each with its mean and its samples",
            usage=f"pixelgen reconstruct photo.jpg --weights {name}",
        )

    @classmethod
    def held_out_condition(cls, recipe: Recipe) -> str:
        """The latent of each image."""
        assert isinstance(recipe.model, AutoencoderConfig)  # see `config_type`
        return f"given the {recipe.model.bottleneck} numbers of each"

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The images, and the classifier's features where it is distilled. Raises PixelgenError
        for images of another size."""
        check_image_size(data, self.recipe, "auto-encoder")
        check_data(self.recipe.data, data)  # before the long work
        features: Tensor | None = None
        if self.distillation is not None:
            features = teacher_features(data, self.recipe, run.folder, run.note, run.device)
        training_data = by_picture(
            self.recipe,
            data,
            data.images[None],
            loss_vectors=features,
            drop_own_condition=True,
        )
        config = self.recipe.model
        if not isinstance(config, AutoencoderConfig) or not config.principal:
            return training_data
        train_rows, _ = hold_out(len(data), self.recipe.data.holdout, self.recipe.seed)

        def initial_components() -> dict[str, Tensor]:
            run.note(f"computing {config.spatial} principal components")
            components = components_of(self.recipe, data, train_rows)
            return {f"principal.{name}": tensor for name, tensor in components.items()}

        return replace(training_data, initial=initial_components)

    def objective(self, model: nn.Module) -> nn.Module:
        """Bits per dimension, squared errors, and the distillation of a classifier."""
        assert isinstance(model, Autoencoder)
        if self.distillation is not None:
            self.distillation.to(next(model.parameters()).device)
        return AutoencoderLoss(model, self.recipe.autoencoder, self.distillation)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Exact bits per dimension, each image given its own h."""
        assert isinstance(model, Autoencoder)
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        h, _ = latents_and_means(model, images, batch, precision=precision)
        given_h = conditions_given(model, h, precision=precision)
        return image_bits(model.pixels, images, given_h, batch, precision=precision)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Images, each beside its mean and samples given its h."""
        assert isinstance(model, Autoencoder)
        autoencoder_sheet(model, self.recipe, held, path)

    def warm_start(
        self, checkpoint: LoadedCheckpoint, model: nn.Module, data: TrainingData
    ) -> WarmStart:
        """From an auto-encoder, without semantic latents or of another bottleneck too, or from a
        PixelCNN of pixels, which becomes the second decoder."""
        config = self.recipe.model
        assert isinstance(model, Autoencoder)
        assert isinstance(config, AutoencoderConfig)  # see `config_type`
        network, history = checkpoint.network, checkpoint.config.training
        if config.bottleneck in checkpoint.config.bottlenecks:
            network = checkpoint.autoencoders[config.bottleneck]
            history = checkpoint.config.training_of(config.bottleneck)
        if checkpoint.config.kind != "pixelcnn" or not isinstance(network, GatedPixelCNN):
            self.check_network(checkpoint, network, model)
        old = float_weights(network)
        weights = with_own_encoder(with_semantic_latents(old, model), model)
        new = any(n.startswith(SEMANTIC) and weights[n] is not old.get(n) for n in weights)
        if new and not self.recipe.autoencoder.semantic_weight:
            raise _untrained_semantics()
        return WarmStart(weights, history, shapes(old) == shapes(model.state_dict()))


class EncoderTask(AutoencoderTask):
    """Auto-encoders whose PixelCNN is not trained: the figure is that of the first decoder."""

    figure: ClassVar[str] = "psnr"
    figure_unit: ClassVar[str] = "dB PSNR"

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        """Recipes that leave the PixelCNN as it is."""
        return isinstance(recipe.model, cls.config_type) and not recipe.autoencoder.bits_weight

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Peak signal-to-noise ratios of the means, in dB."""
        assert isinstance(model, Autoencoder)
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        _, means = latents_and_means(model, images, batch, precision=precision)
        return psnr(images, means)


def _untrained_semantics() -> UsageError:
    return UsageError(
        "model.semantic latents without a teacher are those of a random network",
        "set autoencoder.semantic_weight, or give init weights that have them",
        code="semantic-without-teacher",
    )


LATENT_ROWS = ("encoder.out.weight", "encoder.out.bias", "principal.components", "principal.spread")
"""Tensors with a row for each latent dimension that is not semantic."""
LATENT_COLUMNS = (
    "mean.stem.weight",
    "condition.linear.weight",
    "map_network.project.weight",
    "null_vector",
)
"""Tensors with a column for each latent dimension."""
SEMANTIC = "semantic."
"""Prefix of the encoder of the semantic latents."""


def with_semantic_latents(weights: dict[str, Tensor], model: Autoencoder) -> dict[str, Tensor]:
    """Weights of an auto-encoder without semantic latents → weights of `model`, of the same build,
    whose last latent dimensions are semantic ones: nothing reads these yet, the others keep their
    meaning, and old dimensions beyond them are dropped (from the null vector too). All other
    weights are returned as they are."""
    new = {name: t.detach().clone().float() for name, t in model.state_dict().items()}
    semantic = {name: t for name, t in new.items() if name.startswith(SEMANTIC)}
    kept = model.config.spatial
    if not semantic or weights.keys() != new.keys() - semantic.keys():
        return weights
    extended = dict(weights)
    for name in LATENT_ROWS:
        if name in weights:
            extended[name] = weights[name][:kept].clone()
    for name, tensor in weights.items():
        if name.endswith(LATENT_COLUMNS):
            extended[name] = tensor.new_zeros(*tensor.shape[:-1], model.config.bottleneck)
            extended[name][..., :kept] = tensor[..., :kept]
    extended |= semantic
    return extended if shapes(extended) == shapes(new) else weights


def with_own_encoder(weights: dict[str, Tensor], model: Autoencoder) -> dict[str, Tensor]:
    """Weights of a PixelCNN, or of an auto-encoder of another build → weights of `model`: all new
    but the PixelCNN, which does not read h yet. Weights of the build of `model` are returned as
    they are.

    What the old PixelCNN was conditioned on without a condition (the null vector, "no class") stays
    as biases; the map of the null vector, which differs between positions, does not.
    """
    new = {name: t.detach().clone().float() for name, t in model.state_dict().items()}
    if shapes(weights) == shapes(new):
        return weights
    if any(name.startswith("pixels.") for name in weights):
        weights = {
            name.removeprefix("pixels."): tensor
            for name, tensor in weights.items()
            if name.startswith("pixels.")
        }
    null_biases = _null_condition_biases(weights)
    for name in [n for n in new if n.startswith("pixels.")]:
        pixel_name = name.removeprefix("pixels.")
        if pixel_name.endswith(READ_H):
            new[name].zero_()
        elif not pixel_name.startswith(PROCESS_H):
            del new[name]  # missing tensors of the old PixelCNN are an error, not made up
    for name, tensor in weights.items():
        if not name.startswith(PROCESS_H) and ".condition." not in name:
            new[f"pixels.{name}"] = tensor + null_biases.get(name, 0)
    return new


def _null_condition_biases(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What "no class", the null vector and the null map add to the biases of the vertical and the
    horizontal convolution of every layer of a PixelCNN (see `LayerCondition`)."""
    total: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        layer, _, kind = name.partition(".condition.")
        if kind == "table.weight":
            terms = tensor[-1]
        elif kind == "linear.weight":
            terms = tensor @ weights["null_vector"]
        elif kind == "map.weight" and (null := weights.get("null_map")) is not None:
            terms = tensor[:, -len(null) :, 0, 0] @ null
        else:
            continue
        for stack, part in zip(("vertical", "horizontal"), terms.chunk(2), strict=True):
            bias = f"{layer}.{stack}.bias"
            total[bias] = total.get(bias, 0) + part
    return total
