"""Distillation of a classifier into the semantic latents of an auto-encoder.

Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531): the
student learns from the probabilities of all classes, not only from the likeliest. The student here
is a small network on a few latent dimensions.
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


class StudentHead(nn.Sequential):
    """Latents [B, D] → logits [B, K]; trained beside the encoder, and not exported."""

    def __init__(self, latents: int, classes: int, hidden: int = 512) -> None:
        super().__init__(nn.Linear(latents, hidden), nn.SiLU(), nn.Linear(hidden, classes))


class Distillation(nn.Module):
    """The divergence of the classifier's class probabilities from the student's, KL(classifier ‖
    student)."""

    def __init__(self, student_head: StudentHead, teacher_head: nn.Module) -> None:
        """`teacher_head`: the classifier's features [B, F] → its logits [B, K]; it is frozen."""
        super().__init__()
        self.student_head = student_head
        self.teacher_head = teacher_head.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Distillation:
        """The classifier is always in evaluation mode."""
        super().train(mode)
        self.teacher_head.eval()
        return self

    def forward(self, latents: Tensor, features: Tensor) -> Tensor:
        """Latents [B, D] and features [B, F] → Kullback-Leibler divergences [B], in nats."""
        logits: Tensor = self.student_head(latents)
        with torch.no_grad():
            target = F.log_softmax(self.teacher_head(features.to(latents.dtype)).float(), dim=1)
        return F.kl_div(
            F.log_softmax(logits.float(), dim=1), target, reduction="none", log_target=True
        ).sum(1)


def load_distillation(latents: int) -> Distillation:
    """The distillation of EfficientNet-lite0 into `latents` dimensions. Raises PixelgenError if its
    package is missing."""
    _, head = load_classifier("lite0", "autoencoder.semantic_weight")
    return Distillation(StudentHead(latents, int(head.out_features)), head)  # type: ignore[arg-type]


def teacher_features(
    data: ImageData,
    recipe: Recipe,
    folder: Path,
    note: Callable[[str], None],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Features by EfficientNet-lite0 of all images of the data, float16 [N, F]; read from `folder`
    if they were computed before from the same images in the same way.

    Raises PixelgenError if its package is missing, and for images that are not of the size that the
    recipe names.
    """
    options = recipe.data
    size = recipe.autoencoder.semantic_size
    key = {
        "path": options.path,
        "split": options.split,
        "images": len(data),
        "digest": data.digest(),
        "size": size,
        "fit": options.fit if size else "",
        "crop": 0 if size else options.crop,
        "scale": options.features_scale,
    }
    stored = load_stored_tensors(folder / FEATURES, key)
    if stored is None:
        images = data.images
        if size:
            note(f"reading the pictures at {size}×{size} for the classifier")
            images = load_images(
                options.path,
                options.split,
                size=size,
                fit=options.fit or None,
                image_column=options.image,
                label_column="",
                skip_unreadable=options.skip_unreadable,
            ).images
            if len(images) != len(data):
                raise PixelgenError(
                    f"{options.path} changed while it was being read", "start again"
                )
        elif options.crop:
            images = cut(images, options.crop)
        enlarged = options.features_scale * images.shape[-1]
        features = classifier_features(
            images, enlarged, note, device, purpose="autoencoder.semantic_weight"
        )
        stored = {"features": features.half()}
        store_tensors(folder / FEATURES, stored, key)
    return stored["features"]
