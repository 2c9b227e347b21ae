"""Condition vectors of pictures, made of what a classifier sees in them, and p(h | class)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.metrics.classifiers import Classifier, load_classifier
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.config import GatedPixelCNNConfig
from pixelgen.training.principal_axes import principal_axes
from pixelgen.training.recipe import Recipe
from pixelgen.training.tensor_cache import load_stored_tensors, store_tensors

VECTORS = "vectors.safetensors"
_ROUNDS = 40
_LEAST = 1e-2
"""Of every Gaussian's pictures, as if so many more were there."""


def picture_vectors(
    data: ImageData,
    rows: Tensor,
    classes: Tensor,
    recipe: Recipe,
    folder: Path,
    note: Callable[[str], None],
    device: torch.device | str = "cpu",
    resumed: bool = False,
) -> tuple[Tensor, ClassPrior]:
    """Condition vectors float32 [N, D] of all pictures, and p(h | class): what EfficientNet-lite0
    sees, reduced to what varies most over the pictures `rows`, and fitted to these; or both as the
    weights `recipe.data.vectors` have them.

    Both are taken from `folder` if they were made before, of the same pictures in the same way;
    where a run is `resumed`, whatever has become of the weights that they were made by.
    Raises PixelgenError if the classifier's package is missing, for pictures that it does not
    see, and for weights that do not fit.
    """
    given, config = recipe.data, recipe.model
    assert isinstance(config, GatedPixelCNNConfig)  # the recipe sees to that
    size = given.crop or data.images.shape[-1]
    key: dict[str, object] = {
        "path": given.path,
        "split": given.split,
        "images": len(data),
        "digest": data.digest(labels=True),
        "classes": config.classes,
        "size": size,
        "scale": given.features_scale,
        "length": config.vector,
        "components": config.vector_components,
        "features": config.vector_features,
        "holdout": given.holdout,
        "seed": recipe.seed,
    }
    found = (
        load_stored_tensors(folder / VECTORS, key, besides=("of", "digest")) if resumed else None
    )
    known = None
    if found is None:
        known = _vectors_of(given.vectors, recipe, data) if given.vectors else None
        key["of"] = None if known is None else _fingerprint(known)
        found = load_stored_tensors(folder / VECTORS, key)
    if found is None:
        enlarged = given.features_scale * size
        features = classifier_features(cut(data.images, size), enlarged, note, device)
        if config.vector > min(len(rows), features.shape[1]):
            raise PixelgenError(
                f"model.vector is {config.vector}: so many numbers are not to be had"
            )
        if config.vector_features not in (0, features.shape[1]):
            raise PixelgenError(
                f"model.vector_features is {config.vector_features}, the classifier has "
                f"{features.shape[1]}"
            )
        if known is None:
            centre, directions = principal(features[rows], config.vector)
            h = (features - centre) @ directions
            known = fit_class_prior(h[rows], classes[rows], config, recipe.seed)
            if config.vector_features:
                known.centre, known.directions = centre, directions
        else:
            h = known.project(features)
        found = {"vectors": h, **known.state_dict()}
        store_tensors(folder / VECTORS, found, key)
    h = found.pop("vectors")
    fitted = ClassPrior(
        config.classes, config.vector_components, config.vector, config.vector_features
    )
    fitted.load_state_dict(found)
    return h, fitted


def _fingerprint(vectors: ClassPrior) -> list[float]:
    """Numbers that others would not have."""
    return [float(tensor.double().square().sum()) for tensor in vectors.state_dict().values()]


def _vectors_of(ref: str, recipe: Recipe, data: ImageData) -> ClassPrior:
    """Those of the weights `ref`. Raises PixelgenError where they do not fit model and data."""
    config = recipe.model
    loaded = load_checkpoint(ref)
    other, told = loaded.model, loaded.config
    vectors, theirs = getattr(other, "class_prior", None), other.config
    if vectors is None or not theirs.vector_features:
        raise PixelgenError(f"{ref} does not know what vectors of classes are made of")
    for name in ("classes", "vector", "vector_components", "vector_features"):
        wanted, found = getattr(config, name), getattr(theirs, name)
        if wanted != found:
            raise PixelgenError(f"model.{name} is {wanted}, that of {ref} is {found}")
    if list(told.labels) != data.occurring_labels():
        raise PixelgenError(f"the vectors of {ref} are of other classes than those of the data")
    scale = told.data.get("features_scale", recipe.data.features_scale)
    if scale != recipe.data.features_scale:
        raise PixelgenError(
            f"data.features_scale is {recipe.data.features_scale}, that of {ref} is {scale}"
        )
    return cast(ClassPrior, vectors)


def classifier_features(
    images: Tensor,
    size: int,
    note: Callable[[str], None],
    device: torch.device | str,
    purpose: str = "model.vector_components",
) -> Tensor:
    """Pooled features float32 [N, F] of pictures that are enlarged to `size` × `size`. Raises
    PixelgenError for pictures without colours, and if a package is missing that `purpose` needs."""
    if images.shape[1] != 3:
        raise PixelgenError(f"the classifier behind {purpose} sees RGB pictures only")
    parts = load_classifier("lite0", purpose, device)
    classifier = Classifier(*parts, size=size)
    every = 20000 // classifier.batch * classifier.batch

    def told(done: int, total: int) -> None:
        if done == total or done % every == 0:
            note(f"classified {done} of {total} pictures")

    return classifier.features(images, told)


def principal(features: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where features [N, F] vary most: their mean [F], and `size` directions [F, size] onto which
    what lies beside the mean has numbers that do not correlate, of a mean variance of 1."""
    mean, directions, variances = principal_axes(features, size)
    return mean, (directions / variances.mean().clamp(min=1e-12).sqrt()).float()


def fit_class_prior(
    h: Tensor, classes: Tensor, config: GatedPixelCNNConfig, seed: int
) -> ClassPrior:
    """p(h | class) of vectors [N, D] of `classes` [N]: expectation and maximisation (Dempster,
    Laird, Rubin 1977) from Gaussians around random vectors of each class."""
    count, parts, size = config.classes, config.vector_components, config.vector
    model = ClassPrior(count, parts, size, config.vector_features)
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


def _shares(model: ClassPrior, h: Tensor, classes: Tensor) -> Tensor:
    """How much of each vector every Gaussian of its class accounts for, [N, M]."""
    inverse = torch.linalg.inv(model.scale).t()
    z, centres = h @ inverse, model.means @ inverse
    distance = (z[:, None] - centres[classes]).square().sum(2)
    return (model.log_shares[classes] - distance / 2).softmax(1)


def _spread_as(model: ClassPrior, apart: Tensor, weight: Tensor) -> None:
    """Gives the Gaussians the covariance of the deviations `apart` [N, D]."""
    covariance = (apart * weight[:, None]).t() @ apart / weight.sum()
    floor = 1e-4 * covariance.diagonal().mean().clamp(min=1e-8)
    model.scale = torch.linalg.cholesky(covariance + floor * torch.eye(len(covariance)))
