"""An auto-encoder of pictures with two decoders: a deconvolutional one (the blurred mean), and a
PixelCNN.

van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", 2016 (arXiv 1606.05328),
section 3.4 and Figure 6. One encoder serves both decoders. Deviations:

- a tanh bounds the bottleneck h: latents fill a box, so that every point on a straight line between
  two latents is a possible one. (On a sphere the middle of such a line would have a length that the
  decoders have never seen.) With `principal` there is no tanh: encoder and first decoder learn the
  residual of principal components;
- the deconvolutions of the first decoder are convolutions followed by depth-to-space;
- one network may serve two bottlenecks: the smaller is the first dimensions of h, the others being
  0;
- with `semantic` the last dimensions of h come from a second encoder, which a classifier supervises
  (as the semantic code of Preechakul et al., "Diffusion Autoencoders", 2022): likelihoods alone
  hardly depend on what a picture shows. They are points on a sphere; `project` moves points inside
  it back there;
- with `mean_channels` the network m that computes a map of h (section 2.3) contains the first
  decoder: the PixelCNN sees a map of its picture, and learns the difference.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.conditioning import Condition
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.encoder import VectorEncoder
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.hub_methods import HubMethods
from pixelgen.models.layers import ResidualBlock, residual_blocks, upsample
from pixelgen.models.precision import full_precision


class PrincipalComponents(nn.Module):
    """The principal components of a training set: pictures → scores → pictures. Not trained."""

    center: Tensor
    components: Tensor
    spread: Tensor

    def __init__(self, length: int, size: int, channels: int) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        values = channels * size**2
        self.register_buffer("center", torch.zeros(values))
        self.register_buffer("components", torch.zeros(length, values))
        self.register_buffer("spread", torch.ones(length))

    def scores(self, images: Tensor) -> Tensor:
        """Pictures [B, C, S, S] → [B, D], of zero mean and unit variance on the training set."""
        with full_precision(images.device):
            from_center = images.to(self.center.dtype).flatten(1) - self.center
            return from_center @ self.components.T / self.spread

    def pictures(self, h: Tensor) -> Tensor:
        """Scores [B, D] → pictures [B, C, S, S]: with all but the first k scores 0, the best linear
        reconstruction from k numbers on the training set."""
        with full_precision(h.device):
            flat = (h.to(self.spread.dtype) * self.spread) @ self.components + self.center
            return flat.unflatten(1, self.shape)


def on_sphere(z: Tensor) -> Tensor:
    """Vectors [B, D] → vectors of the same direction with a mean square of 1.

    A tanh in its place saturates in the first steps, and then learns nothing.
    """
    return F.normalize(z, dim=1) * z.shape[1] ** 0.5


class MapOfMean(nn.Module):
    """The first decoder's picture [B, 3, S, S] → a map for the PixelCNN, [B, M, S/r, S/r].

    Not masked: h, and so that picture, is known before the first pixel is sampled.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        patch, channels = config.pixels.patch, config.mean_channels
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(patch),
            nn.Conv2d(config.channels * patch**2, channels, 3, padding=1),
            ResidualBlock(channels),
            ResidualBlock(channels),
        )

    def forward(self, mean: Tensor) -> Tensor:
        s: Tensor = self.layers(mean)
        return s


class MeanDecoder(nn.Module):
    """h [B, D] → pictures [B, 3, S, S], about -1 … 1: trained on squared errors, their conditional
    mean."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        wide, deep = config.wide_features, config.deep_features
        self.side = config.deep_size
        self.stem = nn.Linear(config.bottleneck, deep * self.side**2)
        self.deep = nn.Sequential(residual_blocks(deep, config.deep_blocks), upsample(deep, wide))
        self.wide = residual_blocks(wide, config.wide_blocks)
        self.patches = upsample(wide, config.output_features, config.patch, kernel=3)
        self.out = nn.Conv2d(config.output_features, config.channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        x = self.stem(h).unflatten(1, (-1, self.side, self.side))  # [B, D, S/2p, S/2p]
        x = self.wide(self.deep(x))  # [B, W, S/p, S/p]
        picture: Tensor = self.out(self.patches(x))
        return picture.float()


class Autoencoder(nn.Module, HubMethods):
    """Pictures → h → pictures: their conditional mean, or samples from p(x | h)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VectorEncoder(config, config.place_features, config.encoder_outputs)
        self.semantic: VectorEncoder | None = None
        if config.semantic:
            self.semantic = VectorEncoder(
                config.semantic_encoder, config.semantic_place_features, config.semantic
            )
        self.mean = MeanDecoder(config)
        self.pixels = GatedPixelCNN(config.pixels)
        self.principal: PrincipalComponents | None = None
        if config.principal:
            self.principal = PrincipalComponents(config.spatial, config.size, config.channels)
            for last in (self.encoder.out, self.mean.out):  # residuals of 0 at the start
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)
        self.map_of_mean = MapOfMean(config) if config.mean_channels else None
        self.latent_dims = config.bottleneck
        """Dimensions of h that `encode` fills; the others are 0."""

    def with_latent_dims(self, dims: int) -> Autoencoder:
        """The same network, not a copy, whose `encode` fills only the first `dims` dimensions."""
        view = copy.copy(self)
        view.latent_dims = dims
        return view

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate, relative to the others."""
        return {f"pixels.{name}": rate for name, rate in self.pixels.learning_rates().items()}

    def encode(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] of -1 … 1 → h [B, D], of -1 … 1 or, with principal components, of
        about unit variance; its semantic dimensions lie on a sphere."""
        z: Tensor = self.encoder(images)
        h = torch.tanh(z) if self.principal is None else z + self.principal.scores(images)
        if self.semantic is not None:
            h = torch.cat((h, on_sphere(self.semantic(images))), dim=1)
        return self.truncate(h, self.latent_dims)

    def truncate(self, h: Tensor, dims: int) -> Tensor:
        """h [B, D] with all but its first `dims` dimensions 0."""
        return h * (torch.arange(h.shape[1], device=h.device) < dims)

    def project(self, h: Tensor) -> Tensor:
        """Points [B, D] on straight lines between latents → possible latents: the semantic
        dimensions are moved back onto their sphere (0 stays 0)."""
        if self.semantic is None:
            return h
        first = self.config.spatial
        return torch.cat((h[:, :first], on_sphere(h[:, first:])), dim=1)

    def predict(self, h: Tensor) -> Tensor:
        """h [B, D] → the mean of the pictures that it may stand for, [B, 3, S, S], about -1 … 1."""
        picture: Tensor = self.mean(h)
        if self.principal is None:
            return picture
        return picture + self.principal.pictures(h[:, : self.config.spatial])

    def decode(self, h: Tensor) -> Tensor:
        """`predict`, clamped to -1 … 1."""
        return self.predict(h).clamp(-1, 1)

    def condition(self, h: Tensor, mean: Tensor | None = None) -> Condition:
        """The PixelCNN's condition for h [B, D]; `mean` [B, 3, S, S] is `predict(h)`, if that is
        known already. No gradient flows into the mean, which would else not remain one."""
        if self.map_of_mean is None:
            return Condition(vector=h)
        seen = self.predict(h) if mean is None else mean
        return Condition(vector=h, map=self.map_of_mean(seen.detach().clamp(-1, 1)))

    def log_prob(self, x: Tensor, h: Tensor) -> Tensor:
        """log p(x | h) of pictures int64 [B, 3, S, S] of 0 … 255, value by value, in nats."""
        return self.pixels.log_prob(x, self.condition(h))
