"""A network as weights, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

import pixelgen
from pixelgen.checkpoints import load_checkpoint
from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    build_model,
    register_network,
)
from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.config import CONFIGS
from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.models.pixelcnn import PixelCNN
from pixelgen.models.pixelcnn_pp import PixelCNNPP
from pixelgen.models.tokenizer import Tokenizer

from ..hub_server import TOKEN, Hub
from ..models.row_model import RowModel

_SIZES: dict[str, Any] = {
    "height": 4, "width": 4, "features": 6, "layers": 1, "kernel": 3, "first_kernel": 3,
    "output_features": 6,
}  # fmt: skip


def network(classes: int = 0) -> GatedPixelCNN:
    torch.manual_seed(0)
    return build_model(GatedPixelCNNConfig(**_SIZES, classes=classes))


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_saved_weights_draw_what_the_network_draws(tmp_path: Path) -> None:
    model = network(classes=2)
    folder = pixelgen.save(
        model, tmp_path / "pets", class_names=["cat", "dog"], sampling={"temperature": 0.9}
    )
    weights = pixelgen.load(folder)
    assert weights.class_names == ("cat", "dog")
    assert weights.config.sampling.temperature == 0.9
    assert equal(weights.checkpoint.model, model)  # in full precision
    (saved,) = weights.sample("dog", seed=1, temperature=1)
    (direct,) = pixelgen.Weights.from_network(model, class_names=["cat", "dog"]).sample(
        "dog", seed=1
    )
    assert saved.image.tobytes() == direct.image.tobytes()
    card = (folder / "README.md").read_text("utf-8")
    assert "# pets" in card
    assert "4×4" in card


def test_names_and_numbers_of_classes(tmp_path: Path) -> None:
    model = network(classes=2)
    assert pixelgen.load(pixelgen.save(model, tmp_path / "a")).class_names == ("class 0", "class 1")
    imagenet = pixelgen.load(pixelgen.save(model, tmp_path / "b", labels=[8, 207]))
    assert imagenet.class_names == ("hen", "golden retriever")
    with pytest.raises(pixelgen.UsageError, match="3 labels for a model of 2 classes"):
        pixelgen.save(model, tmp_path / "c", class_names=["x", "y", "z"])
    with pytest.raises(pixelgen.UsageError, match="1 label for a model of 0 classes"):
        pixelgen.save(network(), tmp_path / "c", class_names=["x"])
    assert not (tmp_path / "c").exists()


def test_what_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(pixelgen.UsageError, match="Linear is not a network of pixelgen"):
        pixelgen.save(nn.Linear(2, 2), tmp_path / "a")
    broken = network()
    nn.init.constant_(broken.out_1x1.weight, float("nan"))
    with pytest.raises(pixelgen.PixelgenError, match=r"out_1x1.weight holds .* not finite"):
        pixelgen.save(broken, tmp_path / "a")
    with pytest.raises(pixelgen.UsageError, match="temprature"):
        pixelgen.save(network(), tmp_path / "a", sampling={"temprature": 1})
    assert not (tmp_path / "a").exists()
    folder = pixelgen.save(network(), tmp_path / "a")
    with pytest.raises(pixelgen.UsageError, match="not empty"):
        pixelgen.save(network(), folder)
    pixelgen.save(network(), folder, overwrite=True)


def test_wrapped_networks_are_unwrapped(tmp_path: Path) -> None:
    model = network()
    wrapper: Any = nn.Module()  # as DistributedDataParallel holds it
    wrapper.module = model
    assert equal(pixelgen.load(pixelgen.save(wrapper, tmp_path / "a")).checkpoint.model, model)


def test_half_precision(tmp_path: Path) -> None:
    full, half = (pixelgen.save(network(), tmp_path / d, dtype=d) for d in ("float32", "float16"))
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (full, half)]
    assert sizes[1] < 0.7 * sizes[0]


def test_from_pretrained_gives_a_network_to_train_further(tmp_path: Path) -> None:
    model = network(classes=2)
    folder = model.save_pretrained(tmp_path / "pets", class_names=["cat", "dog"])
    state = torch.random.get_rng_state()
    loaded = GatedPixelCNN.from_pretrained(folder)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert equal(loaded, model)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert isinstance(GridNetwork.from_pretrained(folder), GatedPixelCNN)
    model.save_pretrained(folder)  # replaces the earlier ones
    assert pixelgen.load(folder).class_names == ("class 0", "class 1")


def test_weight_normalised_networks(tmp_path: Path) -> None:
    """Directions and lengths of filters are stored as they are."""
    model = build_model(PixelCNNPPConfig(height=4, width=4, features=4, layers=1)).eval()
    loaded = PixelCNNPP.from_pretrained(model.save_pretrained(tmp_path / "plus"))
    assert equal(loaded, model)
    x = torch.randint(256, (2, 3, 4, 4))
    assert torch.equal(loaded.log_prob(x), model.log_prob(x))


def test_parts_of_weights(code_weights: Path) -> None:
    loaded = load_checkpoint(code_weights)
    assert equal(Tokenizer.from_pretrained(code_weights), loaded.codec)
    assert equal(GatedPixelCNN.from_pretrained(code_weights), loaded.model)
    with pytest.raises(pixelgen.UsageError, match="no PixelCNN, but GatedPixelCNN, Tokenizer"):
        PixelCNN.from_pretrained(code_weights)


def test_through_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    model = build_model(PixelCNNConfig(**_SIZES))
    url = model.push_to_hub("owner/new", commit_message="Add weights", license="mit")
    assert "owner/new" in url
    assert equal(PixelCNN.from_pretrained("owner/new"), model)
    assert equal(PixelCNN.from_pretrained("owner/new", revision="main"), model)


@dataclass(frozen=True)
class RowConfig(GridConfig):
    """The configuration of `RowModel`."""

    model: ClassVar[str] = "row"
    network: ClassVar[str] = f"{RowModel.__module__}:{RowModel.__name__}"

    classes: int = 0
    layers: int = 0


def test_a_module_that_only_fulfils_the_protocol_becomes_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.models.config.CONFIGS", dict(CONFIGS))
    own: Any = RowModel(RowConfig(channels=3, height=4, width=4, classes=2))
    with pytest.raises(pixelgen.UsageError, match="nor one that register_network knows"):
        pixelgen.save(own, tmp_path / "row")
    register_network(RowConfig)
    pixelgen.save(own, tmp_path / "row", class_names=["cat", "dog"])
    weights = pixelgen.load(tmp_path / "row")
    assert isinstance(weights.checkpoint.network, RowModel)
    (cat,) = weights.sample("cat", seed=1, candidates=1)
    (score,) = weights.score(cat.image, label="cat")
    assert score.bits_per_dim == pytest.approx(cat.bits_per_dim, rel=1e-5)
    with pytest.raises(pixelgen.UsageError, match="no table of classes to interpolate in"):
        weights.interpolate(classes=["cat", "dog"])
