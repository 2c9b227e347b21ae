"""Networks are built no larger than their tensors allow, without what only training needs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pixelgen.checkpoints import instantiate
from pixelgen.checkpoints.instantiate import initialised_network, network_for
from pixelgen.models import (
    AutoencoderConfig,
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
    build_model,
)

CONFIG = GatedPixelCNNConfig(channels=1, height=4, width=4, levels=4, features=8, layers=2)


AUTOENCODER = AutoencoderConfig.from_dict({"size": 8, "pixels": {"features": 9}})


def shapes(config: GatedPixelCNNConfig) -> list[tuple[int, ...]]:
    return [tuple(t.shape) for t in build_model(config).state_dict().values()]


def test_the_network_has_the_shapes_of_one_that_is_trained() -> None:
    network = network_for(CONFIG, shapes(CONFIG))
    assert [tuple(t.shape) for t in network.state_dict().values()] == shapes(CONFIG)
    assert {p.device.type for p in network.parameters()} == {"cpu"}


def test_initialisers_work_again_afterwards() -> None:
    network_for(CONFIG, shapes(CONFIG))
    assert float(torch.empty(1000).normal_().std()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("features", [1 << 14, 1 << 20, 1 << 31, 1 << 62])
def test_what_its_tensors_cannot_fill_is_refused(features: int) -> None:
    with pytest.raises(ValueError, match="no model of this size"):
        network_for(replace(CONFIG, features=features), shapes(CONFIG))


@pytest.mark.parametrize(
    "config",
    [
        PixelCNNConfig(output_features=3 << 31),
        PixelRNNConfig(output_features=3 << 31),
        PixelRNNConfig(layer="diagonal_bilstm", height=1 << 31, width=1 << 31),
        PixelCNNPPConfig(features=1 << 31),
    ],
    ids=["pixelcnn", "row_lstm", "diagonal_bilstm", "pixelcnn_pp"],
)
def test_indices_of_maps_and_positions_are_bounded_too(config: GridConfig) -> None:
    with pytest.raises(ValueError, match="no model of this size"):
        network_for(config, [(100,)] * 100)


def test_large_models_are_built_for_large_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instantiate, "_ALWAYS", 0)
    network_for(CONFIG, shapes(CONFIG))
    with pytest.raises(ValueError, match="larger than its tensors"):
        network_for(replace(CONFIG, features=64), shapes(CONFIG))


def test_a_new_network_is_initialised_and_fits_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    expected = build_model(CONFIG).state_dict()
    torch.manual_seed(1)
    for name, tensor in initialised_network(CONFIG).state_dict().items():
        assert torch.equal(tensor, expected[name])
    monkeypatch.setattr(instantiate, "memory_size", lambda: 10**5)
    with pytest.raises(ValueError, match="larger than the memory allows"):
        initialised_network(replace(CONFIG, features=3000, layers=30))
    monkeypatch.setattr(instantiate, "memory_size", lambda: None)
    initialised_network(CONFIG)


def test_layers_without_tensors_are_not_built() -> None:
    with pytest.raises(ValueError, match="cannot make a model of 1000000000 layers"):
        network_for(replace(CONFIG, layers=10**9), shapes(CONFIG))


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ({"head_layers": 10**7}, "cannot make a model of 10000002 layers"),
        ({"channels": 1 << 13, "features": 1, "height": 1, "width": 1, "layers": 0}, "larger than"),
    ],
)
def test_no_head_larger_than_its_tensors(claim: dict[str, int], says: str) -> None:
    small = replace(CONFIG, channel_order="head", head_features=1, output_features=1)
    network_for(small, shapes(small))
    with pytest.raises(ValueError, match=says):
        network_for(replace(small, **claim), shapes(small))  # type: ignore[arg-type]
    claimed = AutoencoderConfig(
        size=8, pixels=replace(AUTOENCODER.pixels, channel_order="head", head_layers=10**7)
    )
    with pytest.raises(ValueError, match="tensors cannot make a model"):
        network_for(claimed, shapes(small))


def test_loading_needs_no_compiler(tmp_path: Path) -> None:
    code = (
        "import sys; from pixelgen.checkpoints import load_checkpoint; "
        "load_checkpoint('imagenet64'); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
