"""Weights are resolved as a bundled name, then as a folder, then on the Hub (see `test_hub.py`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pixelgen.checkpoints import bundled, resolve_weights
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


def test_a_file_is_no_folder(weights: Path) -> None:
    with pytest.raises(PixelgenError, match="is a file"):
        resolve_weights(weights / "config.json")


def test_without_network() -> None:
    with pytest.raises(PixelgenError, match="not in the cache") as caught:
        resolve_weights("owner/name")
    assert isinstance(caught.value, WeightsError)
