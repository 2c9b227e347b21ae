"""The configurations that the tests of the models run through, and what builds networks of them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
    build_model,
)
from pixelgen.models.conditioning import Condition

CLASSES, VECTOR, GIVEN = 3, 4, 3

Choice = tuple[str, dict[str, Any]]

# Every switch: the name of a value in the test's id, and what it sets.
SWITCHES: list[list[Choice]] = [
    [
        ("groups-softmax", {"channel_order": "groups", "likelihood": "softmax"}),
        ("groups-logistic", {"channel_order": "groups", "likelihood": "logistic"}),
        ("head-softmax", {"channel_order": "head", "likelihood": "softmax"}),
        ("head-logistic", {"channel_order": "head", "likelihood": "logistic"}),
        (
            "head-linear",
            {"channel_order": "head", "likelihood": "logistic", "head_linear_mean": True},
        ),
        ("coupled", {"channel_order": "likelihood", "likelihood": "logistic"}),
    ],
    [
        ("free", {}),
        ("class", {"classes": CLASSES}),
        ("vector", {"vector": VECTOR}),
        ("map", {"vector": VECTOR, "vector_bias": False, "map_channels": 2}),
        ("vector+map", {"vector": VECTOR, "map_channels": 2}),
        ("given", {"given_channels": GIVEN}),
        (
            "all",
            {"classes": CLASSES, "vector": VECTOR, "map_channels": 2, "given_channels": GIVEN},
        ),
    ],
    [("scalar", {}), ("table", {"embedding": "table", "embedding_features": 2})],
    [("", {}), ("vres", {"vertical_residual": True})],
    [("", {}), ("skip", {"skip_outputs": True})],
    [("", {}), ("iskip", {"input_skip": True})],
    [("", {}), ("norm", {"normalisation": "channel"})],
    [("patch1", {"patch": 1}), ("patch2", {"patch": 2})],
    [("k3", {"kernel": 3, "first_kernel": 3}), ("k5", {"kernel": 5, "first_kernel": 5})],
    [("deep1", {"head_layers": 1}), ("deep2", {"head_layers": 2})],
]

Row = tuple[int, ...]


def covering_rows(sizes: list[int], strength: int) -> list[Row]:
    """Rows of choices in which any values of any `strength` switches occur together at least once.

    The whole product has thousands of rows; what goes wrong in a configuration goes wrong through
    two or three switches at once, and every such meeting is in here. Greedy and deterministic.
    """
    columns = list(itertools.combinations(range(len(sizes)), strength))
    missing: dict[tuple[Row, Row], None] = {
        (where, what): None
        for where in columns
        for what in itertools.product(*(range(sizes[i]) for i in where))
    }
    rows: list[Row] = []
    while missing:
        where, what = next(iter(missing))
        row: dict[int, int] = dict(zip(where, what, strict=True))
        for column, size in enumerate(sizes):
            if column in row:
                continue

            def gain(value: int, column: int = column, row: dict[int, int] = row) -> int:
                trial = {**row, column: value}
                return sum(
                    (others, tuple(trial[i] for i in others)) in missing
                    for others in columns
                    if column in others and all(i in trial for i in others)
                )

            # Ties are turned with the number of the row, or the first value would always win.
            order = [(value + len(rows)) % size for value in range(size)]
            row[column] = max(order, key=gain)
        full = tuple(row[i] for i in range(len(sizes)))
        rows.append(full)
        for others in columns:
            missing.pop((others, tuple(full[i] for i in others)), None)
    return rows


def _settings(row: Row) -> tuple[str, dict[str, Any]]:
    chosen = [switch[i] for switch, i in zip(SWITCHES, row, strict=True)]
    settings: dict[str, Any] = {}
    for _, values in chosen:
        settings |= values
    return "-".join(name for name, _ in chosen if name), settings


def _all_settings(strength: int) -> list[tuple[str, dict[str, Any]]]:
    return [_settings(row) for row in covering_rows([len(s) for s in SWITCHES], strength)]


PAIRS = dict(_all_settings(2))
"""Settings by name: every pair of switch values occurs."""
TRIPLES = dict(_all_settings(3))
"""Settings by name: every three switch values occur together."""


def gated_config(settings: dict[str, Any], height: int, width: int, **more: Any) -> GridConfig:
    """A tiny configuration whose *grid* is height × width: two channels, or four of patches."""
    patch = settings.get("patch", 1)
    values: dict[str, Any] = {
        "channels": 2 if patch == 1 else 1,
        "height": height * patch,
        "width": width * patch,
        "levels": 5,
        "features": 8,
        "output_features": 16,
        "head_features": 4,
        "mixtures": 2,
        "layers": 2,
    }
    return GatedPixelCNNConfig(**{**values, **settings, **more})


_BASELINE: dict[str, Any] = {
    "channels": 2,
    "levels": 5,
    "features": 8,
    "output_features": 16,
    "mixtures": 2,
    "layers": 2,
    "first_kernel": 3,
}


def baseline_config(height: int, width: int, **more: Any) -> GridConfig:
    """A tiny configuration of the baseline."""
    return PixelCNNConfig(**{**_BASELINE, "height": height, "width": width, **more})


def recurrent_config(layer: str, height: int, width: int, **more: Any) -> GridConfig:
    """A tiny configuration of PixelRNN."""
    return PixelRNNConfig(**{**_BASELINE, "layer": layer, "height": height, "width": width, **more})


def plus_plus_config(height: int, width: int, **more: Any) -> GridConfig:
    """A tiny configuration of PixelCNN++."""
    names = ("channels", "levels", "mixtures")
    values = {name: _BASELINE[name] for name in names} | {"features": 4, "layers": 1}
    return PixelCNNPPConfig(**{**values, "height": height, "width": width, **more})


def random_model(config: GridConfig, seed: int = 0, gain: float = 1.2) -> Any:
    """A network in which no parameter has a special value, such as the zeros of a null vector."""
    model = build_model(config).eval()
    return randomise(model, seed, gain)


def randomise(model: nn.Module, seed: int, gain: float = 1.2) -> nn.Module:
    """Every parameter drawn anew: scaled by its fan-in, biases and tables of the order of 0.5."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = math.prod(parameter.shape[1:]) if parameter.dim() == 4 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * gain / fan_in**0.5)
    return model


def grid_shape(config: GridConfig) -> tuple[int, int, int]:
    """Channels, rows and columns of the grid that is modelled."""
    return config.grid_channels, config.grid_height, config.grid_width


def random_pictures(config: GridConfig, batch: int, seed: int = 0) -> Tensor:
    """[batch, C, H, W] integers, uniform over the levels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, config.channels, config.height, config.width)
    return torch.randint(config.levels, shape, generator=generator)


def random_condition(config: GridConfig, batch: int, seed: int = 0) -> Condition:
    """Random classes, vectors and maps, as far as the configuration reads them."""
    generator = torch.Generator().manual_seed(seed)
    length, channels = (getattr(config, name, 0) for name in ("vector", "given_channels"))
    return Condition(
        torch.randint(config.classes, (batch,), generator=generator) if config.classes else None,
        torch.randn(batch, length, generator=generator) if length else None,
        torch.randn(batch, channels, *grid_size(config), generator=generator) if channels else None,
    )


def grid_size(config: GridConfig) -> tuple[int, int]:
    """Rows and columns of what the network sees."""
    return config.grid_height, config.grid_width


def double_condition(condition: Condition) -> Condition:
    """The same condition with its vector and its map in double precision."""
    vector, s = (
        None if each is None else each.double() for each in (condition.vector, condition.map)
    )
    return Condition(condition.classes, vector, s)


def all_pictures(config: GridConfig) -> Tensor:
    """Every picture there is, [levels^(C·H·W), C, H, W]."""
    shape = (config.channels, config.height, config.width)
    one = torch.arange(config.levels)
    return torch.cartesian_prod(*[one] * math.prod(shape)).view(-1, *shape)
