"""Condition vectors of pictures, made of what a classifier sees in them, and p(h | class)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.files import write_atomically
from pixelgen.models.class_vectors import ClassVectors
from pixelgen.models.config import GatedPixelCNNConfig
from pixelgen.training.classifiers import Classifier, load_classifier
from pixelgen.training.recipe import Recipe

VECTORS = "vectors.safetensors"
_ROUNDS = 40
_LEAST = 1e-2
"""Of every Gaussian's pictures, as if so many more were there."""


def picture_vectors(
    data: ImageData, rows: Tensor, recipe: Recipe, folder: Path, note: Callable[[str], None]
) -> Tensor:
    """Condition vectors float32 [N, D] of all pictures: what EfficientNet-lite0 sees, reduced to
    what varies most over the pictures `rows`.

    They are taken from `folder` if they were made before, of the same pictures in the same way.
    Raises PixelgenError if the classifier's package is missing, and for pictures that it does not
    see.
    """
    given, length = recipe.data, getattr(recipe.model, "vector", 0)
    size = given.crop or data.images.shape[-1]
    path = folder / VECTORS
    key = {
        "path": given.path,
        "split": given.split,
        "images": len(data),
        "size": size,
        "scale": given.features_scale,
        "length": length,
        "holdout": given.holdout,
        "seed": recipe.seed,
    }
    known = _cached(path, key)
    if known is not None:
        return known
    if data.images.shape[1] != 3:
        raise PixelgenError("the classifier behind model.vector_components sees RGB pictures only")
    parts = load_classifier("lite0", "model.vector_components")
    classifier = Classifier(*parts, size=given.features_scale * size)
    every = 20000 // classifier.batch * classifier.batch

    def told(done: int, total: int) -> None:
        if done == total or done % every == 0:
            note(f"classified {done} of {total} pictures")

    features = classifier.see(cut(data.images, size), told)[1]
    if length > min(len(rows), features.shape[1]):
        raise PixelgenError(f"model.vector is {length}: so many numbers are not to be had")
    h = principal(features, rows, length)
    metadata = {"key": json.dumps(key)}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: save_file({"vectors": h}, part, metadata=metadata))
    return h


def _cached(path: Path, key: dict[str, object]) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            if json.loads((file.metadata() or {})["key"]) != key:
                return None
            found: Tensor = file.get_tensor("vectors")
            return found
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def principal(features: Tensor, rows: Tensor, size: int) -> Tensor:
    """Features [N, F] → the `size` principal components in which the features of `rows` vary most,
    [N, size], of mean 0 over these, and scaled so that their mean variance is 1."""
    seen = features[rows]
    mean = seen.mean(0)
    seen = (seen - mean).double()  # few pictures leave most variances at 0, which float32 is bad at
    variances, directions = torch.linalg.eigh(seen.t() @ seen / len(seen))
    kept = directions[:, -size:].flip(1) / variances[-size:].mean().clamp(min=1e-12).sqrt()
    return (features - mean) @ kept.float()


def fit_class_vectors(
    h: Tensor, classes: Tensor, config: GatedPixelCNNConfig, seed: int
) -> ClassVectors:
    """p(h | class) of vectors [N, D] of `classes` [N]: expectation and maximisation (Dempster,
    Laird, Rubin 1977) from Gaussians around random vectors of each class."""
    count, parts, size = config.classes, config.vector_components, config.vector
    model = ClassVectors(count, parts, size)
    generator = torch.Generator().manual_seed(seed)
    order = classes.argsort(stable=True)
    sizes = torch.bincount(classes, minlength=count)
    first = sizes.cumsum(0) - sizes
    # A class of few pictures may begin with two equal Gaussians, one without any with zeros.
    place = (torch.rand(count, parts, generator=generator) * sizes[:, None]).long()
    seen = sizes[:, None, None] > 0
    starts = h[order[(first[:, None] + place).clamp(max=len(h) - 1)]]
    model.means = torch.where(seen, starts, 0.0)
    share = torch.ones(len(h), parts) / parts
    centre = torch.zeros(count, size).index_add_(0, classes, h) / sizes.clamp(min=1)[:, None]
    _spread_as(model, (h - centre[classes]), torch.ones(len(h)))
    for _ in range(_ROUNDS if parts > 1 else 1):
        if parts > 1:
            share = _shares(model, h, classes)
        total = torch.zeros(count, parts).index_add_(0, classes, share)
        weight = total + _LEAST
        # Each mean leans a little towards its class's, so that no Gaussian is left without one.
        summed = torch.zeros(count, parts, size).index_add_(
            0, classes, share[:, :, None] * h[:, None]
        )
        model.means = (summed + _LEAST * centre[:, None]) / weight[:, :, None]
        model.log_shares = (weight / weight.sum(1, keepdim=True)).log()
        apart = h[:, None] - model.means[classes]
        _spread_as(model, apart.flatten(0, 1), share.flatten())
    return model


def _shares(model: ClassVectors, h: Tensor, classes: Tensor) -> Tensor:
    """How much of each vector every Gaussian of its class accounts for, [N, M]."""
    inverse = torch.linalg.inv(model.scale).t()
    z, centres = h @ inverse, model.means @ inverse
    distance = (z[:, None] - centres[classes]).square().sum(2)
    return (model.log_shares[classes] - distance / 2).softmax(1)


def _spread_as(model: ClassVectors, apart: Tensor, weight: Tensor) -> None:
    """Gives the Gaussians the covariance of the deviations `apart` [N, D]."""
    covariance = (apart * weight[:, None]).t() @ apart / weight.sum()
    floor = 1e-4 * covariance.diagonal().mean().clamp(min=1e-8)
    model.scale = torch.linalg.cholesky(covariance + floor * torch.eye(len(covariance)))
