"""Pictures as a handful of numbers, and two ways back: the blurred mean, and a PixelCNN.

van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", 2016 (arXiv 1606.05328),
section 3.4 and Figure 6. One encoder serves both decoders. Deviations:

- the bottleneck h is bounded by a tanh: codes fill a box without corners cut off, so that every
  point on a straight line between two codes is one that the decoders may be given. (On a sphere the
  middle of such a line would be a vector of a length that they have never seen.) With `principal`
  it is not: encoder and first decoder learn what principal components leave over;
- the deconvolutions of the first decoder are convolutions followed by depth-to-space;
- one network may serve two bottlenecks: the smaller is the first numbers of h, the others being 0;
- with `semantic` the last numbers of h come from a second encoder that a classifier teaches what is
  on a picture, as the semantic code of Preechakul et al., "Diffusion Autoencoders", 2022, tells it
  apart from the rest: likelihoods alone care little for that. Those are points of a sphere, and
  `between` moves what lies inside it back there;
- with `mean_channels` the network m that makes a map of h (section 2.3) contains the first decoder:
  the PixelCNN sees a map of its picture, and learns what that lacks.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.conditioning import Condition
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.encoder import VectorEncoder
from pixelgen.models.gated_pixelcnn import ChannelNorm, GatedPixelCNN
from pixelgen.models.tokenizer import ResidualBlock, blocks, enlarge


class PrincipalComponents(nn.Module):
    """Pictures as points of the plane nearest to those of a training set, and back. Not trained."""

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
        with torch.autocast(images.device.type, enabled=False):
            from_center = images.to(self.center.dtype).flatten(1) - self.center
            return from_center @ self.components.T / self.spread

    def pictures(self, h: Tensor) -> Tensor:
        """[B, D] → [B, C, S, S]. Where the first k scores alone are not 0, no other linear
        prediction from k numbers is better on the training set."""
        with torch.autocast(h.device.type, enabled=False):
            flat = (h.to(self.spread.dtype) * self.spread) @ self.components + self.center
            return flat.unflatten(1, self.shape)


def on_sphere(z: Tensor) -> Tensor:
    """Vectors [B, D] → those of the same direction whose numbers have a mean square of 1.

    A tanh in its place is driven to its ends in the first steps, where nothing is learned.
    """
    return F.normalize(z, dim=1) * z.shape[1] ** 0.5


class MapOfMean(nn.Module):
    """The first decoder's picture [B, 3, S, S] → a map for the PixelCNN, [B, M, S/r, S/r].

    Not masked: h, and so that picture, is known before the first pixel is drawn.
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
    """h [B, D] → pictures [B, 3, S, S], about -1 … 1: trained on squared errors, their mean."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        wide, deep = config.wide_features, config.deep_features
        self.side = config.deep_size
        self.stem = nn.Linear(config.bottleneck, deep * self.side**2)
        self.deep = nn.Sequential(blocks(deep, config.deep_blocks), enlarge(deep, wide))
        self.wide = blocks(wide, config.wide_blocks)
        self.patches = nn.Sequential(
            ChannelNorm(wide, 1),
            nn.Conv2d(wide, config.output_features * config.patch**2, 3, padding=1),
            nn.PixelShuffle(config.patch),
        )
        self.out = nn.Conv2d(config.output_features, config.channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        x = self.stem(h).unflatten(1, (-1, self.side, self.side))  # [B, D, S/2p, S/2p]
        x = self.wide(self.deep(x))  # [B, W, S/p, S/p]
        picture: Tensor = self.out(self.patches(x))
        return picture.float()


class Autoencoder(nn.Module):
    """Pictures → h → pictures: their mean, or draws from p(x | h)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VectorEncoder(config, config.place_features, config.spatial)
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
            for last in (self.encoder.out, self.mean.out):  # nothing to add at the start
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)
        self.map_of_mean = MapOfMean(config) if config.mean_channels else None
        self.kept = config.bottleneck
        """Numbers of h that are told; the others are 0."""

    def keeping(self, kept: int) -> Autoencoder:
        """The same network, not a copy, that tells only the first `kept` numbers of h."""
        view = copy.copy(self)
        view.kept = kept
        return view

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate: those of the PixelCNN."""
        return {f"pixels.{name}": rate for name, rate in self.pixels.learning_rates().items()}

    def encode(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] of -1 … 1 → h [B, D], of -1 … 1 or, with principal components, of
        about unit variance; its semantic numbers lie on a sphere."""
        z: Tensor = self.encoder(images)
        h = torch.tanh(z) if self.principal is None else z + self.principal.scores(images)
        if self.semantic is not None:
            h = torch.cat((h, on_sphere(self.semantic(images))), dim=1)
        return self.shortened(h, self.kept)

    def shortened(self, h: Tensor, kept: int) -> Tensor:
        """h [B, D] with all but its first `kept` numbers 0."""
        return h * (torch.arange(h.shape[1], device=h.device) < kept)

    def between(self, h: Tensor) -> Tensor:
        """Points [B, D] on straight lines between two codes → codes that a picture might have: the
        semantic numbers are moved back onto their sphere, and 0 where they are not told."""
        if self.semantic is None:
            return h
        first = self.config.spatial
        return torch.cat((h[:, :first], on_sphere(h[:, first:])), dim=1)

    def predict(self, h: Tensor) -> Tensor:
        """h [B, D] → the mean of the pictures that it may be of, [B, 3, S, S], about -1 … 1."""
        picture: Tensor = self.mean(h)
        if self.principal is None:
            return picture
        return picture + self.principal.pictures(h[:, : self.config.spatial])

    def decode(self, h: Tensor) -> Tensor:
        """The same, of -1 … 1."""
        return self.predict(h).clamp(-1, 1)

    def condition(self, h: Tensor, mean: Tensor | None = None) -> Condition:
        """What the PixelCNN is told of h [B, D]; `mean` [B, 3, S, S] is what `predict` makes of it,
        if that is known. Errors of the PixelCNN do not move the mean: it stays one."""
        if self.map_of_mean is None:
            return Condition(vector=h)
        seen = self.predict(h) if mean is None else mean
        return Condition(vector=h, map=self.map_of_mean(seen.detach().clamp(-1, 1)))

    def log_prob(self, x: Tensor, h: Tensor) -> Tensor:
        """log p(x | h) of pictures int64 [B, 3, S, S] of 0 … 255, value by value, in nats."""
        return self.pixels.log_prob(x, self.condition(h))
