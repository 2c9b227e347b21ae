"""Weights are resolved as a bundled name, then as a folder, then on the Hub (see `test_hub.py`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pixelgen.checkpoints import bundled, resolve_weights
from pixelgen.checkpoints.hub import parse_hub_ref
from pixelgen.errors import PixelgenError, UsageError, WeightsError


def test_bundled_name_comes_first(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: weights.parent)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights, "tiny")
    assert list(bundled()) == ["tiny"]
    assert resolve_weights("tiny").path == weights
    assert resolve_weights("./tiny").path == Path("tiny")
    assert resolve_weights(".").name == tmp_path.name


@pytest.mark.parametrize("ref", ["nowhere", "./a", "/a/b/c", "a/b/c", "a b", "../x", "a/b@"])
def test_not_there(ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PixelgenError, match="no weights") as caught:
        resolve_weights(ref)
    assert isinstance(caught.value, UsageError)


def test_a_file_is_no_folder(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(PixelgenError, match="is a file") as caught:
        resolve_weights(weights / "model.safetensors")
    assert caught.value.hint == f"give its folder, {weights}"
    (tmp_path / "a.ckpt").write_bytes(b"")
    with pytest.raises(PixelgenError, match="is a file") as caught:
        resolve_weights(tmp_path / "a.ckpt")
    assert caught.value.hint == "weights are a folder with a config.json"


ADDRESSES = {
    "https://huggingface.co/owner/name": "owner/name",
    "http://www.huggingface.co/owner/name/": "owner/name",
    "https://hf.co/owner/name?library=pixelgen#use": "owner/name",
    "huggingface.co/owner/name": "owner/name",
    "https://alice:s3cret@huggingface.co/owner/name.git": "owner/name",
    "https://huggingface.co/owner/name/tree/v1": "owner/name@v1",
    "https://huggingface.co/owner/name/tree/a%2Fb": "owner/name@a/b",
    "https://huggingface.co/owner/name/tree/refs/pr/1/x": "owner/name@refs/pr/1",
    "https://huggingface.co/owner/name/blob/main/model.safetensors": "owner/name@main",
    "https://huggingface.co/owner/name/resolve/v1/config.json?download=true": "owner/name@v1",
    f"https://huggingface.co/owner/name/commit/{'a' * 40}": f"owner/name@{'a' * 40}",
    "https://huggingface.co/owner/name/discussions/1": "owner/name",
    "https://hub.example:8080/owner/name": "owner/name",
    "hf://owner/name": "owner/name",
    "hf://owner/name@v1": "owner/name@v1",
    "hf://models/owner/name/config.json": "owner/name",
    "https://huggingface.co/datasets/owner/name": None,
    "hf://datasets/owner/name": None,
    "https://huggingface.co/spaces/owner/name": None,
    "https://huggingface.co/owner": None,
    "https://huggingface.co/owner/name/tree/..%2Fx": None,
    "https://github.com/owner/name": None,
    "ftp://huggingface.co/owner/name": None,
    "file:///owner/name": None,
    "https://[/owner/name": None,
    "://": None,
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example:8080")
    ref = parse_hub_ref(address)
    assert (ref and ref.name) == ADDRESSES[address]
    if ref is None:
        with pytest.raises(UsageError, match="is not the address of weights") as caught:
            resolve_weights(address)
        assert "owner/name" in caught.value.hint


def test_without_network() -> None:
    with pytest.raises(PixelgenError, match="not in the cache") as caught:
        resolve_weights("owner/name")
    assert isinstance(caught.value, WeightsError)
