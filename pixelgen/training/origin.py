"""The weights of a checkpoint as where a run starts."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.models import AutoencoderConfig, FaceEmbedderConfig, TokenizerConfig
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.tokenizer import Tokenizer
from pixelgen.training.material import Embedded
from pixelgen.training.parts import EMBEDDER, TOKENIZER, training_of_part
from pixelgen.training.recipe import Recipe
from pixelgen.training.triplets import embed
from pixelgen.training.widening import (
    turn_between,
    with_more_channels,
    with_turned_vectors,
    with_vectors,
)


def origin(
    loaded: LoadedCheckpoint, model: nn.Module, recipe: Recipe, embedded: Embedded | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What of `loaded` is of the kind of `model`, the whole or a part, with what the model has
    beyond it; and how it was trained.

    Raises PixelgenError where nothing is of that kind.
    """
    network, history = loaded.network, loaded.config.training
    if isinstance(config := recipe.model, AutoencoderConfig):
        network = loaded.autoencoders.get(config.bottleneck, network)
        history = loaded.config.training_of(config.bottleneck)
    elif isinstance(config, TokenizerConfig):
        network, history = loaded.codec, training_of_part(loaded.config, TOKENIZER)
    elif isinstance(config, FaceEmbedderConfig):
        network, history = loaded.embedder, training_of_part(loaded.config, EMBEDDER)
    weights = {n: t.float() for n, t in network.state_dict().items()}
    if isinstance(model, Tokenizer) and not recipe.losses.decoder_only:
        weights = with_more_channels(weights, model)
    if isinstance(model, GatedPixelCNN):
        weights = with_vectors(weights, model)
        old = loaded.face_embedder
        if old is not None and embedded is not None and old.config.embedding == model.config.vector:
            # Two embedders lie to each other as chance would have it: the one that the model knows
            # is turned to where the other's vectors are.
            vectors = (embed(e, embedded.faces, 250) for e in (embedded.embedder, old))
            weights = with_turned_vectors(weights, turn_between(*vectors))
    return weights, history
