"""Classes between the classes of a model."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.pixelcnn import PixelCNN

_Model = TypeVar("_Model", bound=GatedPixelCNN | PixelCNN)


def with_interpolated_classes(model: _Model, shares: Tensor) -> _Model:
    """A copy of `model` with other classes: number i has, in every layer, the mean of the old
    classes' embeddings weighted by `shares[i]`, [N, classes]. "No class" stays what it was. Vectors
    of the new classes cannot be drawn."""
    mixed = copy.deepcopy(model)
    mixed.config = replace(model.config, classes=len(shares))
    if isinstance(mixed, GatedPixelCNN):
        mixed.config = replace(mixed.config, vector_components=0, vector_features=0)
        mixed.class_vectors = None
    for module in mixed.modules():
        if isinstance(module, nn.Embedding):
            known, none = module.weight.data.split((module.num_embeddings - 1, 1))
            rows = torch.cat((shares.to(known) @ known, none))
            module.weight = nn.Parameter(rows, requires_grad=False)
            module.num_embeddings = len(rows)
    return mixed
