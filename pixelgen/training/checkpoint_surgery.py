"""Networks as the start of ones that can do more, and first do what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import ClassTable
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.tokenizer import Tokenizer

WRITTEN = ("encoder.out.1.weight", "encoder.out.1.bias")
"""The encoder's last layer: a row for each code channel."""
READ = "decoder.stem.weight"
"""The decoder's first layer [W, C, 3, 3]: a column for each."""
FINE = "decoder.fine."
"""The decoder's stage that only adds to what the others make."""
READ_H = ("condition.linear.weight", "condition.map.weight")
"""Of every layer of a model: what reads the condition vector and the map of it."""
H_BY_ROWS = ("encoder.out.weight", "encoder.out.bias", "principal.components", "principal.spread")
"""Of an auto-encoder: what has a row for each number of h that is not semantic."""
H_BY_COLUMNS = (
    "mean.stem.weight",
    "condition.linear.weight",
    "map_network.project.weight",
    "null_vector",
)
"""Of an auto-encoder: what has a column for each number of h."""
SEMANTIC = "semantic."
"""Of an auto-encoder: the encoder of the semantic numbers."""
MADE_OF_H = ("null_", "map_network.", "class_prior.")
"""Of a model: what h goes through before, or what stands for it."""


def shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """By name: two networks of which these are equal are of one build."""
    return {name: tensor.shape for name, tensor in weights.items()}


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


def with_fine_stage(weights: dict[str, Tensor], model: Tokenizer) -> dict[str, Tensor]:
    """Weights of a tokenizer without the decoder's fine stage → weights of `model`, which has one,
    and the same reconstructions: the stage is as in a new network and adds 0. All others are
    returned as they are."""
    if any(name.startswith(FINE) for name in weights):
        return weights
    new = model.state_dict()
    own = {n: t.detach().clone().float() for n, t in new.items() if n.startswith(FINE)}
    return weights | own


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
        made_of_h = name.startswith(MADE_OF_H)
        reads_h = name.endswith(READ_H)
        if made_of_h:
            grown[name] = tensor.detach().clone().float()
        elif reads_h:
            grown[name] = torch.zeros_like(tensor, dtype=torch.float32)
    return grown


def with_semantic_numbers(weights: dict[str, Tensor], model: Autoencoder) -> dict[str, Tensor]:
    """Weights of an auto-encoder without semantic numbers → weights of `model`, whose last numbers
    of h are semantic ones, and which is else of the same build: nothing reads these yet, the others
    mean what they meant, and where the old one had more of those, they are forgotten (what it was
    told where it was told nothing loses them too). All others are returned as they are."""
    new = {name: t.detach().clone().float() for name, t in model.state_dict().items()}
    own = {name: t for name, t in new.items() if name.startswith(SEMANTIC)}
    first = model.config.spatial
    if not own or weights.keys() != new.keys() - own.keys():
        return weights
    grown = dict(weights)
    for name in H_BY_ROWS:
        if name in weights:
            grown[name] = weights[name][:first].clone()
    for name, tensor in weights.items():
        if name.endswith(H_BY_COLUMNS):
            grown[name] = tensor.new_zeros(*tensor.shape[:-1], model.config.bottleneck)
            grown[name][..., :first] = tensor[..., :first]
    grown |= own
    return grown if shapes(grown) == shapes(new) else weights


def with_classes(
    weights: dict[str, Tensor], model: nn.Module, old: Sequence[int], new: Sequence[int]
) -> dict[str, Tensor]:
    """Weights of a model of the classes labelled `old` → weights of `model`, whose classes are
    labelled `new`: each label keeps its embeddings, those of others are new, and "no class" stays
    what it was."""
    grown = dict(weights)
    row = {label: place for place, label in enumerate(old)}
    known = [place for place, label in enumerate(new) if label in row]
    for name, module in model.named_modules():
        key = f"{name}.weight"
        if isinstance(module, ClassTable) and len(weights.get(key, ())) == len(old) + 1:
            table = module.weight.detach().clone().float()
            table[known] = weights[key][[row[new[place]] for place in known]].to(table)
            table[-1] = weights[key][-1].to(table)
            grown[key] = table
    return grown


def with_own_encoder(weights: dict[str, Tensor], model: Autoencoder) -> dict[str, Tensor]:
    """Weights of a PixelCNN, or of an auto-encoder of another build than `model` → weights of
    `model`: its own, new ones, but for the PixelCNN, which does not yet read h. All others are
    returned as they are.

    What the old PixelCNN was told where it was told nothing stays in its biases, but for the map of
    the null vector, which differs from place to place.
    """
    new = {name: t.detach().clone().float() for name, t in model.state_dict().items()}
    if shapes(weights) == shapes(new):
        return weights
    if any(name.startswith("pixels.") for name in weights):
        weights = {
            name.removeprefix("pixels."): tensor
            for name, tensor in weights.items()
            if name.startswith("pixels.")
        }
    told = _told_nothing(weights)
    for name in [n for n in new if n.startswith("pixels.")]:
        own = name.removeprefix("pixels.")
        if own.endswith(READ_H):
            new[name].zero_()
        elif not own.startswith(MADE_OF_H):
            del new[name]  # what the old one lacks is missed, and not made up
    for name, tensor in weights.items():
        if not name.startswith(MADE_OF_H) and ".condition." not in name:
            new[f"pixels.{name}"] = tensor + told.get(name, 0)
    return new


def _told_nothing(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of every layer of a PixelCNN, what "no class", the null vector and the null map add to the
    biases of its vertical and its horizontal convolution (`LayerCondition`)."""
    total: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        layer, _, kind = name.partition(".condition.")
        if kind == "table.weight":
            terms = tensor[-1]
        elif kind == "linear.weight":
            terms = tensor @ weights["null_vector"]
        elif kind == "map.weight" and (null := weights.get("null_map")) is not None:
            terms = tensor[:, -len(null) :, 0, 0] @ null
        else:
            continue
        for stack, part in zip(("vertical", "horizontal"), terms.chunk(2), strict=True):
            bias = f"{layer}.{stack}.bias"
            total[bias] = total.get(bias, 0) + part
    return total


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
