"""Configurations: there and back, and every error a clear ValueError."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    config_from_dict,
    register_network,
)
from pixelgen.models import (
    config as module,
)

from .cases import TRIPLES, baseline_config, gated_config

BOTH = [GatedPixelCNNConfig, PixelCNNConfig]


@pytest.mark.parametrize("name", TRIPLES)
def test_round_trip_through_json(name: str) -> None:
    config = gated_config(TRIPLES[name], 3, 4, dropout=0.25)
    values = json.loads(json.dumps(config.to_dict()))
    assert values["model"] == "gated_pixelcnn"
    assert config_from_dict(values) == config
    assert GatedPixelCNNConfig.from_dict(values) == config
    # Complete: every field is written down, also those that keep their default.
    assert set(values) == {f.name for f in dataclasses.fields(config)} | {"model"}


def test_round_trip_of_the_baseline() -> None:
    config = baseline_config(3, 4, classes=7, likelihood="logistic")
    values = json.loads(json.dumps(config.to_dict()))
    assert values["model"] == "pixelcnn"
    assert config_from_dict(values) == config
    assert isinstance(config_from_dict(values), PixelCNNConfig)


@pytest.mark.parametrize("levels", [1, 65537, 2**62])
def test_levels(levels: int) -> None:
    with pytest.raises(ValueError, match=r"levels must be at (least 2|most 65536)"):
        PixelCNNConfig(levels=levels, likelihood="logistic")


def test_a_whole_number_is_a_float() -> None:
    config = GatedPixelCNNConfig.from_dict({"output_features": 240, "dropout": 0})
    assert config.dropout == 0


@pytest.mark.parametrize("cls", BOTH)
def test_empty_values_are_the_defaults(cls: type) -> None:
    assert cls.from_dict({"model": cls.model}) == cls()  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", BOTH)
def test_configurations_are_frozen(cls: type) -> None:
    config = cls(output_features=240)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.layers = 3


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("feature", "features"),
        ("kernal", "kernel"),
        ("lvels", "levels"),
        ("normalization", "normalisation"),
        ("vertical_residuals", "vertical_residual"),
    ],
)
def test_unknown_keys_name_the_nearest(key: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"{key}.*{near}"):
        config_from_dict({"model": "gated_pixelcnn", key: 1})


@pytest.mark.parametrize("model", ["gated_pixelcnn", "pixelcnn"])
def test_unknown_keys_without_a_near_one(model: str) -> None:
    with pytest.raises(ValueError, match="unknown key 'qqqqq'") as error:
        config_from_dict({"model": model, "qqqqq": 1})
    assert "did you mean" not in str(error.value)


def test_keys_of_the_other_model_are_unknown() -> None:
    with pytest.raises(ValueError, match="unknown key 'patch'"):
        config_from_dict({"model": "pixelcnn", "patch": 2})


@pytest.mark.parametrize("name", [None, "", "row_lstm", 3, [], ["pixelcnn"], {}])
def test_unknown_models_list_the_known(name: Any) -> None:
    with pytest.raises(ValueError, match=r"\bgated_pixelcnn\b"):
        config_from_dict({"model": name})


def test_a_missing_model_lists_the_known() -> None:
    with pytest.raises(ValueError, match="gated_pixelcnn"):
        config_from_dict({"features": 12})


def test_a_model_of_another_class_is_refused() -> None:
    """Values that say what they describe are not taken for something else."""
    with pytest.raises(ValueError, match="pixelcnn"):
        GatedPixelCNNConfig.from_dict(PixelCNNConfig(output_features=240).to_dict())
    with pytest.raises(ValueError, match="pixelcnn"):
        PixelCNNConfig.from_dict({"model": "gated_pixelcnn", "output_features": 240})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("features", "120"),
        ("features", 12.0),
        ("features", None),
        ("features", [12]),
        ("layers", True),
        ("dropout", "0.1"),
        ("dropout", True),
        ("dropout", None),
        ("vertical_residual", 1),
        ("vertical_residual", "yes"),
        ("skip_outputs", 0),
        ("channel_order", 1),
        ("likelihood", None),
        ("normalisation", ["none"]),
        ("normalisation", False),
    ],
)
def test_wrong_types_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        config_from_dict({"model": "gated_pixelcnn", key: value})


@pytest.mark.parametrize(
    "values",
    [
        {"channels": 0},
        {"height": 0},
        {"width": -1},
        {"levels": 1},
        {"features": 0},
        {"layers": -1},
        {"kernel": 4},
        {"kernel": 0},
        {"kernel": -3},
        {"first_kernel": 2},
        {"mixtures": 0},
        {"output_features": 0},
        {"likelihood": "gaussian"},
        {"patch": 0},
        {"embedding": "onehot"},
        {"embedding_features": 0},
        {"channel_order": "none"},
        {"head_features": 0},
        {"head_layers": -1},
        {"normalisation": "batch"},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"dropout": float("nan")},
        {"classes": -1},
        {"vector": -1},
        {"map_channels": -1},
        # Combinations
        {"features": 100},  # no multiple of three channels
        {"output_features": 256, "features": 120},
        {"patch": 2, "features": 120, "output_features": 126},
        {"height": 33, "patch": 2, "channel_order": "head"},
        {"width": 33, "patch": 2, "channel_order": "head"},
        {"map_channels": 4},
        {"vector": 4, "vector_bias": False},
        {"channel_order": "likelihood", "likelihood": "softmax"},
        {"channel_order": "likelihood", "likelihood": "softmax", "channels": 1, "patch": 2},
    ],
)
def test_bad_values_are_refused(values: dict[str, Any]) -> None:
    """What the defaults lack to be valid is given, so that only what is tested is wrong."""
    with pytest.raises(ValueError, match=r"must|needs|effect") as error:
        config_from_dict({"model": "gated_pixelcnn", "output_features": 240, **values})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {"classes": -1},
        {"features": 100},
        {"output_features": 256},
        {"kernel": 2},
        {"likelihood": "gaussian"},
    ],
)
def test_bad_values_are_refused_for_the_baseline(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        config_from_dict({"model": "pixelcnn", "output_features": 240, **values})


@pytest.mark.parametrize("cls", BOTH)
def test_the_defaults_are_valid(cls: type) -> None:
    """A configuration without any argument: three channels of 256 levels at 32×32."""
    config = cls()
    assert (config.channels, config.height, config.width, config.levels) == (3, 32, 32, 256)


def test_the_defaults_are_the_paper() -> None:
    """No option is on, channels go by groups of feature maps, values by the softmax."""
    config = {f.name: f.default for f in dataclasses.fields(GatedPixelCNNConfig)}
    assert config["channel_order"] == "groups"
    assert config["likelihood"] == "softmax"
    assert config["embedding"] == "scalar"
    assert config["normalisation"] == "none"
    assert config["dropout"] == 0
    assert config["patch"] == 1
    for option in ("vertical_residual", "skip_outputs", "input_skip"):
        assert config[option] is False
    for condition in ("classes", "vector", "map_channels"):
        assert config[condition] == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["gated_pixelcnn", "pixelcnn"]),
    st.dictionaries(
        st.sampled_from([f.name for f in dataclasses.fields(GatedPixelCNNConfig)])
        | st.text(max_size=8),
        json_values,
        max_size=4,
    ),
)
def test_whatever_a_file_holds_is_a_configuration_or_a_value_error(
    model: str, values: dict[str, Any]
) -> None:
    try:
        config = config_from_dict({"output_features": 240, **values, "model": model})
    except ValueError:
        return
    assert config_from_dict(config.to_dict()) == config


def test_configurations_are_read_without_torch() -> None:
    code = (
        "import sys, pixelgen.models, pixelgen.models.config as c\n"
        "c.config_from_dict({'model': 'gated_pixelcnn', 'output_features': 240})\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class OwnConfig(GridConfig):
    """The configuration of a network by somebody else."""

    model: ClassVar[str] = "own"
    network: ClassVar[str] = f"{__name__}:Own"


@dataclass(frozen=True)
class TakenConfig(GridConfig):
    """The same of a name that is taken."""

    model: ClassVar[str] = "pixelcnn"


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is registered, for one test."""
    copied: dict[str, Any] = dict(module.CONFIGS)
    monkeypatch.setattr(module, "CONFIGS", copied)
    return copied


def test_a_network_of_ones_own_is_registered(configs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown model 'own'.* a package which is not installed"):
        config_from_dict({"model": "own"})
    assert register_network(OwnConfig) is register_network(OwnConfig) is OwnConfig
    assert config_from_dict({"model": "own", "height": 8}) == OwnConfig(height=8)
    with pytest.raises(ValueError, match="there is a network pixelcnn already"):
        register_network(TakenConfig)
    assert configs["pixelcnn"] is PixelCNNConfig


def test_an_installed_package_brings_a_network(
    configs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "another-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        f"[pixelgen.networks]\nown = {__name__}:OwnConfig\ngone = nowhere.at_all:Config\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert config_from_dict({"model": "own"}) == OwnConfig()
    with pytest.raises(ValueError, match=r"the network gone \(nowhere.at_all:Config\) fails"):
        config_from_dict({"model": "gone"})
