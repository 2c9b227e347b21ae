"""Whether pictures of people have the lightness that photos of them have.

Lightness is L* of CIE 1976, 0 (black) … 100 (white), from the relative luminance of sRGB
(IEC 61966-2-1), as a mean over the middle of an aligned face, from the eyes to the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelgen.metrics.bootstrap import Estimate, mean

_TOP, _BOTTOM, _LEFT, _RIGHT = 24 / 64, 52 / 64, 20 / 64, 44 / 64
_LUMINANCE = (0.2126, 0.7152, 0.0722)
_DARKEST = 0.2


@dataclass(frozen=True)
class LightnessMatch:
    """How the lightness of images of some people differs from that of their photos, in L*: the
    means over a person's images are compared to those over their photos."""

    shift: Estimate
    """Mean of the images minus that of the photos: above 0 the images are too light."""
    darkest: Estimate
    """Mean absolute difference for the fifth of the people whose photos are darkest."""
    others: Estimate
    """Mean absolute difference for all other people."""


def face_lightness(images: Tensor) -> Tensor:
    """Mean L* of the middle of aligned faces, uint8 [N, 3, S, S] → float64 [N]."""
    size = images.shape[-1]
    middle = images[
        ...,
        round(_TOP * size) : round(_BOTTOM * size),
        round(_LEFT * size) : round(_RIGHT * size),
    ]
    encoded = middle.double() / 255
    linear = torch.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).clamp(min=0) ** 2.4
    )
    luminance = torch.einsum("c,nchw->nhw", torch.tensor(_LUMINANCE).double(), linear)
    lightness = torch.where(
        luminance > (6 / 29) ** 3,
        116 * luminance ** (1 / 3) - 16,
        luminance * (29 / 3) ** 3,
    )
    return lightness.mean((1, 2))


def match_lightness(images: Tensor, photos: Tensor) -> LightnessMatch | None:
    """Compare the mean lightness of each person's images [P] to that of their photos [P]. None for
    fewer than five people, of whom there is no darkest fifth."""
    darkest = int(_DARKEST * len(photos))
    if darkest < 1:
        return None
    order = photos.argsort(stable=True)
    difference = (images - photos)[order]
    return LightnessMatch(
        shift=mean(difference),
        darkest=mean(difference[:darkest].abs()),
        others=mean(difference[darkest:].abs()),
    )
