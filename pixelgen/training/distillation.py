"""What a classifier sees of pictures, as a teacher of a few numbers of a code.

Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531): all
that the classifier says of a picture teaches, not only which class comes first. What is distilled
here is not another classifier but a code short enough to be told to a decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.data import ImageData, cut, load_images
from pixelgen.errors import PixelgenError
from pixelgen.metrics.classifiers import load_classifier
from pixelgen.training.class_prior_fit import classifier_features
from pixelgen.training.recipe import Recipe
from pixelgen.training.tensor_cache import load_stored_tensors, store_tensors

FEATURES = "features.safetensors"
UNTAUGHT = (
    "model.semantic numbers that nothing teaches are those of a random network",
    "set autoencoder.semantic_weight, or begin with --init and weights that have them",
)


class Guess(nn.Sequential):
    """Numbers [B, D] → logits [B, K]; it learns beside the network, and is of no use later."""

    def __init__(self, numbers: int, classes: int, hidden: int = 512) -> None:
        super().__init__(nn.Linear(numbers, hidden), nn.SiLU(), nn.Linear(hidden, classes))


class Distillation(nn.Module):
    """How far what can be guessed of some numbers lies from what the classifier says."""

    def __init__(self, guess: Guess, head: nn.Module) -> None:
        """`head`, frozen, makes the classifier's logits [B, K] of its features [B, F]."""
        super().__init__()
        self.guess, self.head = guess, head.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Distillation:
        """The classifier is always in evaluation mode."""
        super().train(mode)
        self.head.eval()
        return self

    def forward(self, told: Tensor, features: Tensor) -> Tensor:
        """Numbers [B, D] and features [B, F] → Kullback-Leibler divergences [B], in nats."""
        guessed: Tensor = self.guess(told)
        with torch.no_grad():
            said = F.log_softmax(self.head(features.to(told.dtype)).float(), dim=1)
        return F.kl_div(
            F.log_softmax(guessed.float(), dim=1), said, reduction="none", log_target=True
        ).sum(1)


def load_semantics(numbers: int) -> Distillation:
    """A teacher of so many numbers. Raises PixelgenError if the classifier's package is missing."""
    _, head = load_classifier("lite0", "autoencoder.semantic_weight")
    return Distillation(Guess(numbers, int(head.out_features)), head)  # type: ignore[arg-type]


def seen_features(
    data: ImageData,
    recipe: Recipe,
    folder: Path,
    note: Callable[[str], None],
    device: torch.device | str = "cpu",
) -> Tensor:
    """What EfficientNet-lite0 sees of all pictures of the data, float16 [N, F]; of `folder` if it
    was found before, of the same pictures in the same way.

    Raises PixelgenError if its package is missing, and for pictures that are not of the size that
    the recipe names.
    """
    given = recipe.data
    size = recipe.autoencoder.semantic_size
    key = {
        "path": given.path,
        "split": given.split,
        "images": len(data),
        "digest": data.digest(),
        "size": size,
        "crop": 0 if size else given.crop,
        "scale": given.features_scale,
    }
    found = load_stored_tensors(folder / FEATURES, key)
    if found is None:
        images = data.images
        if size:
            note(f"reading the pictures at {size}×{size} for the classifier")
            images = load_images(given.path, given.split, size=size, label_column="").images
            if len(images) != len(data):
                raise PixelgenError(f"{given.path} changed while it was read", "start again")
        elif given.crop:
            images = cut(images, given.crop)
        enlarged = given.features_scale * images.shape[-1]
        features = classifier_features(
            images, enlarged, note, device, purpose="autoencoder.semantic_weight"
        )
        found = {"features": features.half()}
        store_tensors(folder / FEATURES, found, key)
    return found["features"]
