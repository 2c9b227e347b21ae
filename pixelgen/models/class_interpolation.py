"""Classes between the classes of a model."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TypeVar

from torch import Tensor

from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import ClassTable

_Model = TypeVar("_Model", bound=GridNetwork)


def with_interpolated_classes(model: _Model, shares: Tensor) -> _Model:
    """A copy of `model` with other classes: the embedding of class i in every layer is the mean of
    the old embeddings weighted by `shares[i]`, [N, classes]. The embedding of "no class" stays. The
    copy has no p(h | class)."""
    mixed = copy.deepcopy(model)
    sizes = {"classes": len(shares)}
    if mixed.class_prior is not None:
        sizes |= {"vector_components": 0, "vector_features": 0}
        mixed.class_prior = None
    mixed.config = replace(model.config, **sizes)  # type: ignore[arg-type]
    for module in mixed.modules():
        if isinstance(module, ClassTable):
            module.interpolate(shares)
    return mixed
