"""Condition vectors of images from the features of a classifier, and the prior p(h | class)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pixelgen.checkpoints import load_checkpoint
from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.metrics.classifiers import Classifier, load_classifier
from pixelgen.models.class_prior import ClassPrior
from pixelgen.models.config import GatedPixelCNNConfig
from pixelgen.training.principal_components import principal_axes
from pixelgen.training.recipe import Recipe
from pixelgen.training.tensor_cache import load_stored_tensors, store_tensors

VECTORS = "vectors.safetensors"
_ROUNDS = 40
"""Iterations of expectation maximisation."""
_PSEUDO_COUNT = 1e-2
"""Images added to every Gaussian."""


class ClassVectors(NamedTuple):
    """Condition vectors of images, and how they are distributed in each class."""

    vectors: Tensor
    """float32 [N, D]."""
    prior: ClassPrior
    """p(h | class)."""


def fit_class_vectors(
    data: ImageData,
    rows: Tensor,
    classes: Tensor,
    recipe: Recipe,
    folder: Path,
    note: Callable[[str], None],
    device: torch.device | str = "cpu",
    resumed: bool = False,
) -> ClassVectors:
    """Condition vectors of all images, and p(h | class): principal components of EfficientNet-lite0
    features of the images `rows`, and a mixture of Gaussians fitted to these; or both as in the
    weights `recipe.data.vectors`, of other classes the components alone.

    Both are read from `folder` if they were computed before from the same images in the same way;
    in a `resumed` run, even if these weights have changed since. Raises PixelgenError if the
    classifier is not installed, for images without colours, and for weights that do not fit.
    """
    options, config = recipe.data, recipe.model
    assert isinstance(config, GatedPixelCNNConfig)  # checked by the recipe
    size = options.crop or data.images.shape[-1]
    key: dict[str, object] = {
        "path": options.path,
        "split": options.split,
        "images": len(data),
        "digest": data.digest(labels=True),
        "classes": config.classes,
        "size": size,
        "scale": options.features_scale,
        "length": config.vector,
        "components": config.vector_components,
        "features": config.vector_features,
        "holdout": options.holdout,
        "seed": recipe.seed,
    }
    stored = (
        load_stored_tensors(folder / VECTORS, key, ignore=("of", "digest")) if resumed else None
    )
    prior, same_classes = None, False
    if stored is None:
        if options.vectors:
            prior, same_classes = _prior_of(options.vectors, recipe, data)
        key["of"] = None if prior is None else _fingerprint(prior)
        stored = load_stored_tensors(folder / VECTORS, key)
    if stored is None:
        enlarged = options.features_scale * size
        features = classifier_features(cut(data.images, size), enlarged, note, device)
        # The axes of a given prior serve any number of images; own ones need as many as there are.
        most = features.shape[1] if prior is not None else min(len(rows), features.shape[1])
        if config.vector > most:
            raise PixelgenError(
                f"model.vector is {config.vector}, at most {most} is possible with these pictures"
            )
        if config.vector_features not in (0, features.shape[1]):
            raise PixelgenError(
                f"model.vector_features is {config.vector_features}, the classifier has "
                f"{features.shape[1]}"
            )
        if prior is not None:
            h = prior.project(features)
            centre, directions = prior.centre, prior.directions
        else:
            centre, directions = principal(features[rows], config.vector)
            h = (features - centre) @ directions
        if prior is None or not same_classes:
            prior = fit_class_prior(h[rows], classes[rows], config, recipe.seed)
            if config.vector_features:
                prior.centre, prior.directions = centre, directions
        stored = {"vectors": h, **prior.state_dict()}
        store_tensors(folder / VECTORS, stored, key)
    vectors = stored.pop("vectors")
    prior = ClassPrior(
        config.classes, config.vector_components, config.vector, config.vector_features
    )
    prior.load_state_dict(stored)
    return ClassVectors(vectors, prior)


def _fingerprint(prior: ClassPrior) -> list[float]:
    """Numbers that differ between priors."""
    return [float(tensor.double().square().sum()) for tensor in prior.state_dict().values()]


def _prior_of(ref: str, recipe: Recipe, data: ImageData) -> tuple[ClassPrior, bool]:
    """The prior of the weights `ref`, and whether it is of the classes of the data. Raises
    PixelgenError where it does not fit model and data."""
    checkpoint = load_checkpoint(ref)
    network, config = checkpoint.model, checkpoint.config
    prior = network.class_prior
    if prior is None or not network.config.vector_features:
        raise PixelgenError(
            f"{ref} has no projection from classifier features to class vectors",
            "set data.vectors to weights with model.vector_features",
        )
    theirs = [*config.labels], [*config.class_names]
    same = theirs == (data.occurring_labels(), data.class_names())
    # The mixtures are of their classes alone; what projects to h is the same for all.
    names = ["vector", "vector_features"] + (["classes", "vector_components"] if same else [])
    for name in names:
        ours, other = getattr(recipe.model, name), getattr(network.config, name)
        if ours != other:
            raise PixelgenError(f"model.{name} is {ours}, that of {ref} is {other}")
    scale = checkpoint.config.data.get("features_scale", recipe.data.features_scale)
    if scale != recipe.data.features_scale:
        raise PixelgenError(
            f"data.features_scale is {recipe.data.features_scale}, that of {ref} is {scale}"
        )
    return prior, same


def classifier_features(
    images: Tensor,
    size: int,
    note: Callable[[str], None],
    device: torch.device | str,
    purpose: str = "model.vector_components",
) -> Tensor:
    """Pooled features float32 [N, F] of images that are enlarged to `size` × `size`. Raises
    PixelgenError for images without colours, and if the classifier, which errors say `purpose`
    needs, is not installed."""
    if images.shape[1] != 3:
        raise PixelgenError(f"{purpose} needs RGB pictures: so does its classifier")
    trunk, head = load_classifier("lite0", purpose, device)
    classifier = Classifier(trunk, head, size=size)
    every = 20000 // classifier.batch * classifier.batch
    note(f"classifying {len(images)} pictures")

    def report(done: int, total: int) -> None:
        if done == total or done % every == 0:
            note(f"classified {done} of {total} pictures")

    return classifier.features(images, report)


def principal(features: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The mean [F] of features [N, F], and `size` principal directions [F, size], scaled so that
    the projections of features less the mean have a mean variance of 1."""
    mean, directions, variances = principal_axes(features, size)
    return mean, (directions / variances.mean().clamp(min=1e-12).sqrt()).float()


def fit_class_prior(
    h: Tensor, classes: Tensor, config: GatedPixelCNNConfig, seed: int
) -> ClassPrior:
    """p(h | class) fitted to vectors [N, D] of `classes` [N]: mixtures of Gaussians by expectation
    maximisation (Dempster, Laird, Rubin 1977), starting at random vectors of each class."""
    count, parts, size = config.classes, config.vector_components, config.vector
    model = ClassPrior(count, parts, size, config.vector_features)
    generator = torch.Generator().manual_seed(seed)
    order = classes.argsort(stable=True)
    sizes = torch.bincount(classes, minlength=count)
    first = sizes.cumsum(0) - sizes
    # A class of few images may start with two equal Gaussians, one of none starts with zeros.
    place = (torch.rand(count, parts, generator=generator) * sizes[:, None]).long()
    seen = sizes[:, None, None] > 0
    starts = h[order[(first[:, None] + place).clamp(max=len(h) - 1)]]
    model.means = torch.where(seen, starts, 0.0)
    share = torch.ones(len(h), parts) / parts
    centre = torch.zeros(count, size).index_add_(0, classes, h) / sizes.clamp(min=1)[:, None]
    _set_covariance(model, (h - centre[classes]), torch.ones(len(h)))
    for _ in range(_ROUNDS if parts > 1 else 1):
        if parts > 1:
            share = _shares(model, h, classes)
        total = torch.zeros(count, parts).index_add_(0, classes, share)
        weight = total + _PSEUDO_COUNT
        # Each mean is pulled a little towards its class's, so that empty Gaussians have one.
        summed = torch.zeros(count, parts, size).index_add_(
            0, classes, share[:, :, None] * h[:, None]
        )
        model.means = (summed + _PSEUDO_COUNT * centre[:, None]) / weight[:, :, None]
        model.log_shares = (weight / weight.sum(1, keepdim=True)).log()
        apart = h[:, None] - model.means[classes]
        _set_covariance(model, apart.flatten(0, 1), share.flatten())
    return model


def _shares(model: ClassPrior, h: Tensor, classes: Tensor) -> Tensor:
    """The responsibility of every Gaussian of its class for each vector, [N, M]."""
    inverse = torch.linalg.inv(model.scale).t()
    z, centres = h @ inverse, model.means @ inverse
    distance = (z[:, None] - centres[classes]).square().sum(2)
    return (model.log_shares[classes] - distance / 2).softmax(1)


def _set_covariance(model: ClassPrior, apart: Tensor, weight: Tensor) -> None:
    """Sets the covariance of all Gaussians to that of the weighted deviations `apart` [N, D]."""
    covariance = (apart * weight[:, None]).t() @ apart / weight.sum()
    floor = 1e-4 * covariance.diagonal().mean().clamp(min=1e-8)
    model.scale = torch.linalg.cholesky(covariance + floor * torch.eye(len(covariance)))
