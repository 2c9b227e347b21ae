"""Principal components: the directions in which data vary most."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.likelihood import to_signed
from pixelgen.training.recipe import Recipe

_ROWS = 2000
"""Rows whose covariance is summed at a time."""
_IMAGES = 20000
"""Images that principal components are computed from, at most."""
_ROUNDING = 2 / 255 / math.sqrt(12)
"""Standard deviation of the error of rounding a value of -1 … 1 to 256 levels: variation below that
is noise."""


def principal_axes(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows x [N, V] → their mean [V], and the `count` orthogonal directions of the largest variance
    as unit vectors [V, count] with their variances [count], both float64, the largest first."""
    mean = x.mean(0)
    covariance = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for part in (x - mean).split(_ROWS):  # in float64, as few rows leave most variances at 0
        covariance.addmm_(part.double().T, part.double())
    variances, directions = torch.linalg.eigh(covariance / len(x))
    return mean, directions[:, -count:].flip(1), variances[-count:].flip(0)


def components_of(recipe: Recipe, data: ImageData, rows: Tensor) -> dict[str, Tensor]:
    """The state of the `PrincipalComponents` of an auto-encoder, from the `rows` of the data that
    it is trained on. Raises PixelgenError for fewer images than components."""
    config = recipe.model
    assert isinstance(config, AutoencoderConfig)
    if len(rows) <= config.spatial:
        raise PixelgenError(
            f"{config.spatial} principal components need more pictures than {len(rows)}",
            "lower model.bottleneck or data.holdout",
        )
    sample = rows[torch.linspace(0, len(rows) - 1, min(len(rows), _IMAGES)).long()]
    pictures = cut(data.images[sample], config.size)
    return principal_components(pictures, config.spatial, mirrored=recipe.data.flip)


def principal_components(
    images: Tensor, length: int, *, mirrored: bool = False
) -> dict[str, Tensor]:
    """The state of `PrincipalComponents` from images uint8 [N, C, S, S] of V = C·S² values:
    `center` [V], `components` [D, V] for D = `length` in order of falling variance, and `spread`
    [D], their standard deviations. With `mirrored`, every second image is mirrored first."""
    x = to_signed(images, 256)
    if mirrored:
        x[::2] = x[::2].flip(3)
    center, directions, variances = principal_axes(x.flatten(1), length)
    spread = variances.clamp(min=_ROUNDING**2).sqrt()
    components = directions.T.float().contiguous()
    return {"center": center, "components": components, "spread": spread.float()}
