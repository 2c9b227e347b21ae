"""PixelVAE: a Gaussian latent h and a PixelCNN decoder, trained on the ELBO."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pixelgen.metrics.latent_bound import image_bounds
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import PixelVAEConfig
from pixelgen.models.likelihood import to_signed
from pixelgen.models.pixelvae import PixelVAE
from pixelgen.random_streams import RandomStream, stream_generator
from pixelgen.training.recipe import Recipe
from pixelgen.training.tasks.autoencoder import AutoencoderLoss, AutoencoderTask
from pixelgen.training.tasks.base import CardText


class PixelVAELoss(AutoencoderLoss):
    """The ELBO in bits per dimension, with free bits, and the squared error of the mean, each with
    its weight."""

    model: PixelVAE

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255 → a number. The PixelCNN is not given h where `dropped`
        bool [B] is true, and h costs nothing there; `classes` and `vector` are not used."""
        images = to_signed(x, 256)
        q = self.model.posterior(images)
        h = q.at(torch.randn_like(q.mean))
        return self.of_latents(x, images, h, None, dropped) + self.latent_cost(q.kl(), x, dropped)

    def latent_cost(self, kl: Tensor, x: Tensor, dropped: Tensor | None) -> Tensor:
        """The divergences from the prior in nats, [B, D], as weighted bits per dimension of x."""
        if dropped is not None:
            kl = kl.masked_fill(dropped[:, None], 0.0)
        free = self.recipe.free_bits * math.log(2.0)
        bits = kl.mean(0).clamp(min=free).sum() / math.log(2.0)
        return self.recipe.bits_weight * bits / x[0].numel()


class PixelVAETask(AutoencoderTask):
    """PixelVAE: the held-out figure is the ELBO, a bound, with one h drawn for each image."""

    config_type = PixelVAEConfig
    figure: ClassVar[str] = "bits_per_dim_bound"
    figure_unit: ClassVar[str] = "bits/dim (upper bound, ELBO)"
    figure_is_bound: ClassVar[bool] = True

    @classmethod
    def card_text(
        cls, recipes: Sequence[Recipe], name: str, size: str, classes: Sequence[int | str]
    ) -> CardText:
        """See `Task`."""
        config = recipes[0].model
        assert isinstance(config, PixelVAEConfig)  # see `config_type`
        return CardText(
            summary=f"Draws {size} pictures from {config.bottleneck} numbers, which are drawn from "
            "a standard normal or computed from a picture (PixelVAE). Likelihoods are bounds.",
            sheet="Pictures, each with its mean and its samples",
            usage=f"pixelgen sample -n 16 --weights {name}",
        )

    @classmethod
    def held_out_condition(cls, recipe: Recipe) -> str:
        """Nothing: the latent is paid for."""
        return ""

    def objective(self, model: nn.Module) -> nn.Module:
        """The ELBO, and squared errors."""
        assert isinstance(model, PixelVAE)
        return PixelVAELoss(model, self.recipe.autoencoder)

    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """The negative ELBO in bits per dimension, an upper bound."""
        assert isinstance(model, PixelVAE)
        return image_bounds(
            model,
            images,
            1,
            stream_generator(self.recipe.seed, RandomStream.LATENT),
            self.recipe.optimiser.batch,
            precision=self.recipe.compute.precision,
        ).elbo
