"""Networks of other projects, from checkouts that the user has: their code, trained and measured as
ours is.

Known are two PyTorch projects, told apart by their files: github.com/anordertoreclaim/PixelCNN and
github.com/pi-tau/pixelcnn. Both give [B, levels, C, H, W] logits of RGB pictures.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pixelgen.errors import InputError
from pixelgen.models.autoregressive import GridNetwork
from pixelgen.models.conditioning import Condition
from pixelgen.models.config import GridConfig, register_network
from pixelgen.models.likelihood import build_likelihood


@register_network  # the loop trains a peer as it trains any other network
@dataclass(frozen=True)
class PeerConfig(GridConfig):
    """The network of a checkout."""

    model: ClassVar[str] = "peer"
    network: ClassVar[str] = "pixelgen.comparison.peers:PeerNetwork"

    path: str = ""
    """The folder of the checkout."""


class Adapter(ABC):
    """How the network of a project is built and called."""

    files: ClassVar[tuple[str, ...]]
    """Files by which a checkout is known."""

    @abstractmethod
    def build(self, config: PeerConfig) -> nn.Module:
        """The project's network, imported from its checkout."""

    @abstractmethod
    def logits(self, network: nn.Module, values: Tensor) -> Tensor:
        """Values [B, C, H, W] of 0 … levels - 1, as numbers → [B, levels, C, H, W]."""


class AnorderToReclaim(Adapter):
    """anordertoreclaim/PixelCNN: `PixelCNN(cfg)`, which reads 0 … 1 and a label of each picture.

    All pictures get the same label, so that nothing is known of them.
    """

    files = ("pixelcnn/model.py", "pixelcnn/conv_layers.py")

    def build(self, config: PeerConfig) -> nn.Module:
        """See `Adapter`."""
        with importing(Path(config.path)):
            module = import_module("pixelcnn.model")
        options = SimpleNamespace(
            data_channels=config.channels,
            color_levels=config.levels,
            causal_ksize=config.first_kernel,
            hidden_ksize=config.kernel,
            hidden_fmaps=config.features,
            hidden_layers=config.layers,
            out_hidden_fmaps=config.output_features,
            classes=1,
        )
        network: nn.Module = module.PixelCNN(options)
        return network

    def logits(self, network: nn.Module, values: Tensor) -> Tensor:
        """See `Adapter`."""
        labels = torch.zeros(len(values), dtype=torch.int64, device=values.device)
        out: Tensor = network(values / (network.color_levels - 1), labels)  # type: ignore[operator]
        return out


class PiTau(Adapter):
    """pi-tau/pixelcnn: `PixelCNN(in_shape, n_colors, n_blocks, filters, kernel_size)`, which reads
    0 … levels - 1. Its first kernel and its output layer have a fixed size."""

    files = ("pixelcnn.py", "conv2d_gated.py", "conv2d_mask.py")

    def build(self, config: PeerConfig) -> nn.Module:
        """See `Adapter`."""
        with importing(Path(config.path)):
            module = import_module("pixelcnn")
        network: nn.Module = module.PixelCNN(
            in_shape=(config.channels, config.height, config.width),
            n_colors=config.levels,
            n_blocks=config.layers,
            filters=config.features,
            kernel_size=config.kernel,
        )
        return network

    def logits(self, network: nn.Module, values: Tensor) -> Tensor:
        """See `Adapter`."""
        out: Tensor = network(values)
        return out


ADAPTERS: tuple[Adapter, ...] = (AnorderToReclaim(), PiTau())


class PeerNetwork(GridNetwork):
    """The network of another project as a model of pictures x [B, C, H, W]."""

    config: PeerConfig

    def __init__(self, config: PeerConfig) -> None:
        super().__init__()
        self.config = config
        self.likelihood = build_likelihood(config, config.channels, coupled=False)
        self._adapter = adapter_of(Path(config.path))
        try:
            self.peer = self._adapter.build(config)
        except Exception as error:  # whatever the code of another project raises
            raise InputError(
                f"the network in {config.path} cannot be built: {type(error).__name__}: {error}"
            ) from error
        self.add_conditions()

    def embed(self, grid: Tensor) -> Tensor:
        """Integers [B, C, H, W] → the same as numbers."""
        return grid.to(next(self.parameters()).dtype)

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        """Logits, [B, H, W, C, levels]."""
        return self._adapter.logits(self.peer, embedded).permute(0, 3, 4, 2, 1)


def adapter_of(path: Path) -> Adapter:
    """The adapter of a checkout. Raises InputError for a folder that is none."""
    for adapter in ADAPTERS:
        if all((path / name).is_file() for name in adapter.files):
            return adapter
    raise InputError(
        f"{path} is not a checkout of a known network",
        "a folder with the files of anordertoreclaim/PixelCNN or of pi-tau/pixelcnn",
    )


@contextmanager
def importing(folder: Path) -> Iterator[None]:
    """Lets Python import from `folder`, and forgets these modules afterwards: two checkouts may
    call theirs the same. Nothing is written there."""
    own = {item.stem for item in folder.iterdir() if item.suffix == ".py" or item.is_dir()}

    def of_folder() -> dict[str, Any]:
        return {n: m for n, m in sys.modules.items() if n.partition(".")[0] in own}

    hidden, writes = of_folder(), sys.dont_write_bytecode
    for name in hidden:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes
        for name in of_folder():
            del sys.modules[name]
        sys.modules.update(hidden)


@torch.no_grad()
def check_causal(network: PeerNetwork) -> None:
    """Raises InputError where the distribution of a value depends on the value or on later ones:
    what such a network computes is no likelihood; also where the network cannot be called. Some
    values of a random picture are tried."""
    config = network.config
    generator = torch.Generator().manual_seed(0)
    shape = (config.height, config.width, config.channels)
    x = torch.randint(config.levels, shape, generator=generator).flatten()  # in the order of values
    places = sorted({0, 1, 2, *(len(x) * k // 7 + k % 3 for k in range(1, 7)), len(x) - 1})
    changed = torch.stack(
        [torch.cat((x[:place], config.levels - 1 - x[place:])) for place in places]
    )
    pictures = torch.cat((x[None], changed)).view(-1, *shape).permute(0, 3, 1, 2)
    network.eval()
    try:
        parameters = network(pictures.to(next(network.parameters()).device))
    except Exception as error:  # whatever the code of another project raises
        raise InputError(
            f"the network in {config.path} fails: {type(error).__name__}: {error}",
            "is it the newest version of that project?",
        ) from error
    expected = (len(pictures), *shape, config.levels)
    if parameters.shape != expected:
        raise InputError(
            f"the network in {config.path} computes logits of shape {tuple(parameters.shape)}, "
            f"not {expected} (pictures, rows, columns, channels, levels)"
        )
    found = parameters.reshape(len(pictures), len(x), -1).float()
    for row, place in enumerate(places, 1):
        if not torch.allclose(found[row, place], found[0, place], atol=1e-4):
            i, j, c = (int(n) for n in torch.unravel_index(torch.tensor(place), shape))
            raise InputError(
                f"the network is not autoregressive: its distribution of row {i}, column {j}, "
                f"channel {c} depends on later values"
            )
