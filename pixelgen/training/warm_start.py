"""The weights of a checkpoint as where a run starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.metrics.verification import embed
from pixelgen.models import AutoencoderConfig, FaceEmbedderConfig, TokenizerConfig
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.face_embedder import FaceEmbedder
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.training.checkpoint_surgery import (
    SEMANTIC,
    shapes,
    turn_between,
    with_classes,
    with_fine_stage,
    with_more_channels,
    with_own_encoder,
    with_semantic_numbers,
    with_turned_vectors,
    with_vectors,
)
from pixelgen.training.distillation import UNTAUGHT
from pixelgen.training.recipe import Recipe
from pixelgen.training.submodels import EMBEDDER, TOKENIZER, submodel_history
from pixelgen.training.training_data import FaceConditioning


@dataclass(frozen=True)
class WarmStart:
    """Where a run starts."""

    weights: dict[str, Tensor]
    """All of its network."""
    history: dict[str, Any]
    """How what is not new among them was trained."""
    known: bool
    """Nothing among them is new."""


def origin(
    loaded: LoadedCheckpoint,
    model: nn.Module,
    recipe: Recipe,
    embedded: FaceConditioning | None,
    labels: Sequence[int] = (),
) -> WarmStart:
    """What of `loaded` is of the kind of `model`, the whole or a part, with what the model has
    beyond it. `labels` are those of the model's classes.

    Raises PixelgenError for weights of which nothing is of that kind.
    """
    network, history = loaded.network, loaded.config.training
    config = recipe.model
    if isinstance(config, AutoencoderConfig) and config.bottleneck in loaded.config.bottlenecks:
        network = loaded.autoencoders[config.bottleneck]
        history = loaded.config.training_of(config.bottleneck)
    elif isinstance(config, TokenizerConfig):
        network, history = loaded.codec, submodel_history(loaded.config, TOKENIZER)
    elif isinstance(config, FaceEmbedderConfig):
        network, history = loaded.embedder, submodel_history(loaded.config, EMBEDDER)
    decodes = (
        isinstance(model, Autoencoder)
        and loaded.config.kind == "pixelcnn"
        and isinstance(network, GatedPixelCNN)
    )
    if not isinstance(network, type(model)) and not decodes:
        raise PixelgenError(
            f"{loaded.name} is {loaded.config.called}: no run of a {recipe.model.model} can start "
            "from it"
        )
    weights = {n: t.float() for n, t in network.state_dict().items()}
    known = shapes(weights) == shapes(model.state_dict())
    theirs = loaded.config.labels
    if theirs and labels and list(theirs) != list(labels):
        weights, known = with_classes(weights, model, theirs, labels), False
    if isinstance(model, Tokenizer):
        weights = with_fine_stage(weights, model)
        if not recipe.losses.decoder_only:
            weights = with_more_channels(weights, model)
    if isinstance(model, Autoencoder):
        before = weights
        weights = with_own_encoder(with_semantic_numbers(weights, model), model)
        new = any(n.startswith(SEMANTIC) and weights[n] is not before.get(n) for n in weights)
        if new and not recipe.autoencoder.semantic_weight:
            raise UsageError(*UNTAUGHT)
    if isinstance(model, GatedPixelCNN):
        weights = with_vectors(weights, model)
        if embedded is not None and loaded.face_embedder is not None:
            weights = _with_vectors_of(weights, loaded.face_embedder, embedded)
    return WarmStart(weights, history, known)


def _with_vectors_of(
    weights: dict[str, Tensor], old: FaceEmbedder, embedded: FaceConditioning
) -> dict[str, Tensor]:
    """Weights of a model that knows the vectors of `old`, turned to where those of another embedder
    are: two embedders lie to each other as chance would have it. They are returned as they are
    where it is the same one, or where nothing can be told of two."""
    new = embedded.embedder
    theirs, ours = old.state_dict(), new.state_dict()
    if theirs.keys() == ours.keys() and all(torch.equal(theirs[n], ours[n]) for n in ours):
        return weights
    alike = (old.config.size, old.config.embedding) == (new.config.size, new.config.embedding)
    if not alike or len(embedded.faces) < new.config.embedding:
        return weights
    vectors = (embed(each, embedded.faces, 250) for each in (new, old))
    return with_turned_vectors(weights, turn_between(*vectors))
