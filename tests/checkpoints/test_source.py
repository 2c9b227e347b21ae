"""Weights are found by bundled name, then as a folder, then on the Hub (which is faked here)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import errors as hub

from pixelgen.checkpoints import bundled, find, load_checkpoint, resolve
from pixelgen.errors import PixelgenError


def test_bundled_name_comes_first(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: weights.parent)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights, "tiny")
    assert list(bundled()) == ["tiny"]
    assert find("tiny").path == weights
    assert resolve("./tiny") == Path("tiny")
    assert find(".").name == tmp_path.name


@pytest.mark.parametrize("ref", ["nowhere", "./a", "/a/b/c", "a/b/c", "a b", "../x", "a/b@"])
def test_not_there(ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PixelgenError, match="no weights") as caught:
        find(ref)
    assert caught.value.exit_code == 2


def test_a_file_is_no_folder(weights: Path) -> None:
    with pytest.raises(PixelgenError, match="is a file"):
        find(weights / "config.json")


def test_hub(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "snapshots" / "0123abcd"
    shutil.copytree(weights, snapshot)
    asked: list[tuple[Any, ...]] = []

    def download(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    loaded = load_checkpoint("owner/name@v1")
    assert (loaded.name, loaded.revision) == ("owner/name", "0123abcd")
    parts = ["model.safetensors", "tokenizer.safetensors", "embedder.safetensors"]
    files = ["config.json", *parts, "autoencoder-*.safetensors", "README.md"]
    assert asked == [("owner/name", "v1", files)]


def hub_error(kind: str) -> Exception:
    """An error of the Hub's client without the web response that it wants."""
    error_class = getattr(hub, kind)
    error = error_class.__new__(error_class)
    Exception.__init__(error, "first line\nsecond line")
    return error


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("GatedRepoError", "is gated"),
        ("RepositoryNotFoundError", "is not on the Hub"),
        ("RevisionNotFoundError", "has no such revision"),
        ("HFValidationError", "is not a valid Hub id"),
        ("LocalEntryNotFoundError", "the Hub cannot be reached"),
        ("HfHubHTTPError", "cannot be had from the Hub: first line"),
    ],
)
def test_hub_failures(kind: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> str:
        raise hub_error(kind)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(PixelgenError) as caught:
        find("owner/name")
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 4


def test_the_real_client_without_network() -> None:
    with pytest.raises(PixelgenError) as caught:
        find("owner/name")
    assert caught.value.exit_code == 4
