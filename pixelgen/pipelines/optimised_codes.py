"""Codes that keep more of a picture than those of the encoder.

An encoder is a guess in one pass. For a single picture the codes can be improved by gradient
descent on what its reconstruction loses, while tokenizer and file size stay as they are: Campos,
Meierhans, Djelouah, Schroers, "Content Adaptive Optimization for Neural Image Compression", 2019
(arXiv 1906.01223); Yang, Bamler, Mandt, "Improving Inference for Neural Image Compression", 2020
(arXiv 2006.04240). Rounding is passed by the straight-through estimator, as in the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.imaging.image_classifier import load_image_classifier
from pixelgen.models.efficientnet import EfficientNetLite0, feature_distance
from pixelgen.models.tokenizer import Tokenizer

_RATE = 0.05
"""The learning rate of the first step, in units of the encoder's output; it falls to 0."""
_DEPTHS = (0, 2, 4, 10, 15)
"""Blocks of the classifier whose maps are compared: 1/2 to 1/32 of the resolution."""
_FEATURES, _CLASSES = 2.0, 0.1
"""Weights, beside the mean absolute difference of pixels, of the distance of features and of the
divergence of what the classifier says: about those of the tokenizers' training."""
_ENLARGE = 2
"""Factor by which the classifier sees pictures enlarged: it was trained on larger ones."""


def optimise_codes(tokenizer: Tokenizer, images: Tensor, steps: int) -> Tensor:
    """Pictures [B, 3, S, S] of -1 … 1 → codes int64 [B, C, h, w], the best that are met in `steps`
    gradient steps from the encoder's own. What is best is how little is lost to the eye of a small
    classifier, and of pixels. Those of a picture depend on no other but in rounding.

    Raises PixelgenError if the classifier's weights are missing or broken.
    """
    if not steps:
        with torch.no_grad():
            return tokenizer.encode(images)
    with torch.inference_mode(False):
        return _optimise(tokenizer, images.clone(), steps)


def _optimise(tokenizer: Tokenizer, images: Tensor, steps: int) -> Tensor:
    classifier = _load_classifier(images.device)
    with torch.no_grad():
        encoded = tokenizer.encoder(images)
        target = _see(classifier, images)
    best = tokenizer.quantizer.codes(encoded)
    least = torch.full((len(images),), float("inf"), device=images.device)
    z = encoded.clone().requires_grad_()
    optimiser = torch.optim.Adam([z], _RATE, (0.9, 0.95))
    for step in range(steps + 1):
        with torch.enable_grad():
            pictures = tokenizer.decoder(tokenizer.quantizer(z))
            lost = _loss(pictures, images, _see(classifier, pictures), target)  # [B]
        codes, better = tokenizer.quantizer.codes(z.detach()), lost.detach() < least
        best = torch.where(better[:, None, None, None], codes, best)
        least = torch.where(better, lost.detach(), least)
        if step < steps:
            (z.grad,) = torch.autograd.grad(lost.sum(), z)
            optimiser.param_groups[0]["lr"] = _RATE * (1 - step / steps)
            optimiser.step()
    return best


@lru_cache(maxsize=1)
def _load_classifier(device: torch.device) -> EfficientNetLite0:
    """A copy on `device`: that which chooses among candidates stays on the processor."""
    return deepcopy(load_image_classifier()).to(device)


def _see(classifier: EfficientNetLite0, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Pictures [B, 3, S, S] of -1 … 1 → maps of length 1 at every place, and log-probabilities
    [B, K] of the classes."""
    large = F.interpolate((images + 1) * 127.5, scale_factor=_ENLARGE, mode="bilinear")
    maps, logits = classifier.see(large, _DEPTHS)
    return [F.normalize(one, dim=1, eps=1e-6) for one in maps], logits.log_softmax(1)


def _loss(
    pictures: Tensor,
    images: Tensor,
    seen: tuple[Sequence[Tensor], Tensor],
    target: tuple[Sequence[Tensor], Tensor],
) -> Tensor:
    """What is lost of each of `images` [B, 3, S, S], [B]."""
    features = feature_distance(seen[0], target[0])
    classes = F.kl_div(seen[1], target[1], reduction="none", log_target=True).sum(1)
    pixels = (pictures - images).abs().mean((1, 2, 3))
    return pixels + _FEATURES * features + _CLASSES * classes
