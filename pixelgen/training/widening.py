"""Networks as the start of ones that can do more, and first do what they did."""

from __future__ import annotations

import torch
from torch import Tensor

from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.tokenizer import Tokenizer

WRITTEN = ("encoder.out.1.weight", "encoder.out.1.bias")
"""The encoder's last layer: a row for each code channel."""
READ = "decoder.stem.weight"
"""The decoder's first layer [W, C, 3, 3]: a column for each."""
READ_H = ("condition.linear.weight", "condition.map.weight")
"""Of every layer of a model: what reads the condition vector and the map of it."""


def with_more_channels(weights: dict[str, Tensor], model: Tokenizer) -> dict[str, Tensor]:
    """Weights of a tokenizer with at most as many code channels as `model` has → weights of its
    size, and the same reconstructions: the new channels are written as in a new network, and not
    yet read. All others are returned as they are."""
    new = model.state_dict()
    few, many = (len(w[WRITTEN[0]]) if WRITTEN[0] in w else 0 for w in (weights, new))
    if not 0 < few < many:
        return weights
    grown = dict(weights)
    for name in WRITTEN:
        grown[name] = new[name].detach().clone().float()
        grown[name][:few] = weights[name]
    read = weights[READ]
    grown[READ] = read.new_zeros(len(read), many, *read.shape[2:])
    grown[READ][:, :few] = read
    return grown


def with_vectors(weights: dict[str, Tensor], model: GatedPixelCNN) -> dict[str, Tensor]:
    """Weights of a model without a condition vector h, or without a map of it → weights of `model`,
    which has them, and the same probabilities: what h goes through is as in a new network, and is
    not yet read. All others are returned as they are."""
    if model.null_vector is None:
        return weights
    grown = dict(weights)
    for name, tensor in model.state_dict().items():
        if name in weights:
            continue
        made_of_h = name == "null_vector" or name.startswith(("map_network.", "class_vectors."))
        reads_h = name.endswith(READ_H)
        if made_of_h:
            grown[name] = tensor.detach().clone().float()
        elif reads_h:
            grown[name] = torch.zeros_like(tensor, dtype=torch.float32)
    return grown


def with_own_encoder(weights: dict[str, Tensor], model: Autoencoder) -> dict[str, Tensor]:
    """Weights of a PixelCNN, or of an auto-encoder of another build than `model` → weights of
    `model`: its own, new ones, but for the PixelCNN, which does not yet read h. All others are
    returned as they are."""
    new = {name: t.detach().clone().float() for name, t in model.state_dict().items()}
    if {n: t.shape for n, t in weights.items()} == {n: t.shape for n, t in new.items()}:
        return weights
    missing: list[str] = []
    inside = any(name.startswith("pixels.") for name in weights)
    for name, tensor in new.items():
        part, _, own = name.partition(".")
        if part != "pixels" or own.startswith(("null_", "map_network.")):
            continue
        if own.endswith(READ_H):
            tensor.zero_()
        elif (old := weights.get(name if inside else own)) is not None:
            new[name] = old
        else:
            missing.append(name)
    return {name: tensor for name, tensor in new.items() if name not in missing}


def with_turned_vectors(weights: dict[str, Tensor], turn: Tensor) -> dict[str, Tensor]:
    """Weights of a model of vectors h → weights that give the same probabilities to a picture given
    `turn`ᵀ h, `turn` orthogonal [D, D]."""
    turned = dict(weights)
    for name, tensor in weights.items():
        if name == "null_vector" or name.endswith((READ_H[0], "map_network.project.weight")):
            turned[name] = tensor @ turn.to(tensor)
    return turned


def turn_between(new: Tensor, old: Tensor) -> Tensor:
    """The orthogonal matrix [D, D] by which the vectors `new` [N, D] come nearest to `old` [N, D]:
    old ≈ new @ turnᵀ (Schönemann, "A generalized solution of the orthogonal Procrustes problem",
    1966)."""
    u, _, v = torch.linalg.svd(old.double().T @ new.double())
    turn: Tensor = (u @ v).float()
    return turn
