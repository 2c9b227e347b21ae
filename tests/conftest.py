"""No test reaches the network or the user's caches."""

from __future__ import annotations

import functools
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .hub_server import Hub, running_hub

_home = tempfile.TemporaryDirectory(prefix="pixelgen-tests-")
for _name in [name for name in os.environ if name.startswith("PIXELGEN_")]:
    del os.environ[_name]
# Read when `datasets` and `huggingface_hub` are imported, so before any test module.
os.environ |= {
    "HF_HOME": _home.name,
    "XDG_CACHE_HOME": _home.name,
    "PIXELGEN_CONFIG": f"{_home.name}/config.toml",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ACCELERATE_USE_CPU": "true",
    # Read when torch is imported, here and in the processes that tests start. The networks of the
    # tests are so small that threads mostly wait for each other.
    "OMP_NUM_THREADS": "1",
}


def pytest_unconfigure() -> None:
    """Removes what was cached for the tests."""
    _home.cleanup()


@pytest.fixture(scope="session", autouse=True)
def _offline() -> Iterator[None]:
    """A connection to another machine fails at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"a test tried to reach {address[0]}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session")
def _made_once() -> dict[str, Callable[..., Any]]:
    """What builds what is the same in every process, by name; it does so once."""
    import typer

    from pixelgen.imaging import mtcnn

    return {
        "pixelgen.imaging.mtcnn._load_networks": functools.cache(mtcnn._load_networks),
        "typer.main.get_command": functools.cache(typer.main.get_command),
    }


@pytest.fixture
def once(_made_once: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector of faces is loaded, and what commands take put together, once for all tests."""
    for name, made in _made_once.items():
        monkeypatch.setattr(name, made)


@pytest.fixture
def usual_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop signals as in a new process, also where the tests run in the background of a script; as
    they were afterwards."""
    from pixelgen import signals

    monkeypatch.setattr(signals, "_received", [])
    before = {number: signal.getsignal(number) for number in signals.STOP_SIGNALS}
    for number in signals.STOP_SIGNALS:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the Hub that the library talks to, with an empty cache."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    # Versions of the library differ in what keeps connections open, and in what is copied where.
    http: Any = _http
    forget = getattr(http, "close_session", None) or http.reset_sessions
    with running_hub() as server:
        changed = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }
        for name, value in changed.items():
            monkeypatch.setattr(constants, name, value, raising=False)
            monkeypatch.setattr(file_download, name, value, raising=False)
        forget()
        yield server
        forget()


WritePictures = Callable[..., Path]

# Of small networks that draw pictures of 16×16 pixels.
_SIZES: dict[str, Any] = {
    "size": 16,
    "patch": 2,
    "wide_features": 8,
    "wide_blocks": 1,
    "deep_features": 8,
    "deep_blocks": 1,
}
_CODES: dict[str, Any] = {"channels": 2, "height": 4, "width": 4, "levels": 5}
_CODEC: dict[str, Any] = {
    **_SIZES,
    "output_features": 4,
    "code_size": 4,
    "code_channels": 2,
    "levels": 5,
}
LIVELY: dict[str, Any] = {
    "features": 8,
    "layers": 1,
    "kernel": 3,
    "first_kernel": 3,
    "output_features": 8,
    "channel_order": "head",
    "head_features": 4,
}
"""Of small networks that draw, without their grid and their condition."""


@pytest.fixture(scope="session")
def write_pictures() -> WritePictures:
    """Writes a parquet folder as `datasets` reads it."""

    def write(
        folder: Path,
        split: str,
        pictures: Sequence[np.ndarray],
        labels: Sequence[int] | None = None,
        classes: int = 10,
    ) -> Path:
        """`pictures` uint8 [H, W, 3] each, stored as PNG."""
        import datasets
        from PIL import Image

        columns: dict[str, Any] = {"image": [Image.fromarray(p) for p in pictures]}
        features: dict[str, Any] = {"image": datasets.Image()}
        if labels is not None:
            columns["label"] = list(labels)
            features["label"] = datasets.ClassLabel(names=[str(i) for i in range(classes)])
        (folder / "data").mkdir(parents=True, exist_ok=True)
        datasets.disable_progress_bars()
        datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet"
        )
        return folder

    return write


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `tiny`: random weights of a 4×4 model of the classes 8 and 207."""
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import GatedPixelCNNConfig, build_model

    torch.manual_seed(0)
    config = GatedPixelCNNConfig(
        height=4,
        width=4,
        features=6,
        layers=1,
        kernel=3,
        first_kernel=3,
        output_features=6,
        classes=2,
    )
    return save_checkpoint(
        tmp_path_factory.mktemp("weights") / "tiny",
        build_model(config),
        labels=[8, 207],
        sampling={"temperature": 0.9},
        card_text="# tiny\n",
    )


@pytest.fixture(scope="session")
def face_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `faces`: random weights that draw portraits of 16×16 pixels."""
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import (
        FaceEmbedderConfig,
        GatedPixelCNNConfig,
        TokenizerConfig,
        build_model,
    )

    torch.manual_seed(0)
    codec = build_model(TokenizerConfig(**_CODEC))
    embedder = build_model(FaceEmbedderConfig(**_SIZES, place_features=4, embedding=6))
    model = build_model(GatedPixelCNNConfig(**_CODES, vector=6, **LIVELY))
    for name, parameter in model.named_parameters():  # a vector that makes a difference
        torch.nn.init.normal_(parameter, std=4.0 if "condition" in name else 0.3)
    return save_checkpoint(
        tmp_path_factory.mktemp("weights") / "faces", model, tokenizer=codec, embedder=embedder
    )


@pytest.fixture(scope="session")
def pixel_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `pixels`: a model of 8×8 pixels in patches of 2×2, of the classes 8, 207
    and 340, each of which makes a difference."""
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import GatedPixelCNNConfig, build_model

    torch.manual_seed(0)
    model = build_model(GatedPixelCNNConfig(height=8, width=8, patch=2, classes=3, **LIVELY))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("weights") / "pixels"
    return save_checkpoint(folder, model, labels=[8, 207, 340], dtype="float32")


@pytest.fixture(scope="session")
def code_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `coded`: a model of 2×4×4 codes of 16×16 pictures, of the classes 8 and
    207, each of which makes a difference."""
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import GatedPixelCNNConfig, TokenizerConfig, build_model

    torch.manual_seed(0)
    codec = build_model(TokenizerConfig(**_CODEC))
    model = build_model(GatedPixelCNNConfig(**_CODES, classes=2, **LIVELY))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("weights") / "coded"
    return save_checkpoint(folder, model, tokenizer=codec, labels=[8, 207], dtype="float32")


@pytest.fixture(scope="session")
def autoencoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `auto`: random auto-encoders of 8×8 pictures, bottlenecks 2 and 5; the
    second has principal components, and its PixelCNN sees the mean."""
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import AutoencoderConfig, build_model
    from pixelgen.training.principal_components import principal_components

    torch.manual_seed(0)
    pixels = {**LIVELY, "patch": 2, "likelihood": "logistic", "mixtures": 2, "map_channels": 2}
    sizes = {**_SIZES, "size": 8, "wide_blocks": 2}
    made = []
    for bottleneck, more in ((2, {}), (5, {"principal": True, "mean_channels": 3})):
        values = {**sizes, **more, "bottleneck": bottleneck, "pixels": pixels}
        model = build_model(AutoencoderConfig.from_dict(values))
        for parameter in model.parameters():  # an h that makes a difference
            torch.nn.init.normal_(parameter, std=0.3)
        if model.principal is not None:
            noise = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8)
            model.principal.load_state_dict(principal_components(noise, bottleneck))
        made.append(model)
    return save_checkpoint(
        tmp_path_factory.mktemp("weights") / "auto",
        made[0],
        others=made[1:],
        sampling={"temperature": 0.9},
        card_text="# auto\n",
    )


@pytest.fixture(scope="session")
def vae_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `vae`: a random PixelVAE of 8×8 pictures with 3 latent dimensions, each
    of which makes a difference."""
    import torch

    from pixelgen.checkpoints import save_checkpoint
    from pixelgen.models import PixelVAEConfig, build_model

    torch.manual_seed(0)
    pixels = {**LIVELY, "patch": 2, "likelihood": "logistic", "mixtures": 2, "map_channels": 2}
    sizes = {**_SIZES, "size": 8, "bottleneck": 3}
    model = build_model(PixelVAEConfig.from_dict({**sizes, "pixels": pixels}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return save_checkpoint(
        tmp_path_factory.mktemp("weights") / "vae", model, dtype="float32", card_text="# vae\n"
    )
