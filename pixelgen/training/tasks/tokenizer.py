"""Tokenizers: pictures as grids of codes, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.imaging.alignment import FRAME, TEMPLATE
from pixelgen.metrics.perceptual import (
    FaceDistance,
    PerceptualDistance,
    class_divergence,
    load_perceptual,
)
from pixelgen.metrics.reconstruction import psnr, reconstruct
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import TokenizerConfig
from pixelgen.models.efficientnet import feature_distance
from pixelgen.models.likelihood import to_signed
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.random_streams import RandomStream, mix
from pixelgen.training.discriminator import Discriminator
from pixelgen.training.recipe import LossesRecipe, Recipe
from pixelgen.training.sample_sheets import reconstruction_sheet
from pixelgen.training.submodels import TOKENIZER, loss_embedder, submodel_history
from pixelgen.training.tasks.base import (
    CardText,
    RunContext,
    Task,
    WarmStart,
    check_image_size,
    float_weights,
    shapes,
)
from pixelgen.training.training_data import TrainingData, by_picture


class TokenizerLoss(nn.Module):
    """The weighted losses of a batch and its reconstruction.

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        losses: LossesRecipe,
        perceptual: PerceptualDistance | None,
        discriminator: Discriminator | None = None,
        identity: FaceDistance | None = None,
        places: Tensor | None = None,
    ) -> None:
        """`places` [1, 1, S, S]: weights of the places of a picture; None: all equal."""
        super().__init__()
        self.model, self.losses = model, losses
        self.perceptual, self.discriminator = perceptual, discriminator
        self.identity = identity
        self.places: Tensor | None
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255 → a number. `classes` are not used."""
        images = to_signed(x, 256)
        reconstruction, _ = self.model(images, self.losses.code_noise)
        loss = self.losses.pixel_weight * pixel_loss(
            reconstruction - images, self.losses.pixel, self.places
        )
        if self.identity is not None:
            loss = loss + self.losses.identity * self.identity(reconstruction, images).mean()
        if self.perceptual is not None:
            # Batches are drawn in random order, so their first pictures are a random share.
            some = slice(math.ceil(self.losses.perceptual_share * len(x)))
            fake, fake_logits = self.perceptual.see(reconstruction[some])
            with torch.no_grad():
                real, real_logits = self.perceptual.see(images[some])
            loss = loss + self.losses.perceptual * feature_distance(fake, real, self.places).mean()
            if fake_logits is not None and real_logits is not None:
                loss = loss + self.losses.classifier * class_divergence(fake_logits, real_logits)
            if self.discriminator is not None:
                depths = len(self.discriminator.heads)
                fake, real = fake[:depths], real[:depths]
                loss = loss + self.losses.adversarial * self.discriminator.fooled(real, fake)
                # Neither's gradient reaches the other, so that one step serves both.
                loss = loss + self.discriminator.loss(real, fake)
        return loss


def pixel_loss(difference: Tensor, name: str, places: Tensor | None = None) -> Tensor:
    """The mean over all values of a difference [B, C, S, S], by its name in `losses.pixel`, each
    place weighted by `places` [1, 1, S, S] of mean 1."""
    if name == "l1":
        values = difference.abs()
    elif name == "l2":
        values = difference.square()
    else:  # Charbonnier: a hyperbola, smooth over about one level of 256
        values = (difference.square() + 1e-4).sqrt() - 1e-2
    return (values if places is None else values * places).mean()


FOCUS_RADIUS = 5.0
"""Standard deviation of the bumps of `face_weights`, pixels of the template."""


def face_weights(size: int, focus: float) -> Tensor:
    """Weights [1, 1, size, size], of mean 1, of the places of an aligned face: largest, 1 + `focus`
    times those far away, at the eyes and the corners of the mouth."""
    centres = (torch.arange(size) + 0.5) * (FRAME / size)
    weights = torch.zeros(size, size)
    for x, y in (TEMPLATE[i] for i in (0, 1, 3, 4)):
        across, down = (centres - x) / FOCUS_RADIUS, (centres - y) / FOCUS_RADIUS
        bump = torch.exp(-(down.square()[:, None] + across.square()[None]) / 2)
        weights = torch.maximum(weights, bump)
    weights = 1 + focus * weights
    return (weights / weights.mean())[None, None]


class TokenizerTask(Task):
    """Tokenizers: the weighted losses of reconstructions, their PSNR, and a sheet of them."""

    config_type = TokenizerConfig
    loss = "loss"
    loss_unit = "loss"
    figure = "psnr"
    figure_unit = "dB PSNR"
    critic: Discriminator | None

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        losses = recipe.losses
        self.perceptual = (
            load_perceptual(losses.perceptual_scale, losses.classifier > 0)
            if losses.perceptual
            else None
        )
        self.identity: FaceDistance | None = None
        self.critic = None
        if losses.adversarial:
            assert self.perceptual is not None  # required by the recipe
            torch.manual_seed(mix(recipe.seed, RandomStream.AUXILIARY_WEIGHTS))
            self.critic = Discriminator(
                self.perceptual.widths, losses.critic == "paired", losses.critic_smoothness
            )

    @classmethod
    def check_cold_start(cls, recipe: Recipe) -> None:
        """A recipe that keeps the encoder needs one."""
        if recipe.losses.decoder_only:
            raise UsageError(
                "losses.decoder_only keeps the encoder of other weights, and there are none",
                "give init, or set losses.decoder_only = false",
                code="decoder-only-without-init",
            )

    @classmethod
    def card_text(
        cls, recipes: Sequence[Recipe], name: str, size: str, classes: Sequence[int | str]
    ) -> CardText:
        """See `Task`."""
        return CardText(
            summary=f"A tokenizer: {size} pictures as grids of codes, and back.",
            sheet="Pictures, each with its reconstruction",
            usage=f"pixelgen encode photo.jpg --weights {name} -o codes.safetensors",
        )

    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """The images. Raises PixelgenError for those of another size, and for an embedder of faces
        of another size."""
        check_image_size(data, self.recipe, "tokenizer")
        if self.recipe.losses.embedder:
            embedder = loss_embedder(run.folder, self.recipe.losses.embedder)
            if embedder.config.size != self.recipe.model.height:
                raise PixelgenError(
                    f"{self.recipe.losses.embedder} embeds faces of "
                    f"{embedder.config.size}×{embedder.config.size} pixels, "
                    f"model.size is {self.recipe.model.height}"
                )
            self.identity = FaceDistance(embedder)
        return by_picture(self.recipe, data, data.images[None])

    def objective(self, model: nn.Module) -> nn.Module:
        """The weighted losses."""
        assert isinstance(model, Tokenizer)
        losses = self.recipe.losses
        model.encoder.requires_grad_(not losses.decoder_only)
        for part in (self.perceptual, self.critic, self.identity):
            if part is not None:
                part.to(next(model.parameters()).device)
                if self.recipe.compute.channels_last:
                    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        places = face_weights(model.config.size, losses.face_focus) if losses.face_focus else None
        objective = TokenizerLoss(
            model, losses, self.perceptual, self.critic, self.identity, places
        )
        return objective.to(next(model.parameters()).device)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """Peak signal-to-noise ratios of the reconstructions, in dB."""
        batch, precision = self.recipe.optimiser.batch, self.recipe.compute.precision
        return psnr(images, reconstruct(model, images, batch, precision=precision))

    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Images beside their reconstructions."""
        reconstruction_sheet(model, held, path)

    def warm_start(
        self, checkpoint: LoadedCheckpoint, model: nn.Module, data: TrainingData
    ) -> WarmStart:
        """From a tokenizer, alone or beside a model, with fewer code channels or no fine stage
        too."""
        assert isinstance(model, Tokenizer)
        network = checkpoint.codec
        self.check_network(checkpoint, network, model)
        weights = float_weights(network)
        unchanged = shapes(weights) == shapes(model.state_dict())
        weights = with_fine_stage(weights, model)
        if not self.recipe.losses.decoder_only:
            weights = with_more_channels(weights, model)
        return WarmStart(weights, submodel_history(checkpoint.config, TOKENIZER), unchanged)


CODE_ROWS = ("encoder.out.1.weight", "encoder.out.1.bias")
"""The encoder's last layer, with a row for each code channel."""
CODE_COLUMNS = "decoder.stem.weight"
"""The decoder's first layer [W, C, 3, 3], with a column for each code channel."""
FINE_STAGE = "decoder.fine."
"""The decoder's stage that adds to the output of the others."""


def with_more_channels(weights: dict[str, Tensor], model: Tokenizer) -> dict[str, Tensor]:
    """Weights of a tokenizer with fewer code channels than `model` → weights in its shape, with the
    same reconstructions: the encoder writes new channels as a new network does, the decoder does
    not read them yet. All other weights are returned as they are."""
    new = model.state_dict()
    old_channels, channels = (
        len(w[CODE_ROWS[0]]) if CODE_ROWS[0] in w else 0 for w in (weights, new)
    )
    if not 0 < old_channels < channels:
        return weights
    extended = dict(weights)
    for name in CODE_ROWS:
        extended[name] = new[name].detach().clone().float()
        extended[name][:old_channels] = weights[name]
    columns = weights[CODE_COLUMNS]
    extended[CODE_COLUMNS] = columns.new_zeros(len(columns), channels, *columns.shape[2:])
    extended[CODE_COLUMNS][:, :old_channels] = columns
    return extended


def with_fine_stage(weights: dict[str, Tensor], model: Tokenizer) -> dict[str, Tensor]:
    """Weights of a tokenizer without the decoder's fine stage → weights of `model`, which has one,
    with the same reconstructions: the stage is new and adds 0. All other weights are returned as
    they are."""
    if any(name.startswith(FINE_STAGE) for name in weights):
        return weights
    new = model.state_dict()
    return weights | {
        name: tensor.detach().clone().float()
        for name, tensor in new.items()
        if name.startswith(FINE_STAGE)
    }
