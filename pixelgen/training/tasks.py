"""What a run minimises, measures and shows: one class for each kind of network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.metrics.bits_per_dim import image_bits
from pixelgen.metrics.latents import conditions_given, latents_and_means
from pixelgen.metrics.perceptual import load_perceptual
from pixelgen.metrics.reconstruction import encode, psnr, reconstruct
from pixelgen.metrics.verification import embed, verify
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import (
    AutoencoderConfig,
    FaceEmbedderConfig,
    GridConfig,
    TokenizerConfig,
)
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.random_streams import RandomStream, mix
from pixelgen.training.autoencoder_loss import AutoencoderLoss, components_of
from pixelgen.training.batches import hold_out
from pixelgen.training.class_prior_fit import picture_vectors
from pixelgen.training.codes import AT_ONCE, EncodedBatches, check_size, encoded_views
from pixelgen.training.discriminator import Discriminator
from pixelgen.training.distillation import Distillation, load_semantics, seen_features
from pixelgen.training.objective import BitsPerDimLoss
from pixelgen.training.recipe import Recipe
from pixelgen.training.sample_sheets import (
    autoencoder_sheet,
    neighbour_sheet,
    portrait_sheet,
    reconstruction_sheet,
    sample_grid,
)
from pixelgen.training.submodels import run_embedder, run_tokenizer
from pixelgen.training.tokenizer_loss import TokenizerLoss
from pixelgen.training.training_data import (
    FaceConditioning,
    TrainingData,
    by_identity,
    by_picture,
    check_data,
)
from pixelgen.training.triplets import TripletLoss

MANY_FACES = 2000
"""As many as tell how one embedder's vectors lie to another's."""


@dataclass(frozen=True)
class RunContext:
    """What a run gives to the preparation of its pictures."""

    folder: Path
    """Its folder, for what is computed once."""
    note: Callable[[str], None]
    """Takes a line for the user."""
    device: torch.device
    """Where a network looks at all pictures."""
    resumed: bool = False
    """The run goes on: what was computed for it once is what it learns from."""


class Task(Protocol):
    """The kind of work that a recipe's network is for."""

    loss: ClassVar[str]
    """Name of the loss in the logs."""
    loss_unit: ClassVar[str]
    """What follows its number."""
    figure: ClassVar[str]
    """Name of the figure for held-out pictures in the logs."""
    figure_unit: ClassVar[str]
    """What follows its number."""

    @property
    def critic(self) -> nn.Module | None:
        """What learns beside the network, and is of no use after the run."""

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """What is trained on. Raises PixelgenError for pictures that do not fit the network."""

    def objective(self, model: nn.Module) -> nn.Module:
        """A module: what `Batch.inputs` gives → the loss."""

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """The figure of each picture, float64 [N], of uint8 [N, C, H, W]; or of all, [1]."""

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Writes pictures to look at; `held` uint8 [N, C, H, W] were not trained on, `condition`
        is theirs."""


def kind_of_task(
    recipe: Recipe,
) -> (
    type[LikelihoodTask]
    | type[TokenizerTask]
    | type[EmbedderTask]
    | type[AutoencoderTask]
    | type[EncoderTask]
):
    """The kind of task of the recipe's network."""
    if isinstance(recipe.model, AutoencoderConfig):
        return AutoencoderTask if recipe.autoencoder.bits_weight else EncoderTask
    if isinstance(recipe.model, FaceEmbedderConfig):
        return EmbedderTask
    if isinstance(recipe.model, TokenizerConfig):
        return TokenizerTask
    return CodesLikelihoodTask if recipe.data.tokenizer else LikelihoodTask


def task_of(recipe: Recipe) -> Task:
    """The task of the recipe's network."""
    return kind_of_task(recipe)(recipe)


def _check_size(data: ImageData, recipe: Recipe, what: str) -> None:
    """Raises PixelgenError for pictures that are not of the size of the network, `what`."""
    config = recipe.model
    shape, wanted = _shape(data, recipe), (config.channels, config.height, config.width)
    if shape != wanted:
        raise PixelgenError(
            f"the data is {shape}, the {what} is for {wanted} (channels, rows, columns)",
            "set data.size, data.crop and model.size to one size",
        )


def _shape(data: ImageData, recipe: Recipe) -> tuple[int, int, int]:
    """Channels, rows and columns of what is cut out of the pictures."""
    channels, height, width = data.images.shape[1:]
    return channels, recipe.data.crop or height, recipe.data.crop or width


class LikelihoodTask:
    """An autoregressive model: bits per dimension, and samples."""

    loss: ClassVar[str] = "bits_per_dim"
    loss_unit: ClassVar[str] = "bits/dim"
    figure: ClassVar[str] = "bits_per_dim"
    figure_unit: ClassVar[str] = "bits/dim"
    critic: ClassVar[None] = None

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The pictures. Raises PixelgenError for those that are not the model's grid."""
        config = self.recipe.model
        assert isinstance(config, GridConfig)  # `kind_of_task` sees to that
        shape, wanted = _shape(data, self.recipe), (config.channels, config.height, config.width)
        if shape != wanted or config.levels != 256:
            raise PixelgenError(
                f"the data is 256 levels of {shape}, the model's grid {config.levels} of {wanted} "
                "(channels, rows, columns)",
                "set data.size and the [model] table to one size",
            )
        return self._material(data, data.images[None], run)

    def _material(self, data: ImageData, views: Tensor, run: RunContext) -> TrainingData:
        """`views` of the pictures with the condition vectors that the recipe asks for."""
        embedder = self._embedder(data, run.folder)
        seen = self._seen(data, run)
        if embedder is None:
            return by_picture(self.recipe, data, views, seen=seen)
        faces = cut(data.images, embedder.config.size)
        embeddings = embed(embedder.to(run.device), faces, 250)
        embedder.cpu()
        material = by_picture(self.recipe, data, views, embeddings)
        return replace(material, embedded=FaceConditioning(embedder, faces[:MANY_FACES]))

    def _seen(
        self, data: ImageData, run: RunContext
    ) -> Callable[[Tensor, Tensor], tuple[Tensor, ClassPrior]] | None:
        """What makes condition vectors, and p(h | class), of what a classifier sees; None where
        there are none."""
        if not self.recipe.model.vector_components:
            return None
        return lambda rows, classes: picture_vectors(
            data, rows, classes, self.recipe, run.folder, run.note, run.device, run.resumed
        )

    def _embedder(self, data: ImageData, folder: Path) -> FaceEmbedder | None:
        """What makes the condition vectors of pictures; None where they have none of it."""
        given = self.recipe.data
        if not given.embedder:
            return None
        embedder = run_embedder(folder, given.embedder)
        config, wanted = embedder.config, self.recipe.model.vector
        if config.embedding != wanted:
            raise PixelgenError(
                f"the embeddings of {given.embedder} have {config.embedding} numbers, "
                f"model.vector is {wanted}"
            )
        if _shape(data, self.recipe)[1:] != (config.height, config.width):
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
        return image_bits(model, images, condition, batch, precision=precision)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """A grid of samples."""
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


class CodesLikelihoodTask(LikelihoodTask):
    """An autoregressive model of a tokenizer's codes: bits per code, and decoded samples."""

    loss_unit: ClassVar[str] = "bits/code"
    figure_unit: ClassVar[str] = "bits/code"
    tokenizer: Tokenizer

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The codes of the pictures. Raises PixelgenError where pictures, tokenizer and model do
        not fit together."""
        config = self.recipe.model
        ref = self.recipe.data.tokenizer
        assert isinstance(config, GridConfig)  # the recipe sees to that
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
            material = self._material(data, data.images[None], run)
            compute = self.recipe.compute
            held = encode(self.tokenizer, material.held, AT_ONCE, precision=compute.precision)
            drawn = EncodedBatches(material.batches, self.tokenizer, compute)
            return replace(material, batches=drawn, held=held)
        views = encoded_views(
            self.tokenizer,
            data,
            self.recipe.data,
            self.recipe.compute,
            self.recipe.seed,
            run.folder,
            run.note,
        )
        return self._material(data, views, run)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """A grid of samples, decoded."""
        self._show(model, held, condition, path, self.tokenizer)


class TokenizerTask:
    """A tokenizer: the weighted losses of reconstructions, their PSNR, and a sheet of them."""

    loss: ClassVar[str] = "loss"
    loss_unit: ClassVar[str] = "loss"
    figure: ClassVar[str] = "psnr"
    figure_unit: ClassVar[str] = "dB PSNR"

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.critic: Discriminator | None = None
        losses = recipe.losses
        self.perceptual = (
            load_perceptual(losses.perceptual_scale, losses.classifier > 0)
            if losses.perceptual
            else None
        )
        if losses.adversarial:
            assert self.perceptual is not None  # the recipe sees to that
            torch.manual_seed(mix(recipe.seed, RandomStream.AUXILIARY_WEIGHTS))
            self.critic = Discriminator(
                self.perceptual.widths, losses.critic == "paired", losses.critic_smoothness
            )

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The pictures. Raises PixelgenError for those of another size."""
        _check_size(data, self.recipe, "tokenizer")
        return by_picture(self.recipe, data, data.images[None])

    def objective(self, model: nn.Module) -> nn.Module:
        """The weighted losses."""
        assert isinstance(model, Tokenizer)
        losses = self.recipe.losses
        model.encoder.requires_grad_(not losses.decoder_only)
        for part in (self.perceptual, self.critic):
            if part is not None:
                part.to(next(model.parameters()).device)
                if self.recipe.compute.channels_last:
                    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TokenizerLoss(model, losses, self.perceptual, self.critic)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Peak signal-to-noise ratios of the reconstructions, in dB."""
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        return psnr(images, reconstruct(model, images, batch, precision=precision))

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Pictures beside their reconstructions."""
        reconstruction_sheet(model, held, path)


class EmbedderTask:
    """A face embedder: the triplet loss, how well it tells people apart, and its near mistakes."""

    loss: ClassVar[str] = "loss"
    loss_unit: ClassVar[str] = "loss"
    figure: ClassVar[str] = "auc"
    figure_unit: ClassVar[str] = "ROC AUC"
    critic: ClassVar[None] = None

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """Pictures by person. Raises PixelgenError for those of another size or without people."""
        _check_size(data, self.recipe, "embedder")
        return by_identity(self.recipe, data)

    def objective(self, model: nn.Module) -> nn.Module:
        """The triplet loss."""
        return TripletLoss(model, self.recipe.triplets)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """The area under the ROC curve over all pairs of held-out pictures, [1]."""
        assert condition is not None  # `by_identity` gives it
        assert condition.classes is not None
        embeddings = embed(model, images, self.recipe.optimiser.batch)
        return torch.tensor([verify(embeddings, condition.classes).auc], dtype=torch.float64)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Each of a few pictures, and at its right those that are nearest to it."""
        neighbour_sheet(embed(model, held, self.recipe.optimiser.batch), held, path)


class AutoencoderTask:
    """An auto-encoder: bits per dimension given h beside squared errors, and both decoders' work.

    Squared errors teach the encoder what lies where from the first step on, when a PixelCNN can
    still do without h.
    """

    loss: ClassVar[str] = "loss"
    loss_unit: ClassVar[str] = "loss"
    figure: ClassVar[str] = "bits_per_dim"
    figure_unit: ClassVar[str] = "bits/dim"

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.semantics: Distillation | None = None
        if recipe.autoencoder.semantic_weight:
            assert isinstance(recipe.model, AutoencoderConfig)  # the recipe sees to that
            torch.manual_seed(mix(recipe.seed, RandomStream.AUXILIARY_WEIGHTS))
            self.semantics = load_semantics(recipe.model.semantic)

    @property
    def critic(self) -> nn.Module | None:
        """What guesses the classifier's opinion."""
        return None if self.semantics is None else self.semantics.guess

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The pictures, and what a classifier sees of them where it teaches. Raises PixelgenError
        for those of another size."""
        _check_size(data, self.recipe, "auto-encoder")
        check_data(self.recipe.data, data)  # before what takes long
        seen: Tensor | None = None
        if self.semantics is not None:
            seen = seen_features(data, self.recipe, run.folder, run.note, run.device)
        material = by_picture(self.recipe, data, data.images[None], beside=seen)
        config = self.recipe.model
        if not isinstance(config, AutoencoderConfig) or not config.principal:
            return material
        kept, _ = hold_out(len(data), self.recipe.data.holdout, self.recipe.seed)

        def components() -> dict[str, Tensor]:
            run.note(f"looking for {config.spatial} principal components")
            found = components_of(self.recipe, data, kept)
            return {f"principal.{name}": tensor for name, tensor in found.items()}

        return replace(material, initial=components)

    def objective(self, model: nn.Module) -> nn.Module:
        """Bits per dimension, squared errors, and what a classifier has to say."""
        assert isinstance(model, Autoencoder)
        if self.semantics is not None:
            self.semantics.to(next(model.parameters()).device)
        return AutoencoderLoss(model, self.recipe.autoencoder, self.semantics)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Exact bits per dimension, each picture given its own h."""
        assert isinstance(model, Autoencoder)
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        h, _ = latents_and_means(model, images, batch, precision=precision)
        told = conditions_given(model, h, precision=precision)
        return image_bits(model.pixels, images, told, batch, precision=precision)

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Pictures, each beside its mean and samples given its h."""
        assert isinstance(model, Autoencoder)
        autoencoder_sheet(model, self.recipe, held, path)


class EncoderTask(AutoencoderTask):
    """An auto-encoder whose PixelCNN is left as it is: the figure is that of the first decoder."""

    figure: ClassVar[str] = "psnr"
    figure_unit: ClassVar[str] = "dB PSNR"

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Peak signal-to-noise ratios of the means, in dB."""
        assert isinstance(model, Autoencoder)
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        _, means = latents_and_means(model, images, batch, precision=precision)
        return psnr(images, means)
