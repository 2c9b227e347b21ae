"""Checkpoints come back as they were saved, and broken ones are refused in one line."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.checkpoints.digests import sha256_of
from pixelgen.checkpoints.storage import storage_types, watch_loading
from pixelgen.cli.errors import exit_code_of
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.models import (
    AutoencoderConfig,
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    build_model,
)
from pixelgen.models.masked_conv import MaskedConv2d
from pixelgen.models.quantization import dequantize, quantize

CONFIGS: list[GridConfig] = [
    GatedPixelCNNConfig(height=4, width=4, features=6, layers=1, output_features=6, classes=2),
    GatedPixelCNNConfig(
        height=4,
        width=4,
        features=8,
        layers=1,
        patch=2,
        channel_order="head",
        likelihood="logistic",
        embedding="table",
        normalisation="channel",
        vertical_residual=True,
        skip_outputs=True,
        input_skip=True,
    ),
    GatedPixelCNNConfig(
        channels=1, height=4, width=4, features=6, layers=1, vector=3, map_channels=2
    ),
    PixelCNNConfig(height=4, width=4, features=6, layers=1, output_features=6),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_saved_comes_back(config: Any, dtype: Any, tmp_path: Path) -> None:
    model = build_model(config)
    labels = range(config.classes) if config.classes else ()
    save_checkpoint(
        tmp_path / "w", model, labels=labels, dtype=dtype, training={"steps": 3}, card_text="card"
    )
    loaded = load_checkpoint(tmp_path / "w")
    assert loaded.config.model == config
    assert loaded.config.training == {"steps": 3}
    assert loaded.config.labels == tuple(labels)
    assert (loaded.path / "README.md").read_text() == "card"
    assert not loaded.model.training
    expected = model.state_dict()
    for name, tensor in loaded.model.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(
            tensor, expected[name].to(getattr(torch, dtype)).float(), rtol=0, atol=0
        )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_network_does_not_use_the_file_of_its_weights(tmp_path: Path) -> None:
    """Windows could not replace it."""
    path = tmp_path / "in-one-piece"
    save_checkpoint(
        path, build_model(PixelCNNConfig(height=4, width=4, features=66)), dtype="float32"
    )
    loaded = load_checkpoint(path)
    assert "in-one-piece" not in Path("/proc/self/maps").read_text()
    assert next(loaded.model.parameters()).dtype == torch.float32


def test_values_beyond_half_precision_survive(tmp_path: Path) -> None:
    model = build_model(CONFIGS[0])
    with torch.no_grad():
        model.get_parameter("out_1x1.weight")[0, 0] = 1e6
    save_checkpoint(tmp_path, model, labels=[0, 1])
    assert load_checkpoint(tmp_path).network.state_dict()["out_1x1.weight"][0, 0] == 1e6


WIDE = GatedPixelCNNConfig(height=4, width=4, features=24, layers=1, classes=2)
"""Of some tensors that are large enough for whole numbers, and others that are not."""
LARGE = "layers.0.vertical.weight"


@pytest.fixture
def whole_numbers(tmp_path: Path) -> Path:
    """Weights of which the large tensors are whole numbers."""
    torch.manual_seed(0)
    folder = tmp_path / "whole"
    return save_checkpoint(folder, build_model(WIDE), labels=[0, 1], dtype="int8")


def test_whole_numbers_come_back(whole_numbers: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(WIDE)
    half = save_checkpoint(tmp_path / "half", model, labels=[0, 1]) / "model.safetensors"
    stored = load_file(whole_numbers / "model.safetensors")
    loaded = load_checkpoint(whole_numbers).model.state_dict()
    kinds = set()
    for name, tensor in model.state_dict().items():
        kinds.add(stored[name].dtype)
        if stored[name].dtype == torch.int8:
            scale = stored[f"{name}.scale"]
            assert tensor.dim() >= 2
            assert tensor.numel() >= 4096
            assert scale.dtype == torch.float32
            assert scale.shape == (len(tensor), *[1] * (tensor.dim() - 1))
            assert ((loaded[name] - tensor).abs() <= scale / 2 * (1 + 1e-5)).all()
            assert (loaded[name][tensor == 0] == 0).all()
        else:
            assert tensor.dim() < 2 or tensor.numel() < 4096
            assert torch.equal(loaded[name], tensor.half().float())
    assert kinds == {torch.int8, torch.float16}
    assert (whole_numbers / "model.safetensors").stat().st_size < 0.7 * half.stat().st_size
    assert storage_types(load_checkpoint(whole_numbers)) == {"model.safetensors": "int8"}
    assert storage_types(load_checkpoint(half.parent)) == {"model.safetensors": "float16"}


def test_whole_numbers_are_stored_again_as_they_are(whole_numbers: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(whole_numbers)
    again = save_checkpoint(tmp_path / "again", loaded.network, labels=[0, 1], dtype="int8")
    before, after = (f / "model.safetensors" for f in (whole_numbers, again))
    assert after.read_bytes() == before.read_bytes()
    assert load_checkpoint(again).revision == loaded.revision


def test_masked_weights_stay_masked(tmp_path: Path) -> None:
    model = build_model(WIDE)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, MaskedConv2d):
                module.weight *= module.mask
    save_checkpoint(tmp_path, model, labels=[0, 1], dtype="int8")
    masked = 0
    for name, module in load_checkpoint(tmp_path).network.named_modules():
        if isinstance(module, MaskedConv2d) and module.weight.numel() >= 4096:
            masked += int((module.mask == 0).sum())
            assert torch.equal(module.weight, module.masked_weight()), name
    assert masked > 0


def test_values_that_whole_numbers_cannot_give_are_stored_as_floats(tmp_path: Path) -> None:
    model = build_model(WIDE)
    largest = torch.finfo(torch.float32).max
    with torch.no_grad():
        model.get_parameter(LARGE).view(-1)[0] = largest
    save_checkpoint(tmp_path, model, labels=[0, 1], dtype="int8")
    assert load_file(tmp_path / "model.safetensors")[LARGE].dtype == torch.float32
    weight = load_checkpoint(tmp_path).network.get_parameter(LARGE)
    assert weight.view(-1)[0] == largest


def test_buffers_are_no_whole_numbers(tmp_path: Path) -> None:
    config = replace(WIDE, vector=64, vector_components=1)
    save_checkpoint(tmp_path, build_model(config), labels=[0, 1], dtype="int8")
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["class_prior.scale"].shape == (64, 64)
    assert stored["class_prior.scale"].dtype == torch.float16
    load_checkpoint(tmp_path)


def test_every_file_may_have_its_own_type(code_weights: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(code_weights)
    save_checkpoint(
        tmp_path,
        loaded.network,
        tokenizer=loaded.codec,
        labels=[8, 207],
        dtype={"tokenizer.safetensors": "float32"},
    )
    types = storage_types(load_checkpoint(tmp_path))
    assert types == {"model.safetensors": "float16", "tokenizer.safetensors": "float32"}


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    for dtype in ("int4", torch.float16, {"model.safetensors": "half"}):
        with pytest.raises(UsageError, match="stored in one of float16, float32, int8, not in "):
            save_checkpoint(tmp_path / "w", build_model(WIDE), labels=[0, 1], dtype=dtype)  # type: ignore[arg-type]
    assert not (tmp_path / "w").exists()


SCALE = f"{LARGE}.scale"
BROKEN_NUMBERS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "no scale": (
        lambda t: t.pop(SCALE),
        f"tensor {LARGE} has type I8, but there is no tensor {SCALE}",
    ),
    "only a scale": (lambda t: t.pop(LARGE), f"tensor {LARGE} is missing"),
    "a scale of floats": (
        lambda t: t.update({LARGE: t[LARGE].half()}),
        f"tensor {SCALE} does not belong to the model",
    ),
    "a foreign scale": (
        lambda t: t.update({"x.scale": torch.ones(1)}),
        "tensor x.scale does not belong to the model",
    ),
    "one scale for all": (
        lambda t: t.update({SCALE: torch.ones(1, 1, 1, 1)}),
        f"tensor {SCALE} has shape [1, 1, 1, 1], the model needs [48, 1, 1, 1]",
    ),
    "a flat scale": (
        lambda t: t.update({SCALE: t[SCALE].flatten()}),
        f"tensor {SCALE} has shape [48], the model needs [48, 1, 1, 1]",
    ),
    "a scale of integers": (
        lambda t: t.update({SCALE: t[SCALE].long()}),
        f"tensor {SCALE} has type I64, not a floating-point type",
    ),
    "a scale of whole numbers": (
        lambda t: t.update({SCALE: t[SCALE].to(torch.int8)}),
        f"tensor {SCALE} has type I8, not a floating-point type",
    ),
    "a negative scale": (
        lambda t: t[SCALE].view(-1)[-1:].fill_(-1),
        f"tensor {SCALE} holds values that are negative or not finite",
    ),
    "a scale that is no number": (
        lambda t: t[SCALE].view(-1)[-1:].fill_(torch.nan),
        f"tensor {SCALE} holds values that are negative or not finite",
    ),
    "an infinite scale": (
        lambda t: t[SCALE].view(-1)[-1:].fill_(torch.inf),
        f"tensor {SCALE} holds values that are negative or not finite",
    ),
    "too large a scale": (
        lambda t: t[SCALE].fill_(3e38),
        f"tensor {LARGE} holds values that are not finite",
    ),
    "another shape": (
        lambda t: t.update({LARGE: t[LARGE][:2].clone()}),
        f"tensor {LARGE} has shape [2, ",
    ),
    "other whole numbers": (
        lambda t: t.update({LARGE: t[LARGE].view(torch.uint8)}),
        f"tensor {SCALE} does not belong to the model",
    ),
}


@pytest.mark.parametrize(("breakage", "says"), BROKEN_NUMBERS.values(), ids=BROKEN_NUMBERS)
def test_broken_whole_numbers(
    breakage: Callable[[dict[str, torch.Tensor]], object], says: str, whole_numbers: Path
) -> None:
    tensor_change(breakage)(whole_numbers)
    with pytest.raises(PixelgenError) as caught:
        load_checkpoint(whole_numbers)
    assert caught.value.message.startswith(f"weights whole: model.safetensors: {says}")
    assert "\n" not in caught.value.message


def test_scales_do_not_count_as_tensors_of_the_network(whole_numbers: Path) -> None:
    """A configuration cannot claim more layers than there are tensors without them."""
    count = len(load_checkpoint(whole_numbers).network.state_dict())
    config_change(lambda c: c["model"].update(layers=count + 1))(whole_numbers)
    with pytest.raises(PixelgenError, match=f"{count} tensors cannot make a model"):
        load_checkpoint(whole_numbers)


def test_weights_with_the_names_of_earlier_versions_load(tmp_path: Path) -> None:
    model = build_model(CONFIGS[0])
    save_checkpoint(tmp_path, model, labels=[0, 1], dtype="float32")
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    old = {
        name.replace("vertical_to_horizontal", "link").replace("out_1x1", "mix"): tensor
        for name, tensor in tensors.items()
    }
    assert {"first.link.weight", "mix.bias"} <= old.keys()
    save_file(old, path)
    change = config_change(lambda c: c["sha256"].update({path.name: sha256_of(path)}))
    change(tmp_path)
    loaded = load_checkpoint(tmp_path).model.state_dict()
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())

    values, scale = quantize(tensors[MIX])
    save_file({**old, "mix.weight": values, "mix.weight.scale": scale}, path)
    config_change(lambda c: c["sha256"].update({path.name: sha256_of(path)}))(tmp_path)
    loaded = load_checkpoint(tmp_path).model.state_dict()
    assert torch.equal(loaded[MIX], dequantize(values, scale))

    save_file({**old, MIX: tensors[MIX].clone()}, path)
    config_change(lambda c: c["sha256"].update({path.name: sha256_of(path)}))(tmp_path)
    with pytest.raises(PixelgenError, match="stored twice"):
        load_checkpoint(tmp_path)


def test_labels_must_fit_the_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 label for a model of 2 classes"):
        save_checkpoint(tmp_path / "w", build_model(CONFIGS[0]), labels=[5])
    assert not (tmp_path / "w").exists()


def config_change(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Rewrites config.json."""

    def edit(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        change(values)
        (folder / "config.json").write_text(json.dumps(values))

    return edit


def tensor_change(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Rewrites model.safetensors."""

    def edit(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return edit


def config_text(text: str | bytes) -> Callable[[Path], object]:
    """Replaces config.json."""
    data = text if isinstance(text, bytes) else text.encode()
    return lambda folder: (folder / "config.json").write_bytes(data)


def tensor_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Changes model.safetensors byte by byte."""
    return lambda folder: (folder / "model.safetensors").write_bytes(
        change((folder / "model.safetensors").read_bytes())
    )


def header(text: bytes, length: int | None = None) -> bytes:
    """A safetensors file that has only a header."""
    return struct.pack("<Q", len(text) if length is None else length) + text


MIX = "out_1x1.weight"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "no tensors": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "broken JSON": (config_text("{"), "config.json: not valid JSON, line 1"),
    "empty JSON": (config_text(""), "config.json: not valid JSON"),
    "no object": (config_text("[1]"), "config.json: not a JSON object"),
    "not text": (config_text(b"\xff\xfe\x00"), "config.json: not UTF-8 text"),
    "deep JSON": (config_text("[" * 200_000), "config.json: nested too deeply"),
    "large JSON": (config_text(" " * 2**23), "config.json: larger than"),
    "foreign JSON": (config_text('{"a": "b"}'), '"format" must be 1, not None'),
    "transformers": (
        config_text('{"model_type": "bert"}'),
        "is of transformers, not of pixelgen",
    ),
    "diffusers": (
        config_text('{"_class_name": "UNet2D"}'),
        "is of diffusers, not of pixelgen",
    ),
    "timm": (config_text('{"pretrained_cfg": {}}'), "is of timm, not of pixelgen"),
    "a run": (
        lambda f: (f / "config.json").rename(f / "state.safetensors"),
        "is the folder of a training run, not of weights",
    ),
    "newer": (config_change(lambda c: c.update(format=2)), "format 2 is newer"),
    "other kind": (config_change(lambda c: c.update(kind="gan")), '"kind" must be "pixelcnn"'),
    "no model": (config_change(lambda c: c.pop("model")), '"model" is missing'),
    "model is a list": (config_change(lambda c: c.update(model=[])), '"model" must be an object'),
    "other model": (config_change(lambda c: c["model"].update(model="x")), "unknown model 'x'"),
    "unhashable model": (config_change(lambda c: c["model"].update(model=[])), "config.json"),
    "unknown key": (config_change(lambda c: c["model"].update(layer=3)), "unknown key 'layer'"),
    "wrong type": (config_change(lambda c: c["model"].update(layers="3")), "layers must be"),
    "negative": (config_change(lambda c: c["model"].update(layers=-1)), "layers must not be"),
    "label": (config_change(lambda c: c.update(labels=["a", 1])), "labels must be whole numbers"),
    "labels": (config_change(lambda c: c.update(labels=[1])), "1 label for a model of 2 classes"),
    "twice": (config_change(lambda c: c.update(labels=[1, 1])), "labels must differ"),
    "top-p": (config_change(lambda c: c["sampling"].update(top_p=3)), "top_p must be"),
    "option": (config_change(lambda c: c["sampling"].update(heat=3)), "unknown sampling option"),
    "wide": (config_change(lambda c: c["model"].update(features=12)), "the model needs"),
    "huge": (config_change(lambda c: c["model"].update(features=3 * 10**15)), "model.safetensors"),
    "endless": (config_change(lambda c: c["model"].update(layers=10**9)), "1000000000 layers"),
    "truncated": (tensor_bytes(lambda b: b[:-10]), "not a readable safetensors file"),
    "empty": (tensor_bytes(lambda b: b""), "not a readable safetensors file"),
    "half header": (tensor_bytes(lambda b: b[:40]), "not a readable safetensors file"),
    "huge header": (tensor_bytes(lambda b: header(b"{}", 2**62)), "not a readable safetensors"),
    "header": (tensor_bytes(lambda b: header(b"not JSON")), "not a readable safetensors file"),
    "no tensor": (tensor_bytes(lambda b: header(b"{}")), "tensors cannot make"),
    "pickle": (tensor_bytes(lambda b: pickle.dumps({"a": 1})), "not a readable safetensors file"),
    "missing": (tensor_change(lambda t: t.pop(MIX)), f"tensor {MIX} is missing"),
    "foreign": (
        tensor_change(lambda t: t.update(x=torch.ones(1))),
        "tensor x does not belong to the model",
    ),
    "shape": (
        tensor_change(lambda t: t.update({MIX: torch.ones(2, 2)})),
        f"tensor {MIX} has shape [2, 2], the model needs [6, 6, 1, 1]",
    ),
    "not a number": (
        tensor_change(lambda t: t[MIX].view(-1)[-1:].fill_(torch.nan)),
        f"tensor {MIX} holds values that are not finite",
    ),
    "infinite": (
        tensor_change(lambda t: t[MIX].view(-1)[:1].fill_(-torch.inf)),
        f"tensor {MIX} holds values that are not finite",
    ),
    "integers": (
        tensor_change(lambda t: t.update({MIX: t[MIX].long()})),
        f"tensor {MIX} has type I64",
    ),
    "a folder": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()),
        "model.safetensors: it is a folder",
    ),
}


@pytest.mark.parametrize(("breakage", "says"), BROKEN.values(), ids=BROKEN)
def test_broken_checkpoints(
    breakage: Callable[[Path], object], says: str, weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(weights, folder)
    breakage(folder)
    with pytest.raises(PixelgenError) as caught:
        load_checkpoint(folder)
    assert says in caught.value.message
    assert caught.value.message.startswith("weights broken: ")
    assert "\n" not in caught.value.message
    assert exit_code_of(caught.value) == 1


def test_a_failed_write_leaves_the_old_file(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    shutil.copytree(weights, folder)
    before = (folder / "model.safetensors").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(PixelgenError, match="full"):
            save_checkpoint(folder, load_checkpoint(weights).model, labels=[1, 2])
    assert (folder / "model.safetensors").read_bytes() == before
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }


def autoencoder(bottleneck: int, size: int = 8) -> Any:
    torch.manual_seed(bottleneck)
    pixels = {"features": 6, "layers": 1, "output_features": 6}
    small = {"wide_features": 8, "wide_blocks": 1, "deep_features": 8, "deep_blocks": 0}
    values = {"size": size, "patch": 2, **small, "bottleneck": bottleneck, "pixels": pixels}
    return build_model(AutoencoderConfig.from_dict(values))


def test_auto_encoders_of_several_bottlenecks_share_a_folder(tmp_path: Path) -> None:
    two, five = autoencoder(2), autoencoder(5)
    save_checkpoint(tmp_path / "one", two)
    save_checkpoint(tmp_path / "w", two, others=[five], dtype="float32")
    loaded = load_checkpoint(tmp_path / "w")
    assert (loaded.config.kind, loaded.config.bottlenecks) == ("autoencoder", (2, 5))
    assert list(loaded.autoencoders) == [2, 5]
    for made, found in zip((two, five), loaded.autoencoders.values(), strict=True):
        assert found.config == made.config
        assert not found.training
        tensors = found.state_dict()
        assert all(torch.equal(t, tensors[name]) for name, t in made.state_dict().items())
    assert list(load_checkpoint(tmp_path / "one").autoencoders) == [2]
    with pytest.raises(PixelgenError, match="w is an autoencoder: it samples only reconstructions"):
        _ = loaded.model
    before = loaded.revision
    save_checkpoint(tmp_path / "w", two, others=[autoencoder(4)])
    assert load_checkpoint(tmp_path / "w").revision != before
    assert not (tmp_path / "w" / "autoencoder-5.safetensors").exists()
    (tmp_path / "w" / "autoencoder-4.safetensors").unlink()
    with pytest.raises(PixelgenError, match=r"no autoencoder-4\.safetensors in"):
        load_checkpoint(tmp_path / "w")


def test_auto_encoders_that_do_not_belong_together(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bottlenecks must increase"):
        save_checkpoint(tmp_path / "w", autoencoder(5), others=[autoencoder(2)])
    with pytest.raises(ValueError, match="same image size"):
        save_checkpoint(tmp_path / "w", autoencoder(2), others=[autoencoder(5, size=16)])
    with pytest.raises(ValueError, match="a PixelCNN cannot have auto-encoders"):
        save_checkpoint(tmp_path / "w", build_model(CONFIGS[2]), others=[autoencoder(5)])
    assert not (tmp_path / "w").exists()
    with pytest.raises(PixelgenError, match="tiny has no auto-encoder"):
        _ = load_checkpoint(weights).autoencoders


@pytest.mark.parametrize(
    ("others", "says"),
    [
        (3, '"others" must be a list'),
        ([3], '"others" must hold objects'),
        ([{}], "bottlenecks must increase|same image size"),
        ([{"size": 8, "patch": 2, "bottleneck": 10**15}], "autoencoder-1000000000000000"),
    ],
)
def test_broken_others(others: object, says: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "w", autoencoder(5))
    (tmp_path / "w" / "autoencoder-1000000000000000.safetensors").write_bytes(b"")
    config_change(lambda c: c.update(others=others))(tmp_path / "w")
    with pytest.raises(PixelgenError, match=says) as caught:
        load_checkpoint(tmp_path / "w")
    assert "\n" not in caught.value.message


def test_weights_are_loaded_by_one_thread(weights: Path) -> None:
    before = torch.get_num_threads()
    seen: list[tuple[str, int]] = []

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        seen.append((name, 0))
        yield
        seen.append((name, torch.get_num_threads()))

    torch.set_num_threads(3)
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            watch_loading(watch),
        ):
            patch.setattr(
                "pixelgen.checkpoints.storage._is_finite",
                lambda tensor: seen.append(("check", torch.get_num_threads())) or True,
            )
            load_checkpoint(weights)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert (seen[0], seen[-1]) == (("tiny", 0), ("tiny", 3))
    assert set(seen[1:-1]) == {("check", 1)}
