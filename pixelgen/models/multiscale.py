"""A model of two scales: a sub-sampled picture first, then the rest of the picture given it.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016 (section 3.6), with
a Gated PixelCNN for each scale: p(x) = p(x_sub) · p(x | x_sub), so the likelihood is exact. x_sub
has the top left pixel of every patch.

The grid has the rows of the sub-sampled picture, then those of the picture after space-to-depth:
the first channels of these rows repeat what is known already, and the other channels of the first
rows stand for nothing. Neither counts: `from_grid` leaves both out, and `embed` reads the first
rows instead.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import MultiScaleConfig
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.likelihood import build_likelihood


class MultiScale(GridNetwork):
    """p(x | condition) of pictures x [B, C, H, W], the sub-sampled picture first."""

    config: MultiScaleConfig

    def __init__(self, config: MultiScaleConfig) -> None:
        super().__init__()
        self.config = config
        self.coarse = GatedPixelCNN(config.coarse)
        self.fine = GatedPixelCNN(config.fine)
        features = config.context_features
        self.context = nn.Sequential(
            nn.Conv2d(self.coarse.embedded_channels, features, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(features, features, 3, padding=1),
        )
        self.likelihood = build_likelihood(config, config.grid_channels, coupled=False)
        self.add_conditions()

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate, relative to the others."""
        parts = {"coarse": self.coarse, "fine": self.fine}
        return {
            f"{part}.{name}": rate
            for part, network in parts.items()
            for name, rate in network.learning_rates().items()
        }

    def to_grid(self, x: Tensor) -> Tensor:
        """Pictures [B, C, H, W] → grids [B, C·r², 2·H/r, W/r]."""
        fine = self.fine.to_grid(x)  # [B, C·r², H/r, W/r]
        return torch.cat((fine, fine), dim=2)

    def from_grid(self, grid: Tensor) -> Tensor:
        """Inverse of `to_grid`, for which only values that count need to be there."""
        return self.fine.from_grid(self._known_first(grid))

    def _known_first(self, grid: Tensor) -> Tensor:
        """A grid [B, C·r², 2·H/r, W/r] → its last rows, whose first channels are taken from the
        first rows, [B, C·r², H/r, W/r]."""
        coarse, fine = grid.chunk(2, dim=2)
        channels = self.config.channels
        return torch.cat((coarse[:, :channels], fine[:, channels:]), dim=1)

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C·r², 2·H/r, W/r] → numbers [B, C·r²·e, 2·H/r, W/r]."""
        coarse = self.coarse.embed(grid.chunk(2, dim=2)[0][:, : self.config.channels])
        fine = self.fine.embed(self._known_first(grid))  # [B, C·r²·e, H/r, W/r]
        padding = fine.shape[1] - coarse.shape[1]
        return torch.cat((F.pad(coarse, (0, 0, 0, 0, 0, padding)), fine), dim=2)

    def fine_condition(self, embedded: Tensor, condition: Condition) -> Condition:
        """The condition of `fine` for an embedded sub-sampled picture [B, C·e, H/r, W/r]."""
        return replace(condition, map=self.context(embedded))

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """The likelihood's parameters of an embedded grid, [B, 2·H/r, W/r, C·r², P]."""
        top, bottom = embedded.chunk(2, dim=2)
        known = top[:, : self.coarse.embedded_channels]
        coarse = self.coarse.parameters_of(known, condition)  # [B, H/r, W/r, C, P]
        fine = self.fine.parameters_of(bottom, self.fine_condition(known, condition))
        padding = fine.shape[3] - coarse.shape[3]
        return torch.cat((F.pad(coarse, (0, 0, 0, padding)), fine), dim=1)
